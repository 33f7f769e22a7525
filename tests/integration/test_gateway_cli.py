"""`wellhead gateway` and `wellhead infer` as people type them, on a deployed chain."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from command_line import running, wellhead
from loopback import serving
from standin_upstream import MODEL, StandInUpstream
from starlette.types import ASGIApp
from web3.constants import ADDRESS_ZERO

from wellhead.attestation import sign_all
from wellhead.chain import keys, local
from wellhead.chain.contracts.node_share_factory import ShareTerms
from wellhead.chain.transact import Sender
from wellhead.cli.session import Session
from wellhead.customer import proxy as customer_proxy
from wellhead.deploy.local import deploy_local
from wellhead.errors import Misused, Refused
from wellhead.node_spec import SpecDocument

PRICE_USD6 = 2_500
SPEC = SpecDocument(
    name="a node",
    gpu_class="CPU-STAND-IN",
    gpu_count=1,
    region="US-TX",
    power_watts=65,
    sla_bps=9_900,
    models=(MODEL,),
)


class Site(NamedTuple):
    """A node with a share token, its server, and its gateway's process."""

    session: Session
    gateway_url: str
    upstream_url: str
    network: list[str]
    announced: dict[str, Any]
    process: subprocess.Popen[str]

    @property
    def earned_usd6(self) -> int:
        return self.session.usd.balance_of(self.session.share(1).address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    upstream = StandInUpstream()
    with local.running("anvil", log=folder / "anvil.log") as chain, serving(upstream.app) as upstream_url:
        deploy_local(Sender(chain.connect(), keys.local_account("owner")), folder)
        session = Session(chain.url, folder)
        operator = session.sender("operator")
        operator.send(session.registry.register(SPEC.on_chain(), SPEC.data_uri()))
        attestors = [keys.local_account(f"attestor-{number}") for number in range(3)]
        operator.send(session.registry.attest(1, sign_all(session.registry, 1, SPEC, attestors)))
        terms = ShareTerms("A Node", "NODE", 86_400, 1_000, ADDRESS_ZERO, ADDRESS_ZERO, 1_000 * 10**6)
        operator.send(session.factory.create(1, terms))
        network = ["--network", chain.url, "--deployments", str(folder)]
        command = ["gateway", "run", "1", "--upstream", upstream_url, "--price", "0.0025", "--port", "0"]
        with running([*command, *network], folder / "gateway.log") as gateway:
            yield Site(session, gateway.announced["url"], upstream_url, network, *gateway)


def infer(site: Site, *arguments: str) -> str:
    return wellhead("infer", *arguments, "--gateway", site.gateway_url, *site.network)


def test_run_announces_what_it_sells(site: Site) -> None:
    share = site.session.share(1).address
    assert site.announced["pay_to"] == share
    assert site.announced["models"][0]["usd6_per_call"] == PRICE_USD6
    assert site.announced["facilitator"] == keys.local_account("facilitator").address


def test_infer_pays_and_settle_brings_it_to_the_share(site: Site) -> None:
    before = site.earned_usd6
    call = json.loads(infer(site, "one", "two", "--json"))
    assert call["terms"]["ceiling_usd6"] == call["receipt"]["charged_usd6"] == PRICE_USD6
    assert call["answer"]["model"] == MODEL
    assert call["answer"]["embeddings"] == 2
    assert site.session.w3.eth.get_transaction_receipt(call["receipt"]["transaction"])["status"] == 1
    assert site.earned_usd6 == before
    claimed = json.loads(wellhead("gateway", "settle", "1", *site.network, "--json"))
    assert (claimed["claimed_usd6"], claimed["channels"], claimed["unclaimed_usd6"]) == (PRICE_USD6, 1, 0)
    assert site.earned_usd6 == before + PRICE_USD6


def test_infer_gives_back_what_it_did_not_use(site: Site) -> None:
    before = site.session.usd.balance_of(keys.local_account("customer").address)
    call = json.loads(infer(site, "one", "--refund", "--json"))
    after = site.session.usd.balance_of(keys.local_account("customer").address)
    assert after - before == call["refunded_usd6"] - call["payment"]["deposit_usd6"] > 0


def test_infer_draws_the_steps_for_people(site: Site) -> None:
    shown = infer(site, "one")
    steps = [shown.index(step) for step in ("402", "voucher", "200", "receipt")]
    assert steps == sorted(steps)
    assert "$0.0025" in shown


def test_infer_dry_run_pays_nothing(site: Site) -> None:
    before = site.earned_usd6
    quoted = json.loads(infer(site, "one", "--dry-run", "--json"))
    assert quoted["would_pay"]["ceiling_usd6"] == PRICE_USD6
    assert "$0.0025" in infer(site, "one", "--dry-run")
    assert site.earned_usd6 == before


def test_infer_refuses_above_its_maximum(site: Site) -> None:
    before = site.earned_usd6
    with pytest.raises(Refused, match="nothing was signed"):
        infer(site, "one", "--max", "0.002499")
    assert site.earned_usd6 == before


def test_infer_and_the_proxy_have_one_limit_a_day(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever asks for it, it is the same money."""
    limit = ["--spent", str(tmp_path / "spent.json"), "--per-day", "0.006", "--as", "holder"]
    infer(site, "one", *limit)
    answers = []

    def serve(app: ASGIApp, _listener: Any, _bounds: Any, announce: Callable[[str], None]) -> None:
        announce("http://here:1")
        with serving(app) as url:
            asked = {"json": {"model": MODEL, "input": "two"}, "timeout": 20}
            answers.extend(httpx.post(f"{url}/v1/embeddings", **asked) for _ in range(2))

    monkeypatch.setattr(customer_proxy, "serve", serve)
    command = ["gateway", "proxy", "--gateway", site.gateway_url, "--port", str(local.free_port())]
    announced = json.loads(wellhead(*command, *limit, *site.network, "--json"))
    assert (announced["base_url"], announced["spent_today_usd6"]) == ("http://here:1/v1", PRICE_USD6)
    assert [answer.status_code for answer in answers] == [200, 402]
    with pytest.raises(Refused, match="of today's"):
        infer(site, "one", *limit)


def test_infer_needs_a_gateway(site: Site) -> None:
    url = f"http://127.0.0.1:{local.free_port()}"
    with pytest.raises(Refused, match="no gateway answers"):
        wellhead("infer", "one", "--gateway", url, *site.network)


def test_status_tells_what_is_sold(site: Site) -> None:
    facts = json.loads(wellhead("gateway", "status", site.gateway_url, "--json"))
    assert facts["pay_to"] == site.announced["pay_to"]
    assert facts["models"][0]["usd6_per_call"] == PRICE_USD6
    assert facts["status"] == "ok"
    assert {"unclaimed_usd6", "channels_to_claim", "next_claim_at"} <= facts.keys()
    assert "$0.0025" in wellhead("gateway", "status", site.gateway_url)


def test_status_tells_a_gateway_from_others() -> None:
    with pytest.raises(Refused, match="no gateway answers"):
        wellhead("gateway", "status", f"http://127.0.0.1:{local.free_port()}")
    other = StandInUpstream()

    @other.app.get("/status")
    @other.app.get("/.well-known/x402")
    def status() -> dict[str, str]:
        return {"status": "ok"}

    with serving(other.app) as url, pytest.raises(Refused, match="is no gateway"):
        wellhead("gateway", "status", url)


def run(site: Site, *arguments: str) -> str:
    defaults = ["--upstream", site.upstream_url, "--price", "0.001"]
    return wellhead("gateway", "run", "1", *defaults, *arguments, *site.network)


def test_run_dry_checks_and_serves_nothing(site: Site) -> None:
    facts = json.loads(run(site, "--dry-run", "--claim-value", "1", "--claim-age", "10m", "--json"))
    assert facts["would_serve"] is True
    assert (facts["claim_value_usd6"], facts["claim_age_seconds"]) == (1_000_000, 600)
    assert facts["pay_to"] == site.announced["pay_to"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--price", "0"], "price of 0"),
        (["--price", "1e-3"], "price"),
        (["--upstream", "node:8600"], "upstreams"),
        (["--as", "nobody"], "nobody"),
        (["--withdraw-delay", "1m"], "withdraw_delay_seconds"),
        (["--min-deposit", "0"], "min_deposit_usd6"),
        (["--claim-value", "-1"], "claim-value"),
        (["--claim-age", "soon"], "claim-age"),
        (["--ledger", "nonsense"], "no database URL like sqlite"),
        (["--ledger", "oracle://x"], "needs the Python package|cannot be in"),
        (["--ledger", "mysql+pymysql://x"], "needs the Python package pymysql"),
    ],
)
def test_run_refuses_what_cannot_be_right(site: Site, arguments: list[str], complaint: str) -> None:
    with pytest.raises(Misused, match=complaint):
        run(site, *arguments)


def test_run_refuses_a_port_in_use(site: Site, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Refused, match="cannot listen"):
            run(site, "--port", str(taken.getsockname()[1]), "--ledger", f"sqlite:///{tmp_path / 'l.db'}")


def test_run_refuses_a_ledger_in_use(site: Site) -> None:
    with pytest.raises(Refused, match="another gateway runs on the ledger"):
        run(site, "--port", "0")


def test_run_ends_in_order_when_asked(site: Site) -> None:
    """Last in the file: the gateway is gone after it."""
    site.process.send_signal(signal.SIGTERM)
    assert site.process.wait(20) == 0
