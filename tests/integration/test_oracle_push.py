"""A round that only names a root is pushed by anyone, in parts, from what a reporter serves; and by reporters
themselves, whose next report does not wait for that."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from command_line import wellhead
from loopback import serving
from starlette.applications import Starlette
from web3.types import RPCEndpoint

from wellhead.chain import keys, local
from wellhead.chain.outbox.journal import OutboxJournal
from wellhead.chain.outbox.policy import SendingPolicy
from wellhead.chain.outbox.sender import Outbox
from wellhead.chain.transact import Sender
from wellhead.cli.session import Session
from wellhead.deploy.local import deploy_local
from wellhead.errors import Refused
from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.pusher import Pusher, PushPolicy
from wellhead.oracle.daemon.store import ReporterStore, StoredReport
from wellhead.oracle.daemon.transmitter import Transmitter
from wellhead.oracle.onchain import read_config
from wellhead.oracle.records.serving import record_routes
from wellhead.oracle.records.store import RecordStore
from wellhead.reference.quorum import report_hash, sign
from wellhead.reference.record import NodeRecord, pack_entries

EVIDENCE = b"\xee" * 32
NODES = range(1, 71)
# Room for about twenty fresh slots.
BUDGET = 600_000
# More than one report pushes, in three parts.
FLEET = range(1, 301)
PUSHING = PushPolicy(budget=3_500_000)


class Site(NamedTuple):
    """An oracle with one reported round, and a reporter who serves it."""

    session: Session
    network: list[str]
    reporter: str
    records: dict[int, NodeRecord]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("push")
    with local.running("anvil", log=folder / "anvil.log") as chain:
        deploy_local(Sender(chain.connect(), keys.local_account("owner")), folder)
        session = Session(chain.url, folder)
        oracle = session.oracle
        end = oracle.window_end_of(1)
        local.advance(session.w3, end - session.now())
        records = {node: NodeRecord(end, 3_000, 2_900, 100 + node, 1, 5, 1) for node in NODES}
        store = RecordStore(folder / "records", 4)
        root = store.write(1, records.items())
        config = read_config(oracle)
        digest = report_hash(config.chain_id, config.contract, config.config_digest, 1, root, EVIDENCE, b"")
        signers = [keys.local_account(f"reporter-{number}") for number in range(3)]
        session.sender("transmitter-1").send(oracle.report(1, root, EVIDENCE, b"", sign(digest, signers)))
        with serving(Starlette(routes=list(record_routes(store)))) as url:
            yield Site(session, ["--network", chain.url, "--deployments", str(folder)], url, records)


def test_records_are_pushed_in_parts_and_none_twice(site: Site) -> None:
    oracle, pushing = site.session.oracle, ["oracle", "push", "1", "--proofs", site.reporter, *site.network]
    pushing += ["--budget", str(BUDGET), "--json"]
    would = json.loads(wellhead(*pushing, "--dry-run"))
    assert would["missing"] == len(NODES)
    assert would["would_send"] > 3
    assert oracle.latest_record(1).window_end == 0
    done = json.loads(wellhead(*pushing))
    assert len(done["transactions"]) == would["would_send"]
    for transaction in done["transactions"]:
        assert site.session.w3.eth.get_transaction_receipt(transaction)["gasUsed"] <= BUDGET
    assert {node: oracle.latest_record(node) for node in NODES} == site.records
    again = json.loads(wellhead(*pushing))
    assert (again["missing"], again["transactions"]) == (0, [])


def test_a_round_that_was_never_reported_is_refused(site: Site) -> None:
    with pytest.raises(Refused, match="round 99 was never reported, or is forgotten; the newest is"):
        wellhead("oracle", "push", "99", "--proofs", site.reporter, *site.network)


class Pushing:
    """A reporter's daemon as far as it brings what is agreed, with a gas key of its own."""

    def __init__(self, site: Site, number: int, folder: Path) -> None:
        self.session, self.now = site.session, time.time()
        self.payer = keys.local_account(f"transmitter-{number}")
        books = ReporterStore(f"sqlite:///{folder / f'{number}.db'}")
        journal = OutboxJournal(books.engine, self.clock, local.CHAIN_ID, self.payer.address)
        policy = SendingPolicy(confirmations=1)
        view = ChainView(site.session.oracle, site.session.registry)
        outbox = Outbox(site.session.w3, self.payer, journal, policy, self.clock)
        self.transmitter = Transmitter(view, self.payer, outbox)
        self.records = RecordStore(folder / f"records-{number}", 4)
        address = keys.local_account(f"reporter-{number}").address
        self.pusher = Pusher(view, self.records, self.transmitter, address, PUSHING, self.clock)

    def clock(self) -> float:
        return self.now

    @property
    def paid_for(self) -> int:
        return self.session.w3.eth.get_transaction_count(self.payer.address)

    def keep(self, round_number: int) -> StoredReport:
        """The round's records; the report that names them."""
        end = self.session.oracle.window_end_of(round_number)
        records = {node: NodeRecord(end, 3_000 * round_number, 2_900, 100 + node, 1, 5, 1) for node in FLEET}
        root = self.records.write(round_number, records.items())
        config = read_config(self.session.oracle)
        digest = report_hash(
            config.chain_id, config.contract, config.config_digest, round_number, root, EVIDENCE, b""
        )
        signatures = sign(digest, [keys.local_account(f"reporter-{number}") for number in range(3)])
        entries = pack_entries(records)
        return StoredReport(round_number, 0, root, EVIDENCE, entries, signatures, config.reporters[0])

    def push(self, looks: int = 5) -> None:
        for _ in range(looks):
            self.transmitter.advance()
            self.pusher.advance()


def ended(site: Site, round_number: int) -> None:
    left = site.session.oracle.window_end_of(round_number) - site.session.now()
    if left > 0:
        local.advance(site.session.w3, left)


def assert_pushed(site: Site, pushing: Pushing, round_number: int) -> None:
    kept = dict(pushing.records.records(round_number))
    for node in FLEET[::23]:  # in every part
        assert site.session.oracle.latest_record(node) == kept[node]
    assert pushing.pusher.state == ""


def test_who_brought_a_large_round_pushes_it_and_others_find_nothing_left(site: Site, tmp_path: Path) -> None:
    ended(site, 2)
    oracle, one, other = site.session.oracle, Pushing(site, 2, tmp_path), Pushing(site, 3, tmp_path)
    for reporter in (one, other):
        reporter.keep(2)
    paid, paid_by_other = one.paid_for, other.paid_for
    one.transmitter.transmit(one.keep(2))
    assert oracle.latest_round() == 2
    one.push(looks=1)
    one.pusher.advance()
    assert one.pusher.state == "round 2: 172 records are still to be sent"
    other.push()  # it is not its turn
    one.push()
    assert_pushed(site, one, 2)
    assert one.paid_for == paid + 1 + 3
    other.now += 5 * PUSHING.patience_seconds
    other.push()
    assert other.paid_for == paid_by_other
    for event in oracle.events("RecordsPushed", round=2):
        receipt = site.session.w3.eth.get_transaction_receipt(event["transactionHash"])
        assert receipt["gasUsed"] <= PUSHING.budget


def test_a_report_takes_the_place_of_a_push_that_waits(site: Site, tmp_path: Path) -> None:
    """On one nonce: both would be too much for a key that has one in flight."""

    def rpc(method: str, *parameters: Any) -> Any:
        return site.session.w3.provider.make_request(RPCEndpoint(method), list(parameters))["result"]

    def waiting() -> list[Any]:
        return list(rpc("txpool_content")["pending"][one.payer.address.lower()].values())

    ended(site, 4)
    one = Pushing(site, 2, tmp_path)
    one.transmitter.transmit(one.keep(3))
    one.push(looks=1)
    rpc("evm_setAutomine", False)
    try:
        one.push(looks=2)
        (push,) = waiting()
        report = one.keep(4)
        one.transmitter.transmit(report)
        (left,) = waiting()
        assert left["nonce"] == push["nonce"]
        assert report.signatures.hex() in left["input"]
        rpc("anvil_mine", "0x1")
    finally:
        rpc("evm_setAutomine", True)
    assert site.session.oracle.latest_round() == 4
    one.push(looks=9)
    assert_pushed(site, one, 4)
