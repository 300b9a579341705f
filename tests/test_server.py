"""The server that comes with the function is the fast one."""

import uvloop
from uvicorn.loops.auto import auto_loop_factory
from uvicorn.protocols.http.auto import AutoHTTPProtocol


def test_the_event_loop_is_uvloop() -> None:
    assert auto_loop_factory() is uvloop.new_event_loop


def test_http_is_parsed_by_httptools() -> None:
    assert AutoHTTPProtocol.__module__.endswith("httptools_impl")
