"""One paid call with every step kept: what `wellhead infer` shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
from x402.http import PAYMENT_RESPONSE_HEADER
from x402.schemas import PaymentRequired, PaymentRequirements

from wellhead.customer.clients import TIMEOUT_SECONDS
from wellhead.customer.exchange import Answered, drive, exchange, receipt_of
from wellhead.customer.once import PaidButUnanswered, PaidOnce
from wellhead.customer.payment import Payment
from wellhead.customer.purse import Purse
from wellhead.customer.receipts import read_receipt
from wellhead.customer.terms import read_terms, said
from wellhead.errors import Refused


@dataclass(frozen=True)
class Terms:
    """What the 402 asks for. Amounts are atomic stablecoin units."""

    url: str
    # The most that the call may cost.
    ceiling_usd6: int
    asset: str
    pay_to: str
    network: str
    scheme: str
    withdraw_delay_seconds: int


@dataclass(frozen=True)
class SignedPayment:
    """What the customer signed: a ceiling on all that is ever claimed from the channel, and perhaps a deposit."""

    payer: str
    channel_id: str
    ceiling_usd6: int
    deposit_usd6: int
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
    """What the gateway charged: for this call, and on the channel so far. `transaction` is the deposit's, if any."""

    charged_usd6: int
    charged_in_all_usd6: int
    channel_balance_usd6: int
    transaction: str


@dataclass(frozen=True)
class PaidCall:
    """The four steps of one call."""

    terms: Terms
    payment: SignedPayment
    answer: Answer
    receipt: Receipt


class Customer:
    """One purse that pays a gateway. Use as a context: it holds connections."""

    def __init__(self, gateway_url: str, purse: Purse, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        root = gateway_url.rstrip("/")
        self._url, self._models_url = f"{root}/v1/embeddings", f"{root}/v1/models"
        self._purse = purse
        self._http = httpx.Client(transport=PaidOnce(httpx.HTTPTransport()), timeout=timeout_seconds)

    def __enter__(self) -> Customer:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def models(self) -> list[str]:
        """What the gateway serves; free. Raises Refused."""
        answer = self._send(self._build("GET", self._models_url))
        try:
            return [str(model["id"]) for model in answer.json()["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"{self._models_url} lists no models: {said(answer)}") from error

    def quote(self, model: str, texts: list[str]) -> Terms:
        """The terms of a call that is not made. Raises Refused."""
        return _terms(self._url, self._purse.choose(self._ask(_request(model, texts))))

    def infer(self, model: str, texts: list[str]) -> PaidCall:
        """Embed `texts`, paying for it. Raises Refused when nothing was paid, PaidButUnanswered otherwise."""
        body = _request(model, texts)
        offer = self._purse.choose(self._ask(body))
        request = self._build("POST", self._url, body)
        return self._received(drive(exchange(self._purse, self._purse.try_pay, offer, request), self._send))

    def refund(self) -> int:
        """Have all that the channel has left given back; how much that was. Raises Refused."""
        request = self._build("GET", self._url)
        offer = self._purse.choose(read_terms(self._send(request)))
        asking = exchange(self._purse, self._purse.try_ask_back, offer, request)
        answer, payment = drive(asking, self._send)
        self._purse.unsettled(payment)  # it buys nothing
        header = answer.headers.get(PAYMENT_RESPONSE_HEADER)
        if header is None or read_receipt(header) is None:
            raise Refused(f"the refund was refused: {said(answer)}")
        return self._purse.given_back(payment)

    def _received(self, answered: Answered) -> PaidCall:
        answer, payment = answered
        receipt = receipt_of(self._purse, answered)
        if answer.status_code != 200:
            raise Refused(f"the paid call was refused with {answer.status_code}: {said(answer)}")
        if receipt is None:
            raise PaidButUnanswered(
                f"{self._url} answered a paid call without a receipt: look before paying again"
            )
        charged = int(receipt["chargedAmount"])
        state = receipt.get("channelState", {})
        return PaidCall(
            _terms(self._url, payment.requirements),
            _signed(payment),
            _answer(answer),
            Receipt(
                charged,
                int(state.get("chargedCumulativeAmount", charged)),
                int(state.get("balance", 0)),
                receipt["transaction"],
            ),
        )

    def _ask(self, body: dict[str, Any]) -> PaymentRequired:
        answer = self._send(self._build("POST", self._url, body))
        if answer.status_code == 200:
            raise Refused(f"{self._url} asks for no payment: is this the node instead of its gateway?")
        if answer.status_code != 402:
            raise Refused(f"the gateway refused with {answer.status_code}: {said(answer)}")
        return read_terms(answer)

    def _build(self, method: str, url: str, body: dict[str, Any] | None = None) -> httpx.Request:
        try:
            return self._http.build_request(method, url, json=body)
        except httpx.InvalidURL as error:
            raise Refused(f"no gateway can be at {url}: {error}") from error

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._http.send(request)
        except httpx.HTTPError as error:  # before a payment: PaidOnce turns those after one into its own
            raise Refused(f"no gateway answers at {request.url}: {type(error).__name__}") from error


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
        offer.extra["withdrawDelay"],
    )


def _signed(payment: Payment) -> SignedPayment:
    return SignedPayment(
        payment.payload["channelConfig"]["payer"],
        f"0x{payment.channel_id.hex()}",
        payment.ceiling_usd6,
        payment.deposit_usd6,
        payment.payload["voucher"]["signature"],
    )


def _answer(answer: httpx.Response) -> Answer:
    try:
        body = answer.json()
        vectors = [[float(number) for number in item["embedding"]] for item in body["data"]]
        tokens = int(body.get("usage", {}).get("prompt_tokens", 0))
        return Answer(str(body.get("model", "")), len(vectors), len(vectors[0]), tokens, body)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise PaidButUnanswered(f"{answer.url} answered a paid call without embeddings: {error!r}") from error
