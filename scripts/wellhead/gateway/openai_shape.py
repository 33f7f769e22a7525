"""OpenAI's shape of requests and errors, as far as a gateway looks into them. Pure."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse


class RequestError(Exception):
    """A request that is refused before anybody pays for it."""

    def __init__(self, message: str, *, status: int = 400, code: str | None = None, param: str | None = None):
        super().__init__(message)
        self.message, self.status, self.code, self.param = message, status, code, param


def error_body(
    message: str, status: int, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """The error object that OpenAI clients decode."""
    if status == 402:
        kind = "payment_required"
    elif status < 500:
        kind = "invalid_request_error"
    else:
        kind = "server_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def refusal(error: RequestError) -> JSONResponse:
    """`error` as an answer."""
    return JSONResponse(
        error_body(error.message, error.status, error.code, error.param), status_code=error.status
    )
