"""Chat by the token, streamed or not: what passes, when, and what it costs. The upstream is a stand-in."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64decode
from typing import Any

import httpx
import openai
import pytest
from gateway_stage import CUSTOMER_USD6, OpenStage, Stage, channel_client, stock_client
from standin_upstream import MODEL
from x402.http.utils import decode_payment_required_header, decode_payment_response_header

from wellhead.gateway import streaming
from wellhead.gateway.prices import ModelPrice

IN_USD6, OUT_USD6 = 3_000_000, 11_000_000  # three and eleven atomic units a token
PRICE = ModelPrice(
    id=MODEL,
    usd6_per_call=20,
    usd6_per_million_input_tokens=IN_USD6,
    usd6_per_million_output_tokens=OUT_USD6,
    max_output_tokens=100,
)
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "What is compute?"}]}
COST = 20 + 3 * 7 + 11 * 5  # by the stand-in's usage


@pytest.fixture
def stage(open_stage: OpenStage) -> Any:
    with open_stage(models=(PRICE,), min_deposit_usd6=10_000) as opened:
        yield opened


async def post(stage: Stage, body: dict[str, Any], path: str = "chat/completions") -> httpx.Response:
    http, _ = channel_client(stage)
    async with http:
        return await http.post(f"{stage.url}/v1/{path}", json=body)


def receipt_of(answer: httpx.Response) -> dict[str, Any]:
    """The receipt of a stream: its last event."""
    *_, event = answer.text.strip().split("\n\n")
    name, data = event.split("\n")
    assert name == "event: payment-response"
    receipt = decode_payment_response_header(data.removeprefix("data: "))
    assert receipt.success
    return receipt.extra or {}


def words(answer: httpx.Response) -> list[str]:
    """The text of a stream, piece by piece."""
    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    return [choice["delta"]["content"] for event in events for choice in json.loads(event)["choices"]]


async def settled(stage: Stage) -> int:
    """All that the gateway charged, once no call is under way."""
    for _ in range(200):
        if stage.gateway.meters.under_way == 0:
            break
        await asyncio.sleep(0.02)  # the end of a call in another thread has no event to wait for
    return sum(channel.account.charged for channel in await stage.gateway.books.claimable())


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
def test_the_charge_follows_the_usage(stage: Stage, path: str) -> None:
    body = CHAT if path.startswith("chat") else {"model": MODEL, "prompt": "Compute is"}
    answer = asyncio.run(post(stage, body, path))
    assert answer.status_code == 200
    assert answer.json()["usage"] == stage.upstream.usage
    receipt = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
    assert receipt.extra is not None
    assert receipt.extra["chargedAmount"] == str(COST)


def test_the_ceiling_is_by_the_bytes_sent_and_the_tokens_allowed(stage: Stage) -> None:
    def ceiling(body: dict[str, Any]) -> int:
        answer = httpx.post(f"{stage.url}/v1/chat/completions", content=json.dumps(body), timeout=20)
        (offer,) = decode_payment_required_header(answer.headers["PAYMENT-REQUIRED"]).accepts[:1]
        return int(offer.amount)

    size = len(json.dumps(CHAT))
    assert ceiling(CHAT) == 20 + 3 * size + 11 * 100
    limited = CHAT | {"max_tokens": 8, "n": 2}
    assert ceiling(limited) == 20 + 3 * len(json.dumps(limited)) + 11 * 16


def test_the_upstream_is_told_the_limit(stage: Stage) -> None:
    asyncio.run(post(stage, CHAT))
    asyncio.run(post(stage, CHAT | {"max_completion_tokens": 9}))
    first, second = stage.upstream.requests
    for request, limit in ((first, 100), (second, 9)):
        assert (request["max_tokens"], request["max_completion_tokens"]) == (limit, limit)


def test_a_field_that_would_cost_more_is_refused_before_any_payment(stage: Stage) -> None:
    answer = httpx.post(f"{stage.url}/v1/chat/completions", json=CHAT | {"n_predict": -1}, timeout=20)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "n_predict")
    assert "PAYMENT-REQUIRED" not in answer.headers


def test_an_upstream_that_counts_too_much_gets_the_ceiling(stage: Stage) -> None:
    stage.upstream.usage = {"prompt_tokens": 10**9, "completion_tokens": 10**9}
    answer = asyncio.run(post(stage, CHAT))
    receipt = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
    assert receipt.extra is not None
    most = 20 + 3 * len(json.dumps(CHAT, separators=(",", ":"))) + 11 * 100
    assert receipt.extra["chargedAmount"] == str(most)
    assert b"wellhead_gateway_uncounted_calls_total 1.0" in stage.gateway.meters.text()


@pytest.mark.parametrize(
    "usage",
    [{"prompt_tokens": -5, "completion_tokens": 5}, {"prompt_tokens": "many"}, None],
    ids=["negative", "no number", "none"],
)
def test_an_answer_that_was_not_counted_is_not_sold_by_the_token(stage: Stage, usage: Any) -> None:
    stage.upstream.usage = usage
    answer = asyncio.run(post(stage, CHAT))
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_invalid")
    assert "did not count" in answer.json()["error"]["message"]
    assert asyncio.run(settled(stage)) == 0


def test_by_the_call_nobody_has_to_count(open_stage: OpenStage) -> None:
    with open_stage(models=(ModelPrice(id=MODEL, usd6_per_call=20),)) as stage:
        stage.upstream.usage = None
        assert asyncio.run(post(stage, CHAT)).status_code == 200
        assert asyncio.run(settled(stage)) == 20


# Streams ----------------------------------------------------------------------------------------------------


def test_a_stream_passes_as_it_comes_and_ends_with_its_receipt(stage: Stage) -> None:
    """Half of the answer is read while the other half is not yet said."""
    stage.upstream.pause_after = 3

    async def story() -> tuple[list[bytes], str]:
        http, _ = channel_client(stage)
        async with http:
            await http.post(f"{stage.url}/v1/chat/completions", json=CHAT)
            early: list[bytes] = []
            body = CHAT | {"stream": True}
            headers = await paid_header(stage, http, body)
            plain = httpx.AsyncClient(timeout=20)
            async with (
                plain,
                plain.stream(
                    "POST", f"{stage.url}/v1/chat/completions", json=body, headers=headers
                ) as answer,
            ):
                assert answer.status_code == 200
                chunks = answer.aiter_raw()
                while b"".join(early).count(b"data: ") < 3:
                    early.append(await anext(chunks))
                stage.upstream.go_on.set()
                rest = [chunk async for chunk in chunks]
            return early, b"".join(early + rest).decode()

    early, text = asyncio.run(story())
    assert b"[DONE]" not in b"".join(early)
    answer = httpx.Response(200, text=text)
    assert words(answer) == stage.upstream.words
    assert text.index("[DONE]") < text.index("payment-response")
    assert receipt_of(answer)["chargedAmount"] == str(COST)
    assert '"usage"' not in text  # nobody asked for it


async def paid_header(stage: Stage, http: Any, body: dict[str, Any]) -> dict[str, str]:
    """The header by which the stock client would pay for `body`; its own transport reads answers whole."""
    async with httpx.AsyncClient(timeout=20) as plain:
        unpaid = await plain.post(f"{stage.url}/v1/chat/completions", json=body)
    transport = http._transport
    terms = decode_payment_required_header(unpaid.headers["PAYMENT-REQUIRED"])
    payment = await transport._client.create_payment_payload(terms)
    return dict(transport._http_client.encode_payment_signature_header(payment))


def test_openais_client_reads_a_streamed_chat(stage: Stage) -> None:
    async def chat() -> list[str]:
        http, _ = channel_client(stage)
        async with http:
            client = openai.AsyncOpenAI(base_url=f"{stage.url}/v1", api_key="unused", http_client=http)  # type: ignore[arg-type]
            said: list[str] = []
            for _ in range(2):
                stream = await client.chat.completions.create(
                    model=MODEL,
                    messages=[{"role": "user", "content": "What is compute?"}],
                    stream=True,
                    stream_options={"include_usage": True},
                )
                async for piece in stream:
                    said += [choice.delta.content or "" for choice in piece.choices]
                    if piece.usage is not None:
                        said.append(f"{piece.usage.prompt_tokens}+{piece.usage.completion_tokens}")
            return said

    assert asyncio.run(chat()) == 2 * [*stage.upstream.words, "7+5"]
    assert asyncio.run(settled(stage)) == 2 * COST


def test_a_customer_that_hangs_up_pays_for_what_was_produced(stage: Stage) -> None:
    stage.upstream.pause_after = 2

    async def story() -> int:
        http, _ = channel_client(stage)
        async with http:
            await http.post(f"{stage.url}/v1/chat/completions", json=CHAT)
            before = await settled(stage)
            body = CHAT | {"stream": True}
            headers = await paid_header(stage, http, body)
            async with httpx.AsyncClient(timeout=20) as plain:
                url = f"{stage.url}/v1/chat/completions"
                async with plain.stream("POST", url, json=body, headers=headers) as answer:
                    await anext(answer.aiter_raw())
            charged = await settled(stage) - before
            stage.upstream.go_on.set()
            return charged

    assert asyncio.run(story()) in (20 + 11, 20 + 2 * 11)  # one word or two, whatever came before it left


def test_a_customer_that_never_reads_pays_for_what_was_produced(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fills the buffers on its way, and after a while the gateway takes it for gone."""
    monkeypatch.setattr(streaming, "STALL_SECONDS", 0.5)
    stage.upstream.words = ["x" * 200_000] * 150

    async def story() -> int:
        http, _ = channel_client(stage)
        async with http:
            body = CHAT | {"stream": True}
            await http.post(f"{stage.url}/v1/chat/completions", json=CHAT)
            before = await settled(stage)
            headers = await paid_header(stage, http, body)
            content = json.dumps(body, separators=(",", ":")).encode()
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(stage.url.rsplit(":", 1)[1]), limit=1_024
            )
            lines = [f"{name}: {value}" for name, value in headers.items()]
            head = "\r\n".join(
                [
                    "POST /v1/chat/completions HTTP/1.1",
                    "host: gateway",
                    "content-type: application/json",
                    f"content-length: {len(content)}",
                    *lines,
                ]
            )
            writer.write(head.encode() + b"\r\n\r\n" + content)
            assert (await reader.read(12)) == b"HTTP/1.1 200"
            charged = await settled(stage) - before
            writer.close()
            return charged

    # Not nothing, and not the 150 pieces that it would have been.
    assert 20 + 11 <= asyncio.run(story()) < 20 + 100 * 11


def test_a_stream_that_breaks_off_costs_what_came(stage: Stage) -> None:
    stage.upstream.break_after = 3
    answer = asyncio.run(post(stage, CHAT | {"stream": True}))
    assert answer.status_code == 200
    assert "upstream_invalid" in answer.text
    assert "[DONE]" not in answer.text
    assert receipt_of(answer)["chargedAmount"] == str(20 + 3 * 11)


def test_a_stream_that_never_starts_costs_nothing(stage: Stage) -> None:
    stage.upstream.break_after = 0
    answer = asyncio.run(post(stage, CHAT | {"stream": True}))
    assert "upstream_invalid" in answer.text
    assert asyncio.run(settled(stage)) == 0


def test_a_stream_by_exact_costs_what_was_signed(stage: Stage) -> None:
    async def story() -> httpx.Response:
        async with stock_client(stage) as http:
            return await http.post(f"{stage.url}/v1/chat/completions", json=CHAT | {"stream": True})

    answer = asyncio.run(story())
    assert words(answer) == stage.upstream.words
    size = len(json.dumps(CHAT | {"stream": True}, separators=(",", ":")))
    assert stage.earned_usd6 == 20 + 3 * size + 11 * 100
    receipt = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
    assert receipt.success
    assert f'"transaction":"{receipt.transaction}"'.encode() in b64decode(answer.text.rsplit(maxsplit=1)[1])


def test_who_signs_twice_and_can_pay_once_reads_one_stream(open_stage: OpenStage) -> None:
    """Both payments are good when they are verified; nothing is said before the money is there."""
    with open_stage(models=(ModelPrice(id=MODEL, usd6_per_call=CUSTOMER_USD6),)) as stage:
        both = threading.Barrier(2, timeout=20)
        stage.upstream.before_answer = lambda: both.wait() and None

        async def one() -> httpx.Response:
            async with stock_client(stage) as http:
                return await http.post(f"{stage.url}/v1/chat/completions", json=CHAT | {"stream": True})

        async def story() -> list[httpx.Response]:
            return await asyncio.gather(one(), one())

        paid, unpaid = sorted(asyncio.run(story()), key=lambda answer: answer.status_code)
        assert words(paid) == stage.upstream.words
        assert unpaid.status_code == 402
        assert "did not settle" in unpaid.json()["error"]["message"]
        assert stage.earned_usd6 == CUSTOMER_USD6


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 101}, "max_tokens"),
        ({"max_completion_tokens": "9"}, "max_completion_tokens"),
        ({"n": 129}, "n is"),
        ({"stream": 1}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"messages": []}, "messages"),
        ({"messages": 5}, "messages"),
    ],
)
def test_what_cannot_be_priced_is_refused(stage: Stage, change: dict[str, Any], named: str) -> None:
    answer = httpx.post(f"{stage.url}/v1/chat/completions", json=CHAT | change, timeout=20)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert named in answer.json()["error"]["message"]


def test_a_model_that_is_not_sold_is_404(stage: Stage) -> None:
    answer = httpx.post(f"{stage.url}/v1/chat/completions", json=CHAT | {"model": "other"}, timeout=20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
