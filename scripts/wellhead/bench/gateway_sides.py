"""The other sides of the gateway's benchmark, each a process of its own: a bare upstream; before it a proxy of the
gateway's own server and client that sells nothing, or x402's own middleware.

`python -m wellhead.bench.gateway_sides upstream PORT`
`python -m wellhead.bench.gateway_sides bare_proxy PORT UPSTREAM`
`python -m wellhead.bench.gateway_sides stock PORT UPSTREAM RPC ASSET RECEIVER PRICE`
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from x402 import x402FacilitatorSync, x402ResourceServer
from x402.http.middleware.fastapi import payment_middleware
from x402.http.types import PaymentOption, RouteConfig
from x402.mechanisms.evm import FacilitatorWeb3Signer
from x402.mechanisms.evm.batch_settlement.authorizer_signer import LocalAuthorizerSigner
from x402.mechanisms.evm.batch_settlement.facilitator import BatchSettlementEvmFacilitator
from x402.mechanisms.evm.batch_settlement.server import (
    BatchSettlementEvmScheme,
    BatchSettlementEvmSchemeServerConfig,
)
from x402.schemas import AssetAmount, PaymentPayload, PaymentRequirements, SettleResponse, VerifyResponse
from x402.schemas.responses import SupportedResponse

from wellhead.chain import keys, local
from wellhead.gateway.upstreams import Upstreams

PATH = "/v1/embeddings"
DIMENSIONS = 384
NETWORK = f"eip155:{local.CHAIN_ID}"


def upstream() -> ASGIApp:
    """The least that an upstream can do: one embedding of a usual length, always the same."""
    vector = [round((number * 7919 % 2_000 - 1_000) / 1_000, 6) for number in range(DIMENSIONS)]
    answer = json.dumps(
        {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": vector}],
            "model": "bench",
            "usage": {"prompt_tokens": 8, "total_tokens": 8},
        }
    ).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


def bare_proxy(upstream_url: str) -> ASGIApp:
    """What a call costs that the gateway only passes on: as fast as anything that sells calls on its parts can be."""
    upstreams = Upstreams([upstream_url], timeout_seconds=30)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        async with upstreams.ask(scope["path"], body, stream=False) as answer:
            await Response(answer.body, answer.status, answer.headers)(scope, receive, send)

    return app


class InProcess:
    """x402's facilitator client without a network between; its code blocks on the chain, so it runs in threads."""

    def __init__(self, inner: x402FacilitatorSync) -> None:
        self._inner = inner

    def get_supported(self) -> SupportedResponse:
        return self._inner.get_supported()

    async def verify(self, payload: PaymentPayload, requirements: PaymentRequirements) -> VerifyResponse:
        return await asyncio.to_thread(self._inner.verify, payload, requirements)

    async def settle(self, payload: PaymentPayload, requirements: PaymentRequirements) -> SettleResponse:
        return await asyncio.to_thread(self._inner.settle, payload, requirements)


def stock(upstream_url: str, rpc_url: str, asset: str, receiver: str, price_usd6: int) -> FastAPI:
    """x402's FastAPI middleware as its documentation has it, before a handler that asks the upstream by httpx."""
    facilitator = x402FacilitatorSync()
    signer = FacilitatorWeb3Signer(keys.local_account("facilitator").key.hex(), rpc_url)
    facilitator.register([NETWORK], BatchSettlementEvmFacilitator(signer))
    authorizer = LocalAuthorizerSigner(keys.local_account("treasury"))
    scheme = BatchSettlementEvmScheme(
        receiver,
        BatchSettlementEvmSchemeServerConfig(
            receiver_authorizer_signer=authorizer, withdraw_delay=86_400, onchain_state_ttl_ms=3_600_000
        ),
    )
    server = x402ResourceServer(InProcess(facilitator))
    server.register(NETWORK, scheme)  # type: ignore[arg-type]  # declared narrower than what it takes
    price = AssetAmount(amount=str(price_usd6), asset=asset, extra={"name": "Mock USD", "version": "2"})
    option = PaymentOption(scheme="batch-settlement", pay_to=receiver, price=price, network=NETWORK)
    pay = payment_middleware({f"POST {PATH}": RouteConfig(accepts=option)}, server)
    client = httpx.AsyncClient(timeout=30)
    app = FastAPI()

    @app.middleware("http")
    async def charge(request: Request, call_next: Any) -> Any:
        return await pay(request, call_next)

    @app.post(PATH)
    async def embeddings(request: Request) -> Response:
        answer = await client.post(
            upstream_url + PATH, content=await request.body(), headers={"content-type": "application/json"}
        )
        return Response(answer.content, media_type="application/json")

    return app


def main(arguments: list[str]) -> None:
    """Serve the side that is named, on loopback."""
    side, port, *rest = arguments
    app: ASGIApp
    if side == "upstream":
        app = upstream()
    elif side == "bare_proxy":
        app = bare_proxy(*rest)
    else:
        upstream_url, rpc_url, asset, receiver, price = rest
        app = stock(upstream_url, rpc_url, asset, receiver, int(price))
    uvicorn.run(app, host=local.HOST, port=int(port), log_level="error", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1:])
