"""A pool from end to end on real parts: two nodes that compute behind one gateway, a customer who pays by one channel,
reporters who measure, and a keeper who brings the evidence; what people do is typed as commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from command_line import running, wellhead
from gateway_stage import until
from listed_node import list_node
from loopback import serving
from node_process import serving_node
from starlette.applications import Starlette

from wellhead.chain import keys, local
from wellhead.chain.contracts.compute_pool import ComputePool
from wellhead.chain.transact import Sender
from wellhead.cli.session import Session
from wellhead.customer.clients import async_openai_client, open_purse
from wellhead.deploy.local import deploy_local
from wellhead.errors import Misused, Refused
from wellhead.oracle.onchain import basis_of
from wellhead.oracle.records.serving import record_routes
from wellhead.oracle.records.store import RecordStore
from wellhead.oracle.report import co_sign
from wellhead.oracle.round import TimeScale
from wellhead.oracle.sampler import Canary, Reporter, Target
from wellhead.oracle.watch import Seen, Watch
from wellhead.reference.quorum import report_hash, sign
from wellhead.runtime.embedder import MODEL_NAME

OPERATORS = {1: "operator", 2: "second-operator"}
REPORTERS = [keys.local_account(f"reporter-{number}") for number in range(5)]
INTERVAL_MS = 1_000
CALLS_AT_ONCE, TURNS = 4, 5
PRICES = """
[[models]]
id = "*"
usd_per_call = "0.01"
usd_per_million_input_tokens = "0.10"
"""


class Site(NamedTuple):
    """A pool called `east` with two members, of which each serves."""

    session: Session
    network: list[str]
    nodes: dict[int, str]

    @property
    def pool(self) -> ComputePool:
        return self.session.pool("east")

    def pass_until(self, time: int) -> None:
        local.advance(self.session.w3, time - self.session.now())

    def type(self, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(wellhead(*arguments, *self.network, "--json")))

    def report(self, seen: Seen, kept: RecordStore | None = None) -> None:
        """What was seen, as the round whose window has ended last; by its root alone if the records are `kept`."""
        oracle = self.session.oracle
        basis = basis_of(oracle, seen, dict.fromkeys(self.nodes, 1), TimeScale(INTERVAL_MS, 60))
        signed = co_sign(basis, REPORTERS)
        arguments = signed.arguments
        if kept is not None:
            root = kept.write(signed.round, signed.records.items())
            config = basis.config
            evidence = signed.draft.evidence_hash
            digest = report_hash(
                config.chain_id, config.contract, config.config_digest, signed.round, root, evidence, b""
            )
            arguments = signed.round, root, evidence, b"", sign(digest, REPORTERS[: config.quorum])
        self.session.sender("reporter-0").send(oracle.report(*arguments))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("pool")
    with ExitStack() as stack:
        chain = stack.enter_context(local.running("anvil", log=folder / "anvil.log"))
        deploy_local(Sender(chain.connect(), keys.local_account("owner")), folder)
        session = Session(chain.url, folder)
        for node, role in OPERATORS.items():
            list_node(session, node, role)
        nodes = {node: stack.enter_context(serving_node(folder / f"{node}.log")) for node in OPERATORS}
        site = Site(session, ["--network", chain.url, "--deployments", str(folder)], nodes)
        made = site.type("pool", "create", "east", "--class", "CPU")
        assert made["pool"] == Session(chain.url, folder).pool("east").address
        yield site._replace(session=Session(chain.url, folder))


@pytest.fixture(scope="module")
def members(site: Site) -> Site:
    for node, role in OPERATORS.items():
        site.type("pool", "admit", "east", str(node))
        site.type("pool", "join", "east", str(node), "--as", role)
    return site


def upstreams(site: Site) -> list[str]:
    return [text for node, url in site.nodes.items() for text in ("--upstream", f"{node}={url}")]


async def call_many(site: Site, gateway_url: str) -> int:
    """One customer's calls, several at once; the tokens that it was told."""
    session = site.session
    purse = open_purse(
        *(keys.local_account("customer"), session.network.rpc_url, session.manifest.usd, 20_000),
        10_000_000,
    )
    told = 0
    async with async_openai_client(gateway_url, purse) as client:
        for turn in range(TURNS):
            texts = [f"well {number} " * (turn + number + 1) for number in range(CALLS_AT_ONCE)]
            calls = [client.embeddings.create(model=MODEL_NAME, input=text) for text in texts]
            told += sum(answer.usage.prompt_tokens for answer in await asyncio.gather(*calls))
    return told


def test_a_pool_is_paid_by_one_channel_and_pays_its_members_by_their_work(
    members: Site, tmp_path: Path
) -> None:
    site, pool, session = members, members.pool, members.session
    schedule = pool.schedule()
    canary = Canary(session.network.rpc_url, local.CHAIN_ID)
    targets = [Target(node, url) for node, url in site.nodes.items()]
    watch = Watch([Reporter(account, targets, canary, INTERVAL_MS) for account in REPORTERS])
    (tmp_path / "prices.toml").write_text(PRICES)
    command = [
        "gateway",
        "run",
        "--pool",
        "east",
        *upstreams(site),
        "--prices",
        str(tmp_path / "prices.toml"),
    ]
    keep = ("pool", "keep", "east", "--once", "--least", "0.000001")

    site.pass_until(schedule.end_of(0))
    with running([*command, "--port", "0", *site.network], tmp_path / "gateway.log") as gateway:
        url = gateway.announced["url"]
        watch.start()
        try:
            site.report(watch.cut())
            # One member asks itself: served, and nobody was billed for it.
            free = httpx.post(
                f"{site.nodes[1]}/v1/embeddings", json={"model": MODEL_NAME, "input": "mine " * 50}
            )
            free_tokens = free.raise_for_status().json()["usage"]["prompt_tokens"]
            told = asyncio.run(call_many(site, url))
            settled = site.type("gateway", "settle", "--pool", "east")
            seen = watch.cut()
        finally:
            watch.stop()
        assert settled["channels"] == 1
        assert pool.flow().level_usd6 == settled["claimed_usd6"] > CALLS_AT_ONCE * TURNS * 10_000

        # The period ends; its last round is reported, names a root and nothing else, and becomes final.
        site.pass_until(schedule.end_of(1))
        kept = RecordStore(tmp_path / "rounds", keep_rounds=10)
        site.report(seen, kept)
        early = site.type(*keep, "--gateway", url)
        assert early["steps"] == []  # nothing is final yet
        local.advance(session.w3, session.oracle.finality_delay_seconds() + 1)
        until(lambda: httpx.get(f"{url}/pool/receipts").json()["period"] == 1)
        page = httpx.get(f"{url}/pool/receipts").json()
        billed = {one["node"]: one["billed_to_units"] - one["billed_from_units"] for one in page["receipts"]}
        assert sum(billed.values()) == told
        assert billed.keys() == site.nodes.keys()
        assert (
            site.type(*keep, "--gateway", url)["steps"] == []
        )  # the chain alone proves no end of the period
        nobody = f"http://{local.HOST}:{local.free_port()}"
        alone = site.type(*keep, "--gateway", url, "--proofs", nobody)
        assert alone["steps"] == []
        assert f"no reporter answers at {nobody}/rounds" in alone["problems"][0]
        with serving(Starlette(routes=record_routes(kept))) as reporter:
            recorded = site.type(*keep, "--gateway", url, "--proofs", reporter)
            again = site.type(*keep, "--gateway", url, "--proofs", reporter)
    assert recorded["problems"] == []
    assert (again["steps"], again["problems"]) == ([], [])
    assert {step["node"]: step["work_units"] for step in recorded["steps"]} == billed
    _, last = pool.rounds_of(1)
    at_end = [session.oracle.proven_record(node, kept.reading(last, node)) for node in (1, 2)]
    assert sum(record.work_units for record in at_end) == told + free_tokens

    # The gateway is gone; what it signed for is on the chain.
    site.pass_until(schedule.distributable_at(1))
    done = site.type(*keep, "--gateway", url)
    released, *paid = done["steps"]
    assert released["what"] == "distributed"
    assert {step["what"] for step in paid} == {"paid"}
    assert sum(step["amount_usd6"] for step in paid) == released["amount_usd6"] > 0
    by_node = {step["node"]: step["amount_usd6"] for step in paid}
    for node, amount in by_node.items():
        assert abs(amount - released["amount_usd6"] * billed[node] // told) <= 1
        assert session.usd.balance_of(session.share(node).address) == amount
        assert session.share(node).read("unsyncedUsd6") < 10_000
    assert site.type(*keep, "--gateway", url)["steps"] == []
    shown = site.type("pool", "show", "east")
    assert shown["level_usd6"] == settled["claimed_usd6"] - released["amount_usd6"]
    assert [member["claimable_usd6"] for member in shown["members"]] == [0, 0]
    assert "east" in wellhead("pool", "list", *site.network)
    assert wellhead("pool", "show", "east", *site.network)


# Refusals -------------------------------------------------------------------------------------------


def run(site: Site, *arguments: str) -> dict[str, Any]:
    return site.type("gateway", "run", "--price", "0.01", "--dry-run", *arguments)


def test_a_gateway_names_whom_it_pays_and_whose_servers_it_asks(members: Site) -> None:
    facts = run(members, "--pool", "east", *upstreams(members))
    assert facts["pay_to"] == members.pool.address
    assert facts["upstreams"] == [f"{node}={url}" for node, url in members.nodes.items()]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--upstream", "1=http://127.0.0.1:1"], "a node, or by --pool a pool"),
        (["1", "--pool", "east", "--upstream", "1=http://127.0.0.1:1"], "not both"),
        (["--pool", "west", "--upstream", "1=http://127.0.0.1:1"], "no pool 'west' here; known: east"),
        (["--pool", "0xabc", "--upstream", "1=http://127.0.0.1:1"], "0xabc"),
        (["--pool", "east", "--upstream", "http://127.0.0.1:1"], "whose server it is"),
        (["--pool", "east", "--upstream", "=http://127.0.0.1:1"], "whose server it is"),
        (["--pool", "east", "--upstream", "0=http://127.0.0.1:1"], "members"),
    ],
)
def test_a_gateway_misused(members: Site, arguments: list[str], complaint: str) -> None:
    with pytest.raises(Misused, match=complaint):
        run(members, *arguments)


def test_a_gateway_whose_receipts_would_be_worth_nothing_does_not_start(members: Site) -> None:
    with pytest.raises(Refused, match="would be worth nothing"):
        run(members, "--pool", "east", *upstreams(members), "--authorizer", "holder")
    with pytest.raises(Refused, match="node 7 is no member"):
        run(members, "--pool", "east", "--upstream", "7=http://127.0.0.1:1")


def test_a_pool_is_made_once(site: Site) -> None:
    again = site.type("pool", "create", "east", "--class", "CPU")
    assert (again["pool"], again["transaction"]) == (site.pool.address, "none: it is there")
    site.type("deploy")
    assert site.type("pool", "list")["pools"][0]["pool"] == site.pool.address
    with pytest.raises(Refused, match="on other terms"):
        site.type("pool", "create", "east", "--class", "CPU", "--tau", "8d")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--period", "90m"], "whole number of windows of 1h"),
        (["--class", "A-NAME-MUCH-TOO-LONG"], "gpu class"),
        (["--gateway", "nobody"], "nobody"),
    ],
)
def test_terms_that_cannot_be_meant(site: Site, arguments: list[str], complaint: str) -> None:
    with pytest.raises(Misused, match=complaint):
        site.type("pool", "create", "west", "--class", "CPU", *arguments)
    with pytest.raises(Misused, match="1 to 32 ASCII characters"):
        site.type("pool", "create", "w" * 33, "--class", "CPU")


@pytest.mark.parametrize("dry", [True, False])
def test_terms_out_of_bounds_say_which(site: Site, dry: bool) -> None:
    with pytest.raises(Refused, match="TauOutOfBounds"):
        site.type("pool", "create", "west", "--class", "CPU", "--tau", "6d", *(["--dry-run"] if dry else []))
    assert [pool["name"] for pool in site.type("pool", "list")["pools"]] == ["east"]


def test_only_its_owner_names_another_gateway(site: Site) -> None:
    with pytest.raises(Refused, match="Unauthorized"):
        site.type("pool", "set-gateway", "east", "holder", "--as", "holder")
    dry = site.type("pool", "set-gateway", "east", "holder", "--dry-run")
    assert dry["gas_estimate"] > 21_000
    assert site.pool.gateway() == keys.local_account("authorizer").address
