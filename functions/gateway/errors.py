"""Every error a caller can meet, in OpenAI's shape. Knows no HTTP framework and no vendor.

GatewayError
├── BadRequest            400  the body or a parameter is wrong
├── Unauthenticated       401  no credential, or not one of ours
├── Forbidden             403  in the name of somebody else, or beyond one's role
├── NotFound              404  not there, or someone else's
├── MethodNotAllowed      405
├── Contested             409  another request holds what this one needs
├── TooLarge              413  larger than what could ever pass
├── RateLimited           429  try again after `retry_after_seconds`
├── UpstreamFailed        502  the upstream answered something that is no answer
│   └── UpstreamUnreachable    no connection was made: nothing has arrived there
├── Unavailable           503  a dependency is away
└── UpstreamTimedOut      504  the upstream said nothing in time

The body follows https://platform.openai.com/docs/guides/error-codes: `{"error": {"message", "type",
"param", "code"}}`. A message never holds message text, a token or a key.
"""

import math
from typing import Any


class GatewayError(Exception):
    status = 500
    type = "api_error"
    code: str | None = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str | None = None,
        retry_after_seconds: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.code
        self.type = type or self.type
        self.headers = dict(headers or {})
        if retry_after_seconds is not None:
            self.headers["retry-after"] = str(max(1, math.ceil(retry_after_seconds)))

    def body(self) -> dict[str, Any]:
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


class BadRequest(GatewayError):
    status = 400
    type = "invalid_request_error"
    code = None


class Unauthenticated(GatewayError):
    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class Forbidden(GatewayError):
    status = 403
    type = "invalid_request_error"
    code = "forbidden"


class NotFound(GatewayError):
    status = 404
    type = "invalid_request_error"
    code = "not_found"


class MethodNotAllowed(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class TooSlow(GatewayError):
    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class Contested(GatewayError):
    status = 409
    type = "conflict_error"
    code = "conflict"


class TooLarge(GatewayError):
    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class RateLimited(GatewayError):
    status = 429
    type = "requests"
    code = "rate_limit_exceeded"


class UpstreamFailed(GatewayError):
    status = 502
    type = "upstream_error"
    code = "bad_gateway"


class UpstreamUnreachable(UpstreamFailed):
    pass


class Unavailable(GatewayError):
    status = 503
    type = "service_unavailable"
    code = "unavailable"


class UpstreamTimedOut(GatewayError):
    status = 504
    type = "upstream_error"
    code = "upstream_timeout"
