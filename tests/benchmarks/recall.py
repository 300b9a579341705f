"""`make eval`: how much of the labelled evidence reaches the prompt, through the running service.

Each conversation of a set is replayed over HTTP as one person's past (`POST /v1/messages`), under a
key of its own; then each of its questions is asked (`POST /v1/compress`, `X-Memory: read`) and the
lines that would have been sent are compared with the evidence. Some questions are also asked of
`/v1/chat/completions`, where the preview upstream must have been sent the same lines.

R@k is the share of a question's evidence among its k best lines, R@budget among all its lines, both
as means over questions; only lines within the token budget are returned, so R@20 of long messages
is R@budget. `before` is what sending the person's whole past with the question would cost, `after`
the prompt as it is; the service's own `x-tokens-before` counts the question's session only, and a
question in a new session has no history there. Latency is the compress call, one at a time; each
person's first one, which builds the indexes, is told apart.

With `--retriever` the retriever of this machine runs beside the service, its model and device as
the environment says; what it has not read yet is waited for. `--records` writes what was chosen for
each question, for `python -m retriever evaluate --gateway-records` to show beside other methods.
"""

import argparse
import gzip
import hashlib
import json
import math
import os
import platform
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from random import Random
from typing import Any

import httpx
from tqdm import tqdm  # type: ignore[import-untyped]  # ships no types

sys.path.append(str(Path(__file__).parents[1]))  # where a script finds `support`, as pytest does
from support.retriever_process import retrieving
from support.service import serving

ROOT = Path(__file__).parents[2]
SETS = ("locomo", "beam", "qmsum")
BATCH = 500
PATIENCE_SECONDS = 60.0
READING_SECONDS = 600.0  # for a memory that the retriever has not read yet
BY_MODEL = "gpu"  # how `x-memory-retriever` begins where the retriever ranked
CHECKED_PER_CONVERSATION = 5
UNASKED = frozenset({"adversarial"})  # LoCoMo's carry a trap as their answer
ABSTENTION = "abstention"
AT_FORMATS = ("%I:%M %p on %d %B, %Y", "%B-%d-%Y")  # LoCoMo's sessions, BEAM's days
PREVIEWED = re.compile(r"^- \[.*\((\w+)\)$", re.MULTILINE)
MISSING = """eval skipped: there is no {file}.
It is un-skipped by: make eval MEMORY_OPS_DIALOGUES=FOLDER
where FOLDER/dev holds {sets} as .jsonl.gz (conversations with evidence labels)."""


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    kind: str
    text: str
    evidence: frozenset[str]


@dataclass(frozen=True, slots=True)
class Conversation:
    """`messages` are as `POST /v1/messages` takes them, `message_ids` the data set's own."""

    id: str
    message_ids: Sequence[str]
    messages: Sequence[Mapping[str, Any]]
    questions: Sequence[Question]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question's outcome; `ranked` are the data set's ids of its lines, the best first."""

    question: Question
    ranked: Sequence[str]
    past_tokens: int
    tokens_before: int
    tokens_after: int
    seconds: float
    is_first: bool
    conversation: str = ""
    retriever: str = ""  # who ranked, as `x-memory-retriever` says

    @property
    def saved(self) -> int:
        return self.past_tokens - self.injected

    @property
    def injected(self) -> int:
        """What the memory block weighs: the negative of the service's own `x-tokens-saved`."""
        return self.tokens_after - self.tokens_before


def recall_at(ranked: Sequence[str], evidence: Collection[str], k: int | None = None) -> float:
    """Share of the evidence among the `k` best, or among all. Evidence is never empty here."""
    return len(set(ranked[:k]) & set(evidence)) / len(set(evidence))


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile, a value that was measured. There is at least one."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def parse_at(text: str | None) -> datetime | None:
    """Raises ValueError for a format that no set uses."""
    if text is None:
        return None
    for form in AT_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return datetime.fromisoformat(text)


def as_given(message: Mapping[str, Any], place: int) -> dict[str, Any]:
    """A message of the data as the service takes it; a day, or a dated talk, is a session.

    The sets date sessions, not messages: `place` seconds keep the order of what was said.
    """
    day, speaker = parse_at(message["at"]), message["speaker"]
    content = f"{speaker}: {message['text']}" if speaker else message["text"]
    given = {"role": message["role"], "content": content, "session_id": "meeting"}
    if day is not None:
        given["session_id"] = f"{day:%Y-%m-%dT%H:%M}"
        given["at"] = (day + timedelta(seconds=place)).isoformat()
    return given


def read_conversations(file: Path, limit: int | None) -> list[Conversation]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for _, line in zip(range(limit or sys.maxsize), lines)]  # noqa: B905  the shorter ends it
    return [_conversation(row) for row in rows]


def _conversation(row: Mapping[str, Any]) -> Conversation:
    questions = [
        Question(one["id"], one["kind"], one["text"], frozenset(one["evidence"]))
        for one in row["questions"]
        if one["kind"] not in UNASKED
    ]
    messages = row["messages"]
    return Conversation(
        row["id"],
        [message["id"] for message in messages],
        [as_given(message, place) for place, message in enumerate(messages)],
        questions,
    )


class Person:
    """One conversation's owner, talking to the service with a key of its own."""

    def __init__(self, http: httpx.Client, conversation: Conversation) -> None:
        self._http = http
        self._key = {"authorization": f"Bearer {key_of(conversation)}"}
        self._told = conversation
        self._places: dict[str, str] = {}
        self.past_tokens = 0
        self._has_asked = False

    def replay(self) -> Iterator[None]:
        """Tell the past; yields after each batch."""
        for start in range(0, len(self._told.messages), BATCH):
            batch = self._told.messages[start : start + BATCH]
            stored = self._post("/v1/messages", {"messages": batch}).json()["data"]
            ids = self._told.message_ids[start : start + BATCH]
            self._places |= {one["id"]: id for one, id in zip(stored, ids, strict=True)}
            yield
        self.past_tokens = sum(session["tokens"] for session in self._sessions())

    def ask(self, question: Question) -> tuple[Asked, set[str]]:
        """The outcome, and the service's ids of its lines."""
        asked = {"messages": [{"role": "user", "content": question.text}]}
        started = time.perf_counter()
        answer = self._post("/v1/compress", asked, {"x-memory": "read"})
        seconds = time.perf_counter() - started
        told = answer.json()
        if told["compression_skipped"]:
            raise RuntimeError(f"the service skipped the compression of {question.id}")
        ids = [line["id"] for line in sorted(told["memory"]["lines"], key=lambda one: one["rank"])]
        outcome = Asked(
            question,
            [self._places[id] for id in ids],  # a KeyError is a line of another person's
            self.past_tokens,
            int(answer.headers["x-tokens-before"]),
            int(answer.headers["x-tokens-after"]),
            seconds,
            is_first=not self._has_asked,
            conversation=self._told.id,
            retriever=answer.headers.get("x-memory-retriever", ""),
        )
        self._has_asked = True
        return outcome, set(ids)

    def lines_in_chat(self, question: Question) -> set[str]:
        """Ids of the lines that the preview upstream found in the prompt sent to it."""
        asked = {"model": "preview", "messages": [{"role": "user", "content": question.text}]}
        answer = self._post("/v1/chat/completions", asked, {"x-memory": "read"}).json()
        text = answer["choices"][0]["message"]["content"]
        return set(PREVIEWED.findall(text.rpartition("\nRemembered lines: ")[2]))

    def _sessions(self) -> Iterator[dict[str, Any]]:
        page: dict[str, Any] = {"has_more": True, "next": None}
        while page["has_more"]:
            query = {"after": page["next"]} if page["next"] else {}
            answer = self._http.get("/v1/sessions", params=query, headers=self._key)
            page = answer.raise_for_status().json()
            yield from page["data"]

    def _post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        answer = self._http.post(path, json=body, headers={**self._key, **(headers or {})})
        if answer.is_error:
            raise RuntimeError(f"{path} answered {answer.status_code}: {answer.text[:300]}")
        return answer


def key_of(conversation: Conversation) -> str:
    return f"sk-{conversation.id}"


def evaluate(
    http: httpx.Client, conversations: Sequence[Conversation], randomness: Random, name: str
) -> list[Asked]:
    """Replay and ask everything. Raises RuntimeError where chat and compress disagree."""
    batches = sum(-(-len(one.messages) // BATCH) for one in conversations)
    total = batches + sum(len(one.questions) for one in conversations)
    outcomes: list[Asked] = []
    with tqdm(total=total, desc=name, unit="call", file=sys.stderr) as bar:
        for conversation in conversations:
            person = Person(http, conversation)
            for _ in person.replay():
                bar.update()
            some = min(CHECKED_PER_CONVERSATION, len(conversation.questions))
            checked = set(randomness.sample(range(len(conversation.questions)), some))
            for number, question in enumerate(conversation.questions):
                outcome, ids = person.ask(question)
                if number in checked and person.lines_in_chat(question) != ids:
                    raise RuntimeError(f"chat was sent other lines than compress: {question.id}")
                outcomes.append(outcome)
                bar.update()
    return outcomes


def summary(outcomes: Sequence[Asked]) -> dict[str, float]:
    """Means over questions; of recall only when there is evidence."""
    later = [one.seconds for one in outcomes if not one.is_first]
    figures: dict[str, float] = {
        "questions": len(outcomes),
        "lines": statistics.fmean(len(one.ranked) for one in outcomes),
        "nothing": statistics.fmean(not one.ranked for one in outcomes),
        "before": statistics.fmean(one.past_tokens + one.tokens_before for one in outcomes),
        "after": statistics.fmean(one.tokens_after for one in outcomes),
        "saved": statistics.fmean(one.saved for one in outcomes),
        "x_tokens_before": statistics.fmean(one.tokens_before for one in outcomes),
        "injected": statistics.fmean(one.injected for one in outcomes),
    }
    if later:
        figures["p50_ms"] = 1000 * percentile(later, 0.50)
        figures["p95_ms"] = 1000 * percentile(later, 0.95)
    pairs = [(one.ranked, one.question.evidence) for one in outcomes if one.question.evidence]
    if pairs:
        for k in (5, 10, 20):
            figures[f"r@{k}"] = statistics.fmean(recall_at(*pair, k) for pair in pairs)
        figures["r@budget"] = statistics.fmean(recall_at(*pair) for pair in pairs)
        figures["any"] = statistics.fmean(recall_at(*pair) > 0 for pair in pairs)
    return figures


def by_kind(outcomes: Sequence[Asked]) -> dict[str, dict[str, float]]:
    """A summary per kind; `all` leaves out the questions that nothing answers."""
    kinds = sorted({one.question.kind for one in outcomes})
    rows = {kind: summary([o for o in outcomes if o.question.kind == kind]) for kind in kinds}
    if answerable := [one for one in outcomes if one.question.evidence]:
        rows["all"] = summary(answerable)
    return rows


COMMON = {
    "lines": ("lines", "{:.1f}"),
    "before": ("before", "{:,.0f}"),
    "after": ("after", "{:,.0f}"),
    "saved": ("saved", "{:,.0f}"),
    "x-before": ("x_tokens_before", "{:,.0f}"),
    "p50 ms": ("p50_ms", "{:.1f}"),
    "p95 ms": ("p95_ms", "{:.1f}"),
}
LABELLED = {"R@5": "r@5", "R@10": "r@10", "R@20": "r@20", "R@budget": "r@budget"}
SPANS = {"any": "any", "share of span": "r@budget"}


def table(name: str, rows: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    recalls = SPANS if name == "qmsum" else LABELLED
    columns = {title: (figure, "{:.3f}") for title, figure in recalls.items()} | COMMON
    yield "  ".join([f"{name:<26}", f"{'questions':>9}", *(f"{title:>8}" for title in columns)])
    for kind, row in rows.items():
        if kind != ABSTENTION:
            cells = (
                f"{form.format(row.get(figure, math.nan)):>{max(8, len(title))}}"
                for title, (figure, form) in columns.items()
            )
            yield "  ".join([f"{kind:<26}", f"{row['questions']:>9.0f}", *cells])
    if silent := rows.get(ABSTENTION):
        yield (
            f"abstention, where nothing is right: {silent['questions']:.0f} questions,"
            f" nothing injected for {silent['nothing']:.0%},"
            f" {silent['injected']:,.0f} tokens injected on average"
        )


def provenance(files: Iterable[Path], arguments: argparse.Namespace) -> dict[str, Any]:
    packages = ("functions-framework", "httpx", "orjson", "rs-bpe", "starlette", "uvicorn")
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "changed_files": len(_git("status", "--porcelain").splitlines()),
        "data_sha256": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: metadata.version(name) for name in packages},
        "arguments": {name: str(value) for name, value in vars(arguments).items()},
    }


def _git(*words: str) -> str:
    """Empty where there is no repository or no git."""
    try:
        ran = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return ran.stdout.strip()


@contextmanager
def _service(
    conversations: Sequence[Conversation], arguments: argparse.Namespace
) -> Iterator[httpx.Client]:
    """With its retriever, where one is asked for."""
    keys = ",".join(f"{one.id}:{key_of(one)}" for one in conversations)
    settings = {
        "API_KEYS": keys,
        "MEMORY_TOKEN_BUDGET": str(arguments.budget),
        "MAX_MESSAGE_CHARACTERS": "200000",
    }
    if arguments.floor is not None:
        settings["MEMORY_SCORE_FLOOR"] = str(arguments.floor)
    patience = PATIENCE_SECONDS
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if arguments.retriever:
            patience += READING_SECONDS
            settings["RETRIEVER_URL"] = stack.enter_context(retrieving(folder)).url
            settings["RETRIEVER_DEADLINE_SECONDS"] = str(READING_SECONDS)
        service = stack.enter_context(serving(folder, **settings))
        client = httpx.Client(base_url=service.url, timeout=patience, trust_env=False)
        yield stack.enter_context(client)


def main() -> None:
    arguments = _arguments()
    folder = Path(os.environ.get("MEMORY_OPS_DIALOGUES") or "dialogues") / "dev"
    names = SETS if arguments.set == "all" else (arguments.set,)
    files = {name: folder / f"{name}.jsonl.gz" for name in names}
    if absent := [file for file in files.values() if not file.exists()]:
        print(MISSING.format(file=absent[0], sets=", ".join(SETS)))
        return
    records: list[dict[str, Any]] = []
    report: dict[str, Any] = {**provenance(files.values(), arguments), "sets": {}}
    for name, file in files.items():
        conversations = read_conversations(file, arguments.conversations)
        randomness = Random(arguments.seed)
        with _service(conversations, arguments) as http:
            outcomes = evaluate(http, conversations, randomness, name)
        rows = by_kind(outcomes)
        first_ms = 1000 * percentile([one.seconds for one in outcomes if one.is_first], 0.50)
        print(*table(name, rows), f"first question of a person: p50 {first_ms:.1f} ms", sep="\n")
        if arguments.retriever:
            print(f"ranked by the retriever: {ranked_by_model(outcomes):.0%} of the questions")
        print(flush=True)
        records += [record(name, one) for one in outcomes]
        details = [_detail(one) for one in outcomes]
        report["sets"][name] = {"kinds": rows, "first_ms": first_ms, "questions": details}
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))
    if arguments.records:
        arguments.records.write_text("".join(f"{json.dumps(one)}\n" for one in records), "utf-8")


def ranked_by_model(outcomes: Sequence[Asked]) -> float:
    """The share of questions whose order is the retriever's."""
    return statistics.fmean(one.retriever.startswith(BY_MODEL) for one in outcomes)


def record(name: str, outcome: Asked) -> dict[str, Any]:
    """A line of `--records`, as `retriever.evaluating.records.GatewayRecord` reads it."""
    return {
        "set": name,
        "conversation": outcome.conversation,
        "question": outcome.question.id,
        "kind": outcome.question.kind,
        "ranked": list(outcome.ranked),
        "injected_tokens": outcome.injected,
        "seconds": outcome.seconds,
        "is_first": outcome.is_first,
        "retriever": outcome.retriever,
    }


def _detail(outcome: Asked) -> dict[str, Any]:
    question = outcome.question
    return {
        "id": question.id,
        "kind": question.kind,
        "evidence": sorted(question.evidence),
        "ranked": list(outcome.ranked),
        "tokens_after": outcome.tokens_after,
        "ms": round(1000 * outcome.seconds, 2),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Evidence recall through the running service.")
    parser.add_argument("--set", choices=[*SETS, "all"], default="locomo")
    parser.add_argument("--conversations", type=int, help="only the first N of each set")
    parser.add_argument("--budget", type=int, default=2000, help="MEMORY_TOKEN_BUDGET")
    parser.add_argument("--floor", type=float, help="MEMORY_SCORE_FLOOR; the service's own if not")
    parser.add_argument("--seed", type=int, default=0, help="which questions chat is asked too")
    parser.add_argument("--retriever", action="store_true", help="rank with this machine's model")
    parser.add_argument("--records", type=Path, help="where to write what was chosen, JSON lines")
    parser.add_argument("--json", type=Path, help="where to write figures and provenance")
    return parser.parse_args()


if __name__ == "__main__":
    main()
