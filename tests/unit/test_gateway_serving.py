"""How calls end when something beside the node fails: the money, the books, or the call itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from starlette.types import Message

from wellhead.gateway.app import Counter
from wellhead.gateway.meters import Meters
from wellhead.gateway.paths import CHAT_PATH
from wellhead.gateway.prices import ModelPrice
from wellhead.gateway.sale import OpenSale, PaymentRefusedError, Receipt

DATABASE_AWAY = OperationalError("INSERT", {}, Exception("it is away"))
NO_FUNDS = PaymentRefusedError("transaction_failed", "it did not settle", response_header="unsettled")
WORDS = [
    b"data: " + json.dumps({"choices": [{"delta": {"content": word}}]}).encode() + b"\n\n" for word in "abc"
]
ROLE = b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n'
DONE = b"data: [DONE]\n\n"


class Ledger:
    """A sale that writes down what becomes of it, in the same list as what is sent."""

    def __init__(self, story: list[Any], error: Exception | None = None) -> None:
        self.story, self._error = story, error
        self.charging = asyncio.Event()
        self.may_charge = asyncio.Event()
        self.may_charge.set()

    async def charge(self, cost_usd6: int) -> Receipt:
        return await asyncio.shield(self._charge(cost_usd6))

    async def _charge(self, cost_usd6: int) -> Receipt:
        self.charging.set()
        await self.may_charge.wait()
        if self._error is not None:
            raise self._error
        self.story.append("charged")
        return Receipt("receipt", cost_usd6)

    async def release(self) -> Receipt | None:
        self.story.append("released")
        return None


class Call:
    """One call to a counter before a node that sends `chunks`, waiting for `go_on` where there is None."""

    def __init__(
        self,
        chunks: list[bytes | None],
        *,
        stream: bool = True,
        error: Exception | None = None,
        charges_first: bool = False,
    ) -> None:
        self.story: list[Any] = []
        self.ledger = Ledger(self.story, error)
        self.asked, self.go_on, self.hung_up = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._chunks, self._stream, self._charges_first = chunks, stream, charges_first
        config = SimpleNamespace(models=(ModelPrice(id="m", usd6_per_call=5),), max_body_bytes=1_000)
        terms: Any = SimpleNamespace(config=config)
        here: Any = self
        self._counter = Counter(terms, here, here, Meters(), lambda *_: None)
        body = json.dumps({"model": "m", "stream": stream, "messages": ["x"]}).encode()
        self._pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def run(self) -> list[Any]:
        """What happened, in order: charged, released, statuses, bodies."""
        scope = {
            "type": "http",
            "method": "POST",
            "path": CHAT_PATH,
            "headers": [(b"payment-signature", b"x")],
        }
        await asyncio.wait_for(self._counter(scope, self._receive, self._send), 5)
        return self.story

    # As the counter knows the till and the nodes.

    async def open(self, *_: object) -> OpenSale:
        return OpenSale(self.ledger, charges_first=self._charges_first)

    @asynccontextmanager
    async def ask(self, *_: object, stream: bool) -> AsyncIterator[Any]:
        assert stream == self._stream
        self.asked.set()
        if not stream and None in self._chunks:
            await self.go_on.wait()
        yield SimpleNamespace(
            body=None if stream else b"".join(chunk for chunk in self._chunks if chunk),
            **{"status": 200, "headers": {}, "waited_seconds": 0.1, "member": 0, "chunks": self._come},
        )

    async def _come(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            if chunk is None:
                await self.go_on.wait()
            else:
                yield chunk

    async def _receive(self) -> Message:
        if self._pending:
            return self._pending.pop()
        await self.hung_up.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.story.append(message["status"] if "status" in message else message["body"])
        if "status" in message:
            self.headers = dict(message["headers"])


async def moment(holds: Callable[[], bool]) -> None:
    """Waits for other tasks, which wait for nothing themselves."""
    for _ in range(100):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came true")


def test_a_stream_by_channel_is_charged_at_its_end() -> None:
    story = asyncio.run(Call([*WORDS, DONE]).run())
    assert story[:5] == [200, *WORDS, "charged"]
    assert story[5].startswith(DONE + b"event: payment-response")


def test_a_stream_that_is_charged_first_shows_nothing_before() -> None:
    async def story() -> None:
        call = Call([ROLE, *WORDS, DONE], charges_first=True)
        call.ledger.may_charge.clear()
        running = asyncio.create_task(call.run())
        await call.ledger.charging.wait()
        assert call.story == []
        call.ledger.may_charge.set()
        happened = await running
        assert happened[:5] == ["charged", 200, ROLE + WORDS[0], *WORDS[1:]]
        assert happened[5] == DONE + b"event: payment-response\ndata: receipt\n\n"
        assert call.headers[b"payment-response"] == b"receipt"

    asyncio.run(story())


def test_a_stream_that_cannot_be_charged_first_is_a_402() -> None:
    (status, body) = asyncio.run(Call([*WORDS, DONE], charges_first=True, error=NO_FUNDS).run())
    assert status == 402
    assert json.loads(body)["error"]["code"] == "transaction_failed"


@pytest.mark.parametrize("chunks", [[], [ROLE], [ROLE, DONE]], ids=["nothing", "broken off", "ended"])
def test_a_stream_that_says_nothing_is_not_charged_first(chunks: list[bytes | None]) -> None:
    released, status, body = asyncio.run(Call(chunks, charges_first=True).run())
    assert (released, status) == ("released", 502)
    assert json.loads(body)["error"]["code"] == "upstream_invalid"


@pytest.mark.parametrize("charges_first", [True, False])
def test_who_hangs_up_on_a_silent_node_is_not_charged(charges_first: bool) -> None:
    async def story() -> None:
        call = Call([None], charges_first=charges_first)
        call.hung_up.set()
        assert "released" in (happened := await call.run())
        assert "charged" not in happened

    asyncio.run(story())


def test_who_hangs_up_while_being_charged_is_charged_once() -> None:
    async def story() -> None:
        call = Call([*WORDS, None], charges_first=True)
        call.ledger.may_charge.clear()
        running = asyncio.create_task(call.run())
        await call.ledger.charging.wait()
        call.hung_up.set()
        await asyncio.sleep(0)
        call.ledger.may_charge.set()
        happened = await running
        assert happened[:2] == ["charged", 200]
        assert "released" not in happened

    asyncio.run(story())


@pytest.mark.parametrize("error", [DATABASE_AWAY, LookupError("expired")])
def test_a_stream_whose_charge_fails_ends_with_an_error_and_nothing_more(error: Exception) -> None:
    """A second start of the answer would be an error of its own."""
    story = asyncio.run(Call([*WORDS, DONE], error=error).run())
    assert story[:5] == [200, *WORDS, "released"]
    (last,) = story[5:]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "internal"
    assert b"away" not in last


def test_an_answer_whose_charge_fails_is_not_given() -> None:
    body = b'{"choices": []}'
    released, status, said = asyncio.run(Call([body], stream=False, error=DATABASE_AWAY).run())
    assert (released, status) == ("released", 500)
    assert b"away" not in said


@pytest.mark.parametrize("charging", [False, True], ids=["asking", "charging"])
def test_a_cancelled_call_leaves_nothing_reserved(charging: bool) -> None:
    async def story() -> None:
        call = Call([b'{"choices": []}', *([] if charging else [None])], stream=False)
        call.ledger.may_charge.clear()
        running = asyncio.create_task(call.run())
        await (call.ledger.charging if charging else call.asked).wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        call.ledger.may_charge.set()
        await moment(lambda: bool(call.story))
        assert call.story == ["charged" if charging else "released"]

    asyncio.run(story())


def test_a_cancelled_stream_is_charged_for_what_came() -> None:
    async def story() -> None:
        call = Call([*WORDS, None])
        running = asyncio.create_task(call.run())
        await moment(lambda: len(call.story) == 4)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert call.story[4] == "charged"
        assert call.story.count(200) == 1

    asyncio.run(story())
