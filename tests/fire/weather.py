"""An upstream in bad health: the model's name says in which, so that a client knows what it asked.

Pauses are real: they run in the upstream's own thread, and a storm is not a test of a moment.
"""

import asyncio
from random import Random

from support.upstream import Answer, Gate, Json, Recorded, chunks, completion, sse

WELL = "well"
PIECES = 20
SICK = {
    "stall": 3,
    "silence": 2,
    "trickle": 5,
    "reset": 1,
    "cut": 1,
    "hang-up": 1,
    "lie": 1,
    "refuse": 1,
}
"""How often each is asked for. The first three keep a connection for as long as they may."""


class Pause(Gate):
    """Opens by itself."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def passage(self) -> None:
        await asyncio.sleep(self._seconds)


class Weather:
    """What `LoopbackUpstream.default` may be; `seed` chooses among ways to lie. `slow_seconds` is
    what a trickle takes."""

    def __init__(self, seed: int, slow_seconds: float, words: int = 12) -> None:
        self._random = Random(seed)
        self._pause = slow_seconds / PIECES
        self._words = words

    def __call__(self, request: Recorded) -> Answer:
        asked = request.json
        text = " ".join([f"to {asked['messages'][-1]['content']}:", *["word"] * self._words])
        return self._sick(asked["model"], text, stream=bool(asked.get("stream")))

    def _sick(self, health: str, text: str, *, stream: bool) -> Answer:
        events = sse(*chunks(text, with_usage=True), "[DONE]")
        half = events[: len(events) // 2]
        match health:
            case "stall":
                return Answer.stream(*half, Gate()) if stream else _half_a_body(text)
            case "silence":
                return Answer.silence()
            case "reset" | "cut":
                return Answer.stream(*half, ending="reset" if health == "reset" else "cut")
            case "hang-up":
                return Answer.hang_up()
            case "trickle" if stream:
                return _trickled(b"".join(events), self._pause)
            case "lie":
                return self._random.choice(_lies(text, events))
            case "refuse":
                return Answer.error(self._random.choice([429, 500, 503]), "No.", "sick")
        return Answer.stream(*events) if stream else Answer.json(completion(text))


def _half_a_body(text: str) -> Answer:
    return Answer(200, {"content-type": "application/json"}, [b'{"choices": [', Gate(), b"]}"])


def _trickled(body: bytes, seconds: float) -> Answer:
    """A few bytes at a time, with a breath between: events and characters are cut anywhere."""
    size = max(1, len(body) // PIECES)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    with_pauses = [part for piece in pieces for part in (piece, Pause(seconds))]
    return Answer.stream(*with_pauses)


def _lies(text: str, events: list[bytes]) -> list[Answer]:
    whole: Json = completion(text)
    negative = {**whole, "usage": {"prompt_tokens": -1, "total_tokens": -5}}
    json = {"content-type": "application/json"}
    return [
        Answer.html(200),
        Answer(200, {**json, "content-length": "100000"}, b'{"choices": []}', ending="cut"),
        Answer(200, {**json, "content-encoding": "gzip"}, b"no gzip at all"),
        Answer(200, json, b"[" * 100_000),
        Answer.json(negative),
        Answer.stream(*events[:-1], b"data: {not json}\n\n"),
        Answer.stream(b"\xff\xfe" + b"".join(events)),
        Answer(head=b"HTTP/1.1 999 \r\nx: y\r\n\r\n"),
    ]
