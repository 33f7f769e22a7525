"""The application: a request is read, judged, charged for, passed on, settled.

Paid is what was answered: x402's middleware verifies the payment first, lets the upstream work, and
settles only after an answer below 400. An upstream's refusal or silence costs nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from x402 import x402ResourceServer
from x402.http import PAYMENT_SIGNATURE_HEADER
from x402.http.middleware.fastapi import payment_middleware
from x402.http.types import PaymentOption, RouteConfig
from x402.mechanisms.evm.exact.register import register_exact_evm_server
from x402.schemas import AssetAmount

from wellhead.gateway.body_limit import BodyLimit
from wellhead.gateway.config import GatewayConfig
from wellhead.gateway.facilitator import Facilitator, TokenDomain
from wellhead.gateway.in_use import AuthorizationsInUse
from wellhead.gateway.openai_shape import (
    EMBEDDINGS_PATH,
    MODELS_PATH,
    RequestError,
    check_embeddings_request,
    refusal,
)
from wellhead.gateway.payment_errors import with_openai_error
from wellhead.gateway.upstream import Upstream

Next = Callable[[Request], Awaitable[Response]]


def create_app(config: GatewayConfig, facilitator: Facilitator) -> FastAPI:
    """The gateway that `config` describes."""
    upstream = Upstream(str(config.upstream_url), config.upstream_timeout_seconds)
    server = x402ResourceServer(facilitator)
    register_exact_evm_server(server, config.network)
    routes = {f"POST {EMBEDDINGS_PATH}": _offer(config, facilitator.domain)}
    pay = payment_middleware(routes, server)
    in_use = AuthorizationsInUse()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await upstream.close()

    app = FastAPI(
        title="Wellhead gateway",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # a redirect is below 400: it would be charged for
        lifespan=lifespan,
    )
    app.include_router(upstream_routes(upstream))

    @app.get("/healthz")
    async def healthz() -> dict[str, str | int]:
        return {
            "status": "ok",
            "network": config.network,
            "asset": config.asset,
            "pay_to": config.pay_to,
            "price_usd6": config.price_usd6,
        }

    @app.middleware("http")
    async def charge(request: Request, call_next: Next) -> Response:
        if request.method != "POST" or request.url.path != EMBEDDINGS_PATH:
            return await call_next(request)  # x402 matches paths loosely: nobody shall pay for a 404
        try:
            check_embeddings_request(await request.body())  # before anybody signs a payment for it
            with in_use.claim(request.headers.get(PAYMENT_SIGNATURE_HEADER)):
                return with_openai_error(await pay(request, call_next))
        except RequestError as error:
            return refusal(error)

    @app.exception_handler(HTTPException)
    async def unknown_route(request: Request, error: HTTPException) -> Response:
        message = f"{request.method} {request.url.path}: {error.detail}; POST {EMBEDDINGS_PATH} embeds text"
        return refusal(RequestError(message, status=error.status_code))

    app.add_middleware(BodyLimit, max_bytes=config.max_body_bytes)  # added last: it sees requests first
    return app


def upstream_routes(upstream: Upstream) -> APIRouter:
    """What is passed on: embeddings for a verified payment, the list of models for nothing."""
    router = APIRouter()

    @router.post(EMBEDDINGS_PATH)
    async def embeddings(request: Request) -> Response:
        try:
            if getattr(request.state, "payment_payload", None) is None:
                # Unreachable behind the payment middleware; should its routes ever differ from ours, nobody
                # is served for nothing.
                raise RequestError("no payment was verified for this request", status=402)
            return await upstream.embeddings(await request.body())
        except RequestError as error:
            return refusal(error)

    @router.get(MODELS_PATH)
    async def models() -> Response:
        try:
            return await upstream.models()
        except RequestError as error:
            return refusal(error)

    return router


def _offer(config: GatewayConfig, domain: TokenDomain) -> RouteConfig:
    price = AssetAmount(
        amount=str(config.price_usd6),
        asset=config.asset,
        extra={"name": domain.name, "version": domain.version},
    )
    option = PaymentOption(
        scheme="exact",
        pay_to=config.pay_to,
        price=price,
        network=config.network,
        max_timeout_seconds=config.payment_valid_seconds,
    )
    return RouteConfig(accepts=option, description="One embeddings request", mime_type="application/json")
