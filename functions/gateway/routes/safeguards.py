"""Headers that keep browsers from doing with an answer what nobody meant, on every answer.

After OWASP's list for APIs
(https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html#security-headers). A
route that sets one of them itself, as a page does with its own policy, is left alone.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

YEAR_SECONDS = 31_536_000
UNLESS_SET = {
    b"x-content-type-options": b"nosniff",
    b"strict-transport-security": f"max-age={YEAR_SECONDS}".encode(),  # ignored over plain HTTP
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",  # all but a few public pages is somebody's own
}


class Safeguards:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                missing = ((name, value) for name, value in UNLESS_SET.items() if name not in names)
                message["headers"] = [*given, *missing]
            await send(message)

        await self._app(scope, receive, guarded)
