"""A round's records over HTTP: what provenRecord takes, bad questions answered, and answers that nobody believes."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from loopback import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from wellhead.chain import keys, local
from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.chain.revert import ContractRefused
from wellhead.chain.transact import Sender
from wellhead.deploy.local import deploy_local
from wellhead.errors import Refused
from wellhead.oracle.records.peer import RecordPeer
from wellhead.oracle.records.serving import STREAMS_AT_ONCE, record_routes
from wellhead.oracle.records.store import RecordStore
from wellhead.reference.merkle import RecordTree
from wellhead.reference.quorum import report_hash, sign
from wellhead.reference.record import NodeRecord, pack_entries

ROUND = 17
GIVEN = {node * 7: NodeRecord(3_600, 3_000, 2_900, node, 5, 1_000 * node, 8) for node in range(1, 101)}
TREE = RecordTree(GIVEN.items())
ENTRIES = pack_entries(GIVEN)


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    store = RecordStore(tmp_path / "served", keep_rounds=10)
    store.write(ROUND, GIVEN.items())
    return store


@pytest.fixture
def url(store: RecordStore) -> Iterator[str]:
    with serving(Starlette(routes=record_routes(store))) as url:
        yield url


@pytest.fixture
def other_store(tmp_path: Path) -> RecordStore:
    """Of a reporter who missed the round."""
    return RecordStore(tmp_path / "fetched", keep_rounds=10)


def hex_of(value: bytes) -> str:
    return f"0x{value.hex()}"


# What is served -----------------------------------------------------------------------------------------


def test_a_proof_has_all_that_the_contract_takes(url: str) -> None:
    for node in GIVEN:
        _, record, proof = TREE.reading(ROUND, node)
        assert httpx.get(f"{url}/rounds/{ROUND}/proof/{node}").json() == {
            "round": ROUND,
            "node": node,
            "root": hex_of(TREE.root),
            "record": hex_of(record),
            "proof": [hex_of(sibling) for sibling in proof],
        }


def test_rounds_and_their_records(url: str, store: RecordStore) -> None:
    store.write(12, GIVEN.items())
    assert httpx.get(f"{url}/rounds").json() == {"rounds": [12, ROUND]}
    assert httpx.get(f"{url}/rounds/12").json() == {"round": 12, "root": hex_of(TREE.root), "nodes": 100}
    answer = httpx.get(f"{url}/rounds/{ROUND}/records")
    assert answer.content == ENTRIES
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == str(len(ENTRIES))


@pytest.mark.parametrize(
    ("path", "status", "why"),
    [
        ("/rounds/x", 400, "round 'x' is no number from 1 to 16777215"),
        ("/rounds/0", 400, "round '0' is no number from 1 to 16777215"),
        ("/rounds/16777216/records", 400, "round '16777216' is no number from 1 to 16777215"),
        ("/rounds/-1/proof/7", 400, "round '-1' is no number from 1 to 16777215"),
        ("/rounds/17/proof/0", 400, "node '0' is no number from 1 to 4294967295"),
        ("/rounds/17/proof/4294967296", 400, "node '4294967296' is no number from 1 to 4294967295"),
        ("/rounds/17/proof/" + "9" * 5_000, 400, f"node '{'9' * 20}' is no number from 1 to 4294967295"),
        ("/rounds/17/proof/%C2%B2", 400, "node '²' is no number from 1 to 4294967295"),
        ("/rounds/16", 404, "round 16 is not kept here; kept are 17 to 17"),
        ("/rounds/16/records", 404, "round 16 is not kept here; kept are 17 to 17"),
        ("/rounds/17/proof/8", 404, "round 17 has no record of node 8; kept are 17 to 17"),
    ],
)
def test_bad_questions_are_answered(url: str, path: str, status: int, why: str) -> None:
    answer = httpx.get(url + path)
    assert (answer.status_code, answer.json()) == (status, {"error": why})


def test_an_empty_store_says_so(other_store: RecordStore) -> None:
    with serving(Starlette(routes=record_routes(other_store))) as url:
        assert httpx.get(f"{url}/rounds").json() == {"rounds": []}
        assert httpx.get(f"{url}/rounds/3").json() == {"error": "round 3 is not kept here; kept are none yet"}


def test_what_was_damaged_is_not_served(url: str, store: RecordStore) -> None:
    path = store._path(ROUND)
    path.write_bytes(path.read_bytes().replace(GIVEN[70].pack(), bytes(32)))
    for part in ("records", "proof/70"):
        answer = httpx.get(f"{url}/rounds/{ROUND}/{part}")
        assert answer.status_code == 500
        assert answer.json()["error"].startswith("what is kept of this round is damaged")
    assert httpx.get(f"{url}/rounds/{ROUND}/proof/700").status_code == 200


def test_few_rounds_are_streamed_at_once(store: RecordStore) -> None:
    """Those who come when all places are taken are asked to come back, and served then."""
    app = Starlette(routes=record_routes(store))
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/rounds/{ROUND}/records",
        "query_string": b"",
        "headers": [],
    }

    async def ask(reads: asyncio.Event, begun: asyncio.Event) -> tuple[int, dict[bytes, bytes]]:
        """Somebody who takes his answer only when he `reads`."""
        head: dict[str, Any] = {}

        async def send(message: Any) -> None:
            head.update(message if message["type"] == "http.response.start" else {})
            begun.set()
            await reads.wait()

        async def receive() -> Any:
            await asyncio.Event().wait()  # nobody hangs up

        await app(dict(scope), receive, send)
        return head["status"], dict(head["headers"])

    async def crowd() -> None:
        reads, at_once = asyncio.Event(), asyncio.Event()
        at_once.set()
        begun = [asyncio.Event() for _ in range(STREAMS_AT_ONCE)]
        slow = [asyncio.create_task(ask(reads, event)) for event in begun]
        for event in begun:
            await event.wait()
        status, headers = await ask(at_once, asyncio.Event())
        assert (status, headers[b"retry-after"]) == (503, b"10")
        reads.set()
        assert [status for status, _ in await asyncio.gather(*slow)] == [200] * STREAMS_AT_ONCE
        assert (await ask(at_once, asyncio.Event()))[0] == 200

    asyncio.run(asyncio.wait_for(crowd(), 60))


# What is fetched ----------------------------------------------------------------------------------------


def test_a_round_that_was_missed_is_fetched_from_a_peer(url: str, other_store: RecordStore) -> None:
    peer = RecordPeer(url)
    peer.fetch(other_store, ROUND, TREE.root)
    assert dict(other_store.records(ROUND)) == GIVEN
    assert peer.rounds() == other_store.rounds() == [ROUND]
    with pytest.raises(Refused, match=r"this reporter does not keep round 18"):
        peer.fetch(other_store, 18, TREE.root)


def test_a_reading_is_taken_if_it_leads_to_the_chains_root(url: str) -> None:
    peer = RecordPeer(url)
    assert peer.reading(ROUND, 70, TREE.root) == TREE.reading(ROUND, 70)
    assert peer.reading(ROUND, 71, TREE.root) is None
    assert peer.reading(16, 70, TREE.root) is None
    with pytest.raises(Refused, match=f"does not lead to the chain's root {hex_of(bytes(23))}"):
        peer.reading(ROUND, 70, bytes(23))


def liar(answer: Callable[[], Response]) -> Starlette:
    """Somebody who gives this answer to every question."""

    def endpoint(_: Request) -> Response:
        return answer()

    return Starlette(routes=[Route("/{path:path}", endpoint)])


def cut_short() -> Response:
    return StreamingResponse(iter([ENTRIES[:360]]), headers={"content-length": str(len(ENTRIES))})


REVERSED = b"".join(ENTRIES[start : start + 36] for start in range(len(ENTRIES) - 36, -1, -36))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda: Response(ENTRIES[36:]), "have the root"),
        (lambda: Response(ENTRIES[:-1]), "are no records: entries have 36 bytes each; 35 are left over"),
        (lambda: Response(REVERSED), "are no records: node 693 stands after node 700"),
        (lambda: Response(ENTRIES * 2), "more than 4,320 bytes"),
        (lambda: Response(b""), "are no records: a tree needs at least one"),
        (cut_short, "no reporter answers at .*: RemoteProtocolError"),
        (lambda: Response(status_code=500), "answers 500"),
        (lambda: RedirectResponse("http://127.0.0.1:1/"), "answers 307"),
    ],
)
def test_what_is_not_the_round_is_not_taken(
    other_store: RecordStore, answer: Callable[[], Response], why: str
) -> None:
    kept = {1: NodeRecord(1, 0, 0, 0, 0, 0, 1)}
    other_store.write(ROUND, kept.items())
    with serving(liar(answer)) as url, pytest.raises(Refused, match=why):
        RecordPeer(url).fetch(other_store, ROUND, TREE.root, max_nodes=120)
    assert dict(other_store.records(ROUND)) == kept
    assert len(list(other_store._folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"rounds": [0]}, "not meant for this: rounds.0"),
        ({"record": "0x00", "proof": []}, "not meant for this"),
        ([], "not meant for this"),
        ("x" * 2**20, "more than 1,048,576 bytes"),
    ],
)
def test_answers_of_something_else_are_refused(answer: Any, why: str) -> None:
    with serving(liar(lambda: JSONResponse(answer))) as url:
        peer = RecordPeer(url)
        with pytest.raises(Refused, match=why):
            peer.rounds()
        with pytest.raises(Refused, match=r"not meant for this|more than"):
            peer.reading(ROUND, 7, TREE.root)


def test_a_proof_longer_than_any_tree_is_refused() -> None:
    proof = {"record": hex_of(bytes(32)), "proof": [hex_of(bytes(32))] * 33}
    with serving(liar(lambda: JSONResponse(proof))) as url, pytest.raises(Refused, match="at most 32 items"):
        RecordPeer(url).reading(ROUND, 7, TREE.root)


def test_nobody_there_is_said() -> None:
    with pytest.raises(Refused, match=r"no reporter answers at http://127.0.0.1:1/rounds: ConnectError"):
        RecordPeer("http://127.0.0.1:1").rounds()
    with (
        serving(liar(lambda: Response(status_code=404))) as url,
        pytest.raises(Refused, match="does this reporter"),
    ):
        RecordPeer(url).rounds()


def test_a_peer_that_drips_for_ever_is_hung_up_on(other_store: RecordStore) -> None:
    """Each byte comes long before any timeout of a read; only the whole time is over."""
    listener = socket.create_server(("127.0.0.1", 0))
    hung_up = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(0.02)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nx-slow: ")
                while True:
                    connection.sendall(b"x")
                    try:
                        if not connection.recv(65_536):
                            break
                    except TimeoutError:
                        continue
            except OSError:
                pass
            hung_up.set()

    server = threading.Thread(target=drip, daemon=True)
    server.start()
    begun = time.monotonic()
    with listener, pytest.raises(Refused, match=r"did not answer whole within 0.5 s"):
        RecordPeer(f"http://127.0.0.1:{listener.getsockname()[1]}").fetch(
            other_store, ROUND, TREE.root, within_seconds=0.5
        )
    assert time.monotonic() - begun < 8
    assert hung_up.wait(20)
    server.join(20)


# On the chain -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TelemetryOracle]:
    folder = tmp_path_factory.mktemp("records")
    with local.running("anvil", log=folder / "anvil.log") as chain:
        w3 = chain.connect()
        manifest = deploy_local(Sender(w3, keys.local_account("owner")), folder)
        yield TelemetryOracle(w3, manifest.address("TelemetryOracle"), manifest.first_block)


def test_the_contract_believes_what_a_reporter_serves(oracle: TelemetryOracle, store: RecordStore) -> None:
    """A round that only names a root: its records are read with proofs out of a reporter's store, over HTTP."""
    end = oracle.window_end_of(1)
    local.advance(oracle.w3, end - local.chain_time(oracle.w3))
    records = {node: NodeRecord(end, 600, 500, 100, 5, 1_000 * node, 8) for node in range(1, 1_001)}
    root = store.write(1, records.items())
    told = 1, root, bytes(32), b""
    digest = report_hash(oracle.w3.eth.chain_id, oracle.address, oracle.config_digest(), *told)
    reporters = [keys.local_account(f"reporter-{number}") for number in range(oracle.quorum())]
    sender = Sender(oracle.w3, reporters[0])
    sender.send(oracle.report(*told, sign(digest, reporters)))
    local.advance(oracle.w3, oracle.finality_delay_seconds() + 1)
    posted = oracle.round_info(1).root
    with serving(Starlette(routes=record_routes(store))) as url:
        peer = RecordPeer(url)
        for node in (1, 500, 1_000):
            reading = peer.reading(1, node, posted)
            assert reading is not None
            assert oracle.proven_record(node, reading) == records[node]
            with pytest.raises(ContractRefused, match="ForgedProof"):
                oracle.proven_record(node + 1, reading)
