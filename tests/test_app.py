"""What every answer has, whatever becomes of its request."""

import logging
from typing import Any

import httpx
import orjson
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.app import build_app
from gateway.errors import Unavailable
from gateway.telemetry.record import current

ORIGIN = "https://page.example"


async def crash(_: Request) -> Response:
    raise RuntimeError("canary")


async def break_off(_: Request) -> Response:
    async def pieces() -> Any:
        yield b"half"
        raise RuntimeError("canary")

    return StreamingResponse(pieces())


async def refuse(request: Request) -> Response:
    raise HTTPException(int(request.path_params["status"]), headers={"x-why": "because"})


async def away(_: Request) -> Response:
    raise Unavailable("away")


async def saving(_: Request) -> Response:
    current().prompted(5, 8, "gpu")
    return Response("fine")


async def well(_: Request) -> Response:
    return Response("fine")


ROUTES = [
    Route("/crash", crash),
    Route("/break", break_off),
    Route("/refuse/{status}", refuse),
    Route("/away", away),
    Route("/well", well),
    Route("/saving", saving),
]


async def ask(path: str, method: str = "GET", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(build_app(ROUTES, [ORIGIN]))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.request(method, path, headers=given)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, dict[str, Any]]]:
    """Levels and fields of the lines that tell of a request."""
    told = [one for one in caplog.records if "api_request" in one.getMessage()]
    return [(one.levelno, orjson.loads(one.getMessage())) for one in told]


async def test_a_crash_can_be_read_by_an_allowed_page(caplog: pytest.LogCaptureFixture) -> None:
    answer = await ask("/crash", origin=ORIGIN, x_request_id="r-1")
    assert answer.status_code == 500
    assert answer.json()["error"] == {
        "message": "The server had an error.",
        "type": "api_error",
        "param": None,
        "code": "internal_error",
    }
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers.get_list("x-request-id") == ["r-1"]
    assert "RuntimeError at" in caplog.text
    assert "canary" not in caplog.text


async def test_a_crash_cannot_be_read_by_another_page() -> None:
    answer = await ask("/crash", origin="https://elsewhere.example")
    assert answer.status_code == 500
    assert "access-control-allow-origin" not in answer.headers


async def test_an_answer_that_has_begun_gets_no_second_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(AssertionError):  # the transport misses the end of the body
        await ask("/break")
    assert "RuntimeError at" in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize("path", ["/well", "/crash", "/nowhere", "/refuse/413"])
async def test_every_answer_has_one_request_id(path: str) -> None:
    for headers in ({}, {"origin": ORIGIN}):
        assert len((await ask(path, **headers)).headers.get_list("x-request-id")) == 1


async def test_a_preflight_has_a_request_id_too() -> None:
    asked = {"origin": ORIGIN, "access_control_request_method": "POST"}
    answer = await ask("/well", "OPTIONS", **asked)
    assert answer.status_code == 200
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (413, "invalid_request_error"), (503, "api_error")],
)
async def test_a_refusal_of_the_frameworks_keeps_its_status(status: int, kind: str) -> None:
    answer = await ask(f"/refuse/{status}")
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == (kind, f"http_{status}", None)
    assert error["message"]
    assert answer.headers["x-why"] == "because"


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/nowhere", "GET", 404, "unknown_url"),
        ("/well", "POST", 405, "method_not_allowed"),
    ],
)
async def test_no_route_and_no_such_method(path: str, method: str, status: int, code: str) -> None:
    answer = await ask(path, method)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("path", ["/away", "/crash", "/refuse/503"])
async def test_a_quiet_log_shows_what_went_wrong_here(
    caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.WARNING):
        await ask(path)
        await ask("/well")
        await ask("/nowhere")
    ((level, line),) = lines(caplog)
    assert level == logging.ERROR
    assert (line["severity"], line["status"]) == ("ERROR", 503 if path != "/crash" else 500)


async def test_an_ordinary_log_shows_every_request(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await ask("/well")
        await ask("/nowhere")
    told = [(level, line["endpoint"], line["severity"]) for level, line in lines(caplog)]
    assert told == [(logging.INFO, "/well", "INFO"), (logging.INFO, "unmatched", "INFO")]


async def test_a_line_tells_when_the_answer_began_and_what_it_saved(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        await ask("/saving")
        await ask("/well")
    saving, plain = (line for _, line in lines(caplog))
    assert (saving["tokens_saved"], saving["retriever"]) == (-3, "gpu")
    assert 0 <= saving["first_byte_ms"] <= saving["duration_ms"]
    assert not {"tokens_saved", "retriever"} & plain.keys()
