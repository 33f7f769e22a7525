"""A round that only names a root is pushed by anyone, in parts, from what a reporter serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from command_line import wellhead
from loopback import serving
from starlette.applications import Starlette

from wellhead.chain import keys, local
from wellhead.chain.transact import Sender
from wellhead.cli.session import Session
from wellhead.deploy.local import deploy_local
from wellhead.errors import Refused
from wellhead.oracle.onchain import read_config
from wellhead.oracle.records.serving import record_routes
from wellhead.oracle.records.store import RecordStore
from wellhead.reference.quorum import report_hash, sign
from wellhead.reference.record import NodeRecord

EVIDENCE = b"\xee" * 32
NODES = range(1, 71)
# Room for about twenty fresh slots.
BUDGET = 600_000


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
    with pytest.raises(Refused, match="round 2 was never reported, or is forgotten; the newest is 1"):
        wellhead("oracle", "push", "2", "--proofs", site.reporter, *site.network)
