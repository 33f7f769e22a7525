"""One paid call with every step kept: what `wellhead infer` shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
from eth_account.signers.local import LocalAccount
from x402 import x402ClientSync
from x402.http.x402_http_client import x402HTTPClientSync
from x402.schemas import PaymentPayload, PaymentRequired, PaymentRequirements

from wellhead.customer.clients import TIMEOUT_SECONDS
from wellhead.customer.once import PaidOnce
from wellhead.customer.terms import exact_offer, read_terms, said, sign_terms
from wellhead.customer.wallet import bounded, network_of
from wellhead.errors import Refused


@dataclass(frozen=True)
class Terms:
    """What the 402 asks for. Amounts are atomic stablecoin units."""

    url: str
    price_usd6: int
    asset: str
    pay_to: str
    network: str
    scheme: str
    valid_seconds: int


@dataclass(frozen=True)
class SignedPayment:
    """What the customer signed: an EIP-3009 authorization. `valid_before` is a time in seconds."""

    payer: str
    pay_to: str
    value_usd6: int
    valid_before: int
    nonce: str
    signature: str


@dataclass(frozen=True)
class Answer:
    """What was bought."""

    model: str
    embeddings: int
    dimensions: int
    prompt_tokens: int
    body: dict[str, Any]


@dataclass(frozen=True)
class Receipt:
    """What the gateway settled: the transaction that moved the money."""

    transaction: str
    payer: str
    network: str


@dataclass(frozen=True)
class PaidCall:
    """The four steps of one call."""

    terms: Terms
    payment: SignedPayment
    answer: Answer
    receipt: Receipt


class Customer:
    """One account that pays a gateway. Use as a context: it holds connections."""

    def __init__(
        self,
        gateway_url: str,
        account: LocalAccount,
        rpc_url: str,
        asset: str,
        max_usd6_per_payment: int,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """`max_usd6_per_payment` is the dearest offer that is signed, in atomic units."""
        root = gateway_url.rstrip("/")
        self._url, self._models_url = f"{root}/v1/embeddings", f"{root}/v1/models"
        wallet = bounded(x402ClientSync(), account, network_of(rpc_url), asset, max_usd6_per_payment)
        self._x402 = x402HTTPClientSync(wallet)
        self._http = httpx.Client(transport=PaidOnce(httpx.HTTPTransport()), timeout=timeout_seconds)

    def __enter__(self) -> Customer:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def models(self) -> list[str]:
        """What the gateway serves; free. Raises Refused."""
        answer = self._send("GET", self._models_url)
        try:
            return [str(model["id"]) for model in answer.json()["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"{self._models_url} lists no models: {said(answer)}") from error

    def quote(self, model: str, texts: list[str]) -> Terms:
        """The terms of a call that is not made. Raises Refused."""
        return _terms(self._url, exact_offer(self._ask(_request(model, texts))))

    def infer(self, model: str, texts: list[str]) -> PaidCall:
        """Embed `texts`, paying for it. Raises Refused when nothing was paid, PaidButUnanswered otherwise."""
        request = _request(model, texts)
        terms = self._ask(request)
        payment, header = sign_terms(self._x402, terms)
        answer = self._post(request, header)
        if answer.status_code != 200:
            raise Refused(f"the paid call was refused with {answer.status_code}: {said(answer)}")
        try:
            receipt = self._x402.get_payment_settle_response(answer.headers.get)
        except ValueError as error:
            raise Refused(f"{self._url} answered a paid call without a receipt") from error
        return PaidCall(
            _terms(self._url, payment.accepted),
            _signed(payment),
            _answer(answer),
            Receipt(receipt.transaction, receipt.payer or "", str(receipt.network)),
        )

    def _ask(self, request: dict[str, Any]) -> PaymentRequired:
        answer = self._post(request)
        if answer.status_code == 200:
            raise Refused(f"{self._url} asks for no payment: is this the node instead of its gateway?")
        if answer.status_code != 402:
            raise Refused(f"the gateway refused with {answer.status_code}: {said(answer)}")
        return read_terms(self._x402, answer)

    def _post(self, request: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
        return self._send("POST", self._url, json=request, headers=headers)

    def _send(self, method: str, url: str, **content: Any) -> httpx.Response:
        try:
            return self._http.request(method, url, **content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Refused(f"no gateway answers at {url}: {type(error).__name__}") from error


def _request(model: str, texts: list[str]) -> dict[str, Any]:
    return {"model": model, "input": texts, "encoding_format": "float"}


def _terms(url: str, offer: PaymentRequirements) -> Terms:
    return Terms(
        url,
        int(offer.amount),
        offer.asset,
        offer.pay_to,
        str(offer.network),
        offer.scheme,
        offer.max_timeout_seconds,
    )


def _signed(payment: PaymentPayload) -> SignedPayment:
    terms = payment.payload["authorization"]
    return SignedPayment(
        terms["from"],
        terms["to"],
        int(terms["value"]),
        int(terms["validBefore"]),
        terms["nonce"],
        payment.payload["signature"],
    )


def _answer(answer: httpx.Response) -> Answer:
    try:
        body = answer.json()
        vectors = [[float(number) for number in item["embedding"]] for item in body["data"]]
        tokens = int(body.get("usage", {}).get("prompt_tokens", 0))
        return Answer(str(body.get("model", "")), len(vectors), len(vectors[0]), tokens, body)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Refused(f"{answer.url} answered a paid call without embeddings: {error!r}") from error
