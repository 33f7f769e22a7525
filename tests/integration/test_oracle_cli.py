"""`wellhead oracle` as people type it, on a deployed chain, before a node whose counters the test moves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from command_line import wellhead
from listed_node import list_node
from loopback import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from web3.types import RPCEndpoint

from wellhead.chain import keys, local
from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.chain.transact import Sender
from wellhead.cli.session import Session
from wellhead.deploy.canonical import SETTLEMENT
from wellhead.deploy.local import deploy_local
from wellhead.errors import Misused, Refused
from wellhead.node_spec import SpecDocument
from wellhead.runtime.energy import EnergyEstimate
from wellhead.runtime.metrics import NodeMetrics

SPEC = SpecDocument(
    name="a node",
    gpu_class="CPU-STAND-IN",
    gpu_count=2,
    region="US-TX",
    power_watts=65,
    sla_bps=9_900,
    models=("any",),
)
SAMPLES, EVERY_MS, FACTOR = 4, 500, 120


class Site(NamedTuple):
    session: Session
    url: str
    network: list[str]

    def report(self, *arguments: str) -> str:
        watching = ["--for", "2s", "--every", str(EVERY_MS), "--factor", str(FACTOR)]
        return wellhead("oracle", "report", "1", "--runtime", self.url, *watching, *arguments, *self.network)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    metrics = NodeMetrics(EnergyEstimate())

    async def healthz(_: Request) -> Response:
        return Response("ok")

    async def exposition(_: Request) -> Response:
        metrics.served(10, 0.01)  # ten tokens for each look
        return Response(metrics.exposition())

    node = Starlette(routes=[Route("/healthz", healthz), Route("/metrics", exposition)])
    with local.running("anvil", log=folder / "anvil.log") as chain, serving(node) as url:
        deploy_local(Sender(chain.connect(), keys.local_account("owner")), folder)
        session = Session(chain.url, folder)
        session.sender("operator").send(session.registry.register(SPEC.on_chain(), SPEC.data_uri()))
        yield Site(session, url, ["--network", chain.url, "--deployments", str(folder)])


@pytest.fixture
def site(deployed: Site) -> Iterator[Site]:
    """The site, left as it was found."""
    provider = deployed.session.w3.provider
    taken = provider.make_request(RPCEndpoint("evm_snapshot"), [])["result"]
    yield deployed
    assert provider.make_request(RPCEndpoint("evm_revert"), [taken])["result"]


@pytest.fixture
def due(site: Site) -> Site:
    """The site once round 1 is due."""
    oracle = site.session.oracle
    local.advance(site.session.w3, oracle.window_end_of(1) - site.session.now())
    return site


def test_report_posts_what_the_reporters_saw(due: Site) -> None:
    posted = json.loads(due.report("--json"))
    oracle = due.session.oracle
    record = oracle.latest_record(1)
    assert posted["round"] == oracle.latest_round() == 1
    samples = posted["samples"]
    # A sample that a busy machine missed is unknown; it is never down.
    assert len(samples) == SAMPLES
    assert set(samples) - {"?"} == {"U"}
    assert posted["chain_seconds_per_observed_second"] == FACTOR
    assert record.covered_seconds == record.up_seconds == samples.count("U") * EVERY_MS * FACTOR // 1000
    assert record.gpu_count == SPEC.gpu_count
    assert record.work_units == posted["record"]["work_units"] > 0
    assert [entry["signed"] for entry in posted["reporters"]] == [True] * 5
    assert due.session.w3.eth.get_transaction_receipt(posted["transaction"])["status"] == 1


def test_report_draws_every_reporter_for_people(due: Site) -> None:
    shown = due.report()
    assert shown.count("agrees") == 5
    assert re.search(f"[U?]{{{SAMPLES}}}", shown)


def test_a_dry_run_posts_nothing(due: Site) -> None:
    shown = json.loads(due.report("--dry-run", "--json"))
    assert shown["would"] == "post round 1"
    assert "transaction" not in shown
    assert due.session.oracle.latest_round() == 0


def test_a_round_that_is_not_due_is_refused_before_anybody_watches(site: Site) -> None:
    with pytest.raises(Refused, match="round 1 is due at chain time"):
        site.report("--for", "7d")


def test_fewer_reporters_than_the_quorum_are_refused(due: Site) -> None:
    with pytest.raises(Misused, match="2 different reporters of 2 given; 3 are needed"):
        due.report("--by", "reporter-0", "--by", "reporter-1")
    with pytest.raises(Misused, match="3 different reporters of 4 given"):
        due.report(*(part for number in (0, 1, 2, 2) for part in ("--by", f"reporter-{number}")))


def test_a_stranger_is_refused(due: Site) -> None:
    with pytest.raises(Misused, match="is no reporter of this oracle"):
        due.report("--by", "operator", "--by", "reporter-1", "--by", "reporter-2")


def test_a_watch_shorter_than_a_sample_is_refused(due: Site) -> None:
    with pytest.raises(Misused, match="--for 0s is shorter than one sample of 500 ms"):
        due.report("--for", "0s")


def test_an_unknown_node_is_refused(due: Site) -> None:
    with pytest.raises(Misused):
        wellhead("oracle", "report", "2", *due.network)


def test_status_before_and_after_the_first_round(due: Site) -> None:
    before = json.loads(wellhead("oracle", "status", "--json", *due.network))
    assert (before["latest_round"], before["signatures_needed"], len(before["reporters"])) == (0, 3, 5)
    due.report()
    after = json.loads(wellhead("oracle", "status", "1", "--json", *due.network))
    (posted,) = after["rounds"]
    assert (after["latest_round"], posted["round"], posted["state"]) == (1, 1, "waits")
    assert (posted["pushed_nodes"], posted["late_seconds"] >= 0) == (1, True)
    assert [(one["scored_rounds"], one["mean_deviation_bps"]) for one in after["reporters"]] == [
        (0, None)
    ] * 5
    assert (after["scored_up_to"], after["rounds_to_be_scored"]) == (0, 1)
    assert after["next_due_at"] == before["next_due_at"] + before["window_seconds"]
    assert 0 < after["latest_record"]["up_seconds"] <= SAMPLES * EVERY_MS * FACTOR // 1000
    assert "latest round" in wellhead("oracle", "status", *due.network)


def test_status_holds_settled_vouchers_against_work(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "flags" not in json.loads(
        wellhead("oracle", "status", "1", "--json", *site.network)
    )  # no share yet
    list_node(site.session, 2, "operator")
    status = json.loads(wellhead("oracle", "status", "2", "--json", *site.network))
    assert (status["vouchers_settled_usd6"], status["flags"]) == (0, [])
    asked = []

    def settled(self: BatchSettlement, receiver: str, token: str) -> int:
        asked.append((self.address, receiver, token))
        return 10**9

    monkeypatch.setattr(BatchSettlement, "settled", settled)  # a thousand dollars that no work stands behind
    status = json.loads(wellhead("oracle", "status", "2", "--json", *site.network))
    assert status["flags"] == [
        "implausible: $1,000.00 settled for 0 tokens served, at most $10,000.00 a million"
    ]
    assert asked == [(SETTLEMENT.address, site.session.share(2).address, site.session.manifest.usd)]
