"""A purse without a chain and a gateway without a network: whatever becomes of a payment, it ends, and the next call
is signed for as if that one had never been under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from customer_doubles import (
    DEPOSIT,
    PATIENCE_SECONDS,
    PRICE,
    URL,
    Chain,
    Gateway,
    answer,
    asking,
    call_async,
    call_sync,
    next_payment,
    offer,
    purse_of,
    receipt,
    terms,
)
from x402.http.utils import decode_payment_signature_header, encode_payment_required_header
from x402.mechanisms.evm.batch_settlement.errors import ERR_CHANNEL_BUSY
from x402.schemas import PaymentRequirements

from wellhead.customer import exchange
from wellhead.customer.once import PaidButUnanswered
from wellhead.customer.spending import SpendingLimit
from wellhead.customer.transports import AsyncPayingTransport, PayingTransport
from wellhead.errors import Refused

both = pytest.mark.parametrize("call", [call_sync, call_async], ids=["sync", "async"])


# Payments end -----------------------------------------------------------------------------------------------


def test_a_chain_that_is_down_after_a_lost_deposit_hangs_nobody() -> None:
    chain = Chain()
    purse = purse_of(chain)
    lost = next_payment(purse)
    chain.down = True
    purse.unsettled(lost)
    with pytest.raises(Refused, match="the chain does not say"):
        next_payment(purse)
    chain.down, chain.balance = False, DEPOSIT  # it had been taken after all
    again = next_payment(purse)
    assert (again.ceiling_usd6, again.deposit_usd6) == (PRICE, 0)


@both
@pytest.mark.parametrize(
    "broken",
    [
        (402, {"PAYMENT-REQUIRED": "!!"}),
        (200, {"PAYMENT-RESPONSE": "!!"}),
        (200, {"PAYMENT-RESPONSE": receipt(PRICE + 1)}),
        (200, {}),
        (500, {}),
    ],
    ids=["unreadable terms", "unreadable receipt", "impossible receipt", "no receipt", "failure"],
)
def test_whatever_a_gateway_answers_the_payment_ends(call: Any, broken: tuple[int, dict[str, str]]) -> None:
    status, headers = broken
    purse, gateway = purse_of(Chain()), Gateway(httpx.Response(status, headers=headers, content=b"{}"))
    try:
        assert call(purse, gateway).status_code == status
    except PaidButUnanswered:
        assert "PAYMENT-RESPONSE" in headers
    again = next_payment(purse)
    assert (again.ceiling_usd6, again.deposit_usd6) == (PRICE, DEPOSIT)


@both
def test_a_connection_that_breaks_ends_the_payment(call: Any) -> None:
    def hang_up(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)

    purse = purse_of(Chain())
    with pytest.raises(PaidButUnanswered):
        call(purse, Gateway(hang_up))
    assert next_payment(purse).ceiling_usd6 == PRICE


class BreakingOff(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield b"data: {}"
        raise httpx.ReadError("the connection broke")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


@both
def test_a_failure_that_breaks_off_is_no_error_to_try_again_after(call: Any) -> None:
    """Though it says that it comes in pieces: OpenAI's clients would read it within their loop."""
    headers = {"content-type": "text/event-stream"}
    purse = purse_of(Chain())
    with pytest.raises(PaidButUnanswered):
        call(purse, Gateway(lambda _: httpx.Response(500, headers=headers, stream=BreakingOff())))
    assert next_payment(purse).ceiling_usd6 == PRICE


def test_a_call_that_is_given_up_while_the_chain_is_asked_leaves_nothing_under_way() -> None:
    chain = Chain()
    chain.answers.clear()
    purse, gateway = purse_of(chain), Gateway(answer())

    async def give_up() -> None:
        transport = AsyncPayingTransport(purse, httpx.MockTransport(gateway.later))
        async with httpx.AsyncClient(transport=transport) as http:
            call = asyncio.create_task(http.post(URL, json={}))
            assert await asyncio.to_thread(chain.asked.wait, PATIENCE_SECONDS)
            call.cancel()
            await asyncio.wait([call])
            chain.answers.set()

    asyncio.run(give_up())
    assert next_payment(purse).ceiling_usd6 == PRICE
    assert gateway.ceilings == []


def test_a_call_that_is_given_up_while_the_gateway_serves_it_ends() -> None:
    purse = purse_of(Chain())

    async def give_up() -> None:
        paid = asyncio.Event()

        async def serve(request: httpx.Request) -> httpx.Response:
            if "PAYMENT-SIGNATURE" not in request.headers:
                return asking()
            paid.set()
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        transport = AsyncPayingTransport(purse, httpx.MockTransport(serve))
        async with httpx.AsyncClient(transport=transport) as http:
            call = asyncio.create_task(http.post(URL, json={}))
            await paid.wait()
            call.cancel()
            await asyncio.wait([call])

    asyncio.run(give_up())
    assert next_payment(purse).ceiling_usd6 == PRICE


def test_only_the_first_end_of_a_payment_counts() -> None:
    purse = purse_of(Chain(DEPOSIT))
    first, second = next_payment(purse), next_payment(purse)
    purse.settled(first, {"chargedAmount": "400"})
    purse.unsettled(first)
    assert next_payment(purse).ceiling_usd6 == 400 + second.begun.amount + PRICE


def test_an_offer_that_cannot_be_signed_leaves_nothing_under_way() -> None:
    purse = purse_of(Chain())
    nameless = offer(extra={"name": None})
    with pytest.raises((Refused, ValueError)):
        purse.pay(nameless)
    assert next_payment(purse).ceiling_usd6 == PRICE


# Refusals ---------------------------------------------------------------------------------------------------


def correcting(payment_header: str, charged: int) -> PaymentRequirements:
    """What a gateway says that it charged, with the customer's own voucher for proof."""
    voucher = decode_payment_signature_header(payment_header).payload["voucher"]
    return offer(
        extra={
            "channelState": {"chargedCumulativeAmount": str(charged)},
            "voucherState": {
                "signedMaxClaimable": voucher["maxClaimableAmount"],
                "signature": voucher["signature"],
            },
        }
    )


def greedy(request: httpx.Request) -> httpx.Response:
    """Serves nothing, and says that it charged all that it was signed."""
    header = request.headers["PAYMENT-SIGNATURE"]
    ceiling = decode_payment_signature_header(header).payload["voucher"]["maxClaimableAmount"]
    return asking(correcting(header, int(ceiling)))


def outcome(call: Callable[[], httpx.Response]) -> str:
    try:
        return str(call().status_code)
    except Refused as refused:
        return str(refused).partition(":")[0]


@both
def test_a_gateway_that_refuses_and_corrects_gets_no_more_than_the_days_limit(
    tmp_path: Path, call: Any
) -> None:
    limit = SpendingLimit(tmp_path / "spent.json", 5 * PRICE)
    purse, gateway = purse_of(Chain(DEPOSIT), limit), Gateway(greedy)
    outcomes = [outcome(lambda: call(purse, gateway)) for _ in range(5)]
    assert outcomes[-1] == "nothing was signed"
    assert max(gateway.ceilings) == limit.spent_usd6 == 5 * PRICE


def test_receipts_that_take_less_than_the_gateway_claims_later_do_not_widen_the_limit(tmp_path: Path) -> None:
    limit = SpendingLimit(tmp_path / "spent.json", 5 * PRICE)
    purse = purse_of(Chain(DEPOSIT), limit)
    gateway = Gateway(answer(charged=0), greedy, answer(charged=0), greedy)
    outcomes = [outcome(lambda: call_sync(purse, gateway)) for _ in range(6)]
    assert outcomes[:2] == ["200", "200"]
    assert outcomes[-1] == "nothing was signed"
    assert max(gateway.ceilings) == limit.spent_usd6 == 5 * PRICE


def test_a_purse_that_starts_anew_does_not_spend_the_day_twice(tmp_path: Path) -> None:
    """What an earlier one signed and the gateway has not claimed yet is counted already."""
    file, chain = tmp_path / "spent.json", Chain(DEPOSIT)
    sent: list[str] = []

    def remembers(_: httpx.Request) -> httpx.Response:
        return asking(correcting(sent[-1], 3 * PRICE))

    def keeps(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["PAYMENT-SIGNATURE"])
        return greedy(request)

    call_sync(purse_of(chain, SpendingLimit(file, 4 * PRICE)), Gateway(keeps))
    limit = SpendingLimit(file, 4 * PRICE)
    assert limit.spent_usd6 == 3 * PRICE  # it tried three times
    gateway = Gateway(remembers, answer())
    assert call_sync(purse_of(chain, limit), gateway).status_code == 200
    assert gateway.ceilings == [PRICE, 4 * PRICE]
    assert limit.spent_usd6 == 4 * PRICE


@pytest.mark.parametrize("said", [str(2**128), "9" * 5_000, "-1", "abc", None])
def test_books_that_no_channel_can_hold_are_passed_over(said: str | None) -> None:
    voucher = {"signedMaxClaimable": said, "signature": "0x" + "11" * 65}
    states = ({"chargedCumulativeAmount": said}, {"chargedCumulativeAmount": "1"})
    for state in states:
        refusing = asking(offer(extra={"channelState": state, "voucherState": voucher, "reserved": said}))
        gateway = Gateway(refusing)
        assert call_sync(purse_of(Chain(DEPOSIT)), gateway).status_code == 402
        assert gateway.ceilings == [PRICE]


@both
def test_a_channel_that_was_emptied_elsewhere_is_filled_anew(call: Any) -> None:
    """A refusal is a reason to ask the chain again what the channel holds."""
    chain = Chain(DEPOSIT)
    purse = purse_of(chain)
    purse.settled(next_payment(purse), {"chargedAmount": str(PRICE)})
    chain.balance = 0
    gateway = Gateway(greedy, answer())
    assert call(purse, gateway).status_code == 200
    assert gateway.ceilings == [2 * PRICE, 3 * PRICE]
    assert gateway.deposits == 1


def busy(retry_after: str | None) -> httpx.Response:
    refusal = httpx.Response(
        402, headers={"PAYMENT-REQUIRED": encode_payment_required_header(terms(error=ERR_CHANNEL_BUSY))}
    )
    if retry_after is not None:
        refusal.headers["retry-after"] = retry_after
    return refusal


def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, without waiting."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(exchange.time, "sleep", pauses.append)
    monkeypatch.setattr(exchange.asyncio, "sleep", pause)
    return pauses


@both
def test_a_busy_channel_is_asked_again_when_its_gateway_says(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = waited(monkeypatch)
    purse, gateway = purse_of(Chain(DEPOSIT)), Gateway(busy("2"), busy("1"), answer())
    assert call(purse, gateway).status_code == 200
    assert (pauses, gateway.ceilings) == ([2.0, 1.0], [PRICE] * 3)
    assert next_payment(purse).ceiling_usd6 == 2 * PRICE


@both
@pytest.mark.parametrize(
    ("said", "times"), [("1", 10), ("0", 10), ("4", 2), ("11", 0), ("soon", 0), ("-1", 0), (None, 0)]
)
def test_a_channel_that_stays_busy_is_not_waited_for_long(
    call: Any, said: str | None, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = waited(monkeypatch)
    purse, gateway = purse_of(Chain(DEPOSIT)), Gateway(busy(said))
    assert call(purse, gateway).status_code == 402
    assert pauses == ([float(said or 0)] * times if times else [])
    assert next_payment(purse).ceiling_usd6 == PRICE  # nothing is under way


def test_after_a_refusal_the_next_call_asks_anew() -> None:
    """The gateway may have moved to other terms for good."""
    gateway = Gateway(answer(), asking(offer(pay_to="0x" + "44" * 20)), answer())
    transport = PayingTransport(purse_of(Chain(DEPOSIT)), httpx.MockTransport(gateway))
    with httpx.Client(transport=transport) as http:
        assert [http.post(URL, json={}).status_code for _ in range(3)] == [200, 402, 200]
    assert gateway.asked == 2


# Bounds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "abc"},
        {"amount": "-1"},
        {"amount": "٣"},
        {"amount": "9" * 5_000},
        {"amount": "0"},
        {"pay_to": "0x1234"},
        {"extra": {"receiverAuthorizer": "somebody"}},
        {"extra": {"name": None}},
        {"extra": {"withdrawDelay": "86400"}},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_an_offer_that_cannot_be_paid_is_refused_in_words(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="outside this wallet's bounds"):
        purse_of(Chain()).choose(terms(offer(**changes)))
    assert purse_of(Chain()).choose(terms(offer(**changes), offer())) == offer()


def test_a_paid_call_that_broke_is_no_refusal() -> None:
    """Whoever catches refusals, of which nothing came, must not catch it."""
    assert not issubclass(PaidButUnanswered, Refused)
