"""OpenAI's shape of requests and errors, as far as a gateway looks into them. Pure."""

from __future__ import annotations

import json
from typing import Any

from fastapi.responses import JSONResponse

EMBEDDINGS_PATH = "/v1/embeddings"
MODELS_PATH = "/v1/models"


class RequestError(Exception):
    """A request that is refused before anybody pays for it."""

    def __init__(self, message: str, *, status: int = 400, code: str | None = None, param: str | None = None):
        super().__init__(message)
        self.message, self.status, self.code, self.param = message, status, code, param


def check_embeddings_request(body: bytes) -> None:
    """Raises RequestError for what no upstream could serve; the upstream judges the rest."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise RequestError("the body must be a JSON object with 'model' and 'input'")
    if not isinstance(fields.get("model"), str):
        raise RequestError("model must be a string; GET /v1/models lists what is served", param="model")
    if not isinstance(fields.get("input"), str | list) or not fields["input"]:
        raise RequestError("input must be a string or a list, and not empty", param="input")


def is_embedding_list(body: bytes) -> bool:
    """Whether `body` is an answer worth money: a JSON object with a list of data."""
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and isinstance(answer.get("data"), list)


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
