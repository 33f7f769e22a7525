"""The server behind the gateway: what it says is passed on, what it fails to say becomes an error."""

from __future__ import annotations

import httpx
from fastapi import Response

from wellhead.gateway.openai_shape import EMBEDDINGS_PATH, MODELS_PATH, RequestError, is_embedding_list

PASSED_HEADERS = ("content-type", "retry-after")


class Upstream:
    """An OpenAI-shaped server over HTTP. Nothing of the customer's headers reaches it."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._url = url.rstrip("/")
        self._client = httpx.AsyncClient(timeout=timeout_seconds)

    async def embeddings(self, body: bytes) -> Response:
        """The upstream's answer to an embeddings request; its refusals (4xx, 5xx) as they are.

        Raises RequestError (502, 504) when there is no answer, or one that nobody should pay for.
        """
        answer = await self._request("POST", EMBEDDINGS_PATH, body)
        if answer.status_code < 400 and not (answer.status_code == 200 and is_embedding_list(answer.content)):
            raise RequestError(
                f"the node answered {answer.status_code} without embeddings",
                status=502,
                code="upstream_invalid",
            )
        return _passed_on(answer)

    async def models(self) -> Response:
        """The upstream's list of models. Raises RequestError as `embeddings` does."""
        return _passed_on(await self._request("GET", MODELS_PATH))

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.aclose()

    async def _request(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            return await self._client.request(method, self._url + path, content=body, headers=headers)
        except httpx.TimeoutException:
            raise RequestError(
                "the node did not answer in time", status=504, code="upstream_timeout"
            ) from None
        except httpx.HTTPError as error:
            raise RequestError(
                f"the node behind this gateway cannot be reached: {type(error).__name__}",
                status=502,
                code="upstream_unreachable",
            ) from None


def _passed_on(answer: httpx.Response) -> Response:
    headers = {name: answer.headers[name] for name in PASSED_HEADERS if name in answer.headers}
    return Response(answer.content, status_code=answer.status_code, headers=headers)
