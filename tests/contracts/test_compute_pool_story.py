"""The pool among its real neighbours: x402's settlement pays it, the oracle's proofs measure, the shares are paid."""

from __future__ import annotations

from typing import Any, NamedTuple

from oracle_bench import OracleBench
from pool_stage import GATEWAY, HOUR, Terms, sign
from registering import BOND_PER_GPU, deploy_registry, register_attested
from settlement_stage import raise_settlement_stage
from share_stage import ShareTerms
from web3.contract import Contract

from wellhead.chain import local
from wellhead.reference.dense_claims import SignedClaim, encode_claims
from wellhead.reference.pool_receipt import Receipt

ROUNDS = 24
# Whole transactions in steady state, without the checking of two proofs. Of a claim, the dollars' transfer and the
# share's own sync are about 33,000.
TARGETS = {"sync": 45_000, "record": 60_000, "distribute": 40_000, "claim": 78_000}


class Story(NamedTuple):
    """Nodes 1 and 2 of the operator are members of a pool among its real neighbours."""

    bench: OracleBench
    shares: dict[int, Contract]
    pool: Contract
    start: int

    def report(self, round_number: int, work: dict[int, int]) -> None:
        records = {node: self.bench.record(round_number, work_units=units) for node, units in work.items()}
        self.bench.report(round_number, records, pushed=())

    def record_call(self, node: int, period: int, billed: tuple[int, int], rounds: tuple[int, int]) -> Any:
        receipt = Receipt(node, period, *billed)
        readings = [self.bench.trees[number].reading(number, node) for number in rounds]
        return self.pool.functions.record(receipt, sign(GATEWAY, self.pool, receipt), *readings)


def raise_story(w3, deploy, send, actors, keys, compiled, usd, mint) -> Story:
    """`mint(to, amount)` makes dollars."""
    registry = deploy_registry(deploy, actors, keys, usd)
    factory = deploy(
        *("NodeShareFactory", actors["owner"], registry.address, usd.address),
        *(actors["enforcer"], actors["treasury"], 250),
    )
    bench = OracleBench(w3, deploy, send, actors, keys)
    pool = deploy(
        *("ComputePool", actors["owner"], actors["guardian"], factory.address, bench.contract.address),
        *(GATEWAY.address, tuple(Terms(period_rounds=ROUNDS))),
    )
    shares = {}
    mint(actors["stranger"], 16 * BOND_PER_GPU)
    send(usd.functions.approve(registry.address, 16 * BOND_PER_GPU), actors["stranger"])
    for node in (1, 2):
        assert register_attested(registry, send, actors["operator"], keys) == node
        send(registry.functions.depositBond(node, 8 * BOND_PER_GPU), actors["stranger"])
        send(registry.functions.activate(node), actors["operator"])
        send(factory.functions.create(node, tuple(ShareTerms())), actors["operator"])
        address = factory.functions.shareOf(node).call()
        shares[node] = w3.eth.contract(address, abi=compiled["NodeShare"].abi)
        send(pool.functions.admit(node), actors["owner"])
        send(pool.functions.join(node), actors["operator"])
    return Story(bench, shares, pool, pool.functions.startRound().call())


def test_a_customers_one_channel_pays_two_nodes_by_their_work(
    w3, deploy, send, actors, keys, compiled, reverts
):
    settlement = raise_settlement_stage(w3, deploy, send, actors, keys, compiled)
    usd = settlement.usd
    mint = usd.functions.mint
    story = raise_story(
        *(w3, deploy, send, actors, keys, compiled, usd),
        lambda to, amount: send(mint(to, amount), actors["owner"]),
    )
    pool, first, last = story.pool, story.start, story.start + ROUNDS
    story.report(first, {1: 1_000, 2: 500})
    channel = settlement.config(receiver=pool.address)
    settlement.deposit(channel, 1_000_000_000)
    row = settlement.row(channel, 700_000_000)
    (_, ceiling), signature, total = row
    batch = encode_claims([SignedClaim(channel, ceiling, signature, total)], synced={pool.address})
    router = deploy("SettleRouter", settlement.settlement.address)
    send(router.functions.claimAndSettle(batch, settlement.batch_signature([row])))
    assert tuple(pool.functions.flow().call()[:2]) == (700_000_000, 700_000_000)

    # The guardian vetoes the last round of the period: the one before will do.
    story.report(last - 1, {1: 7_000, 2: 3_300})
    story.report(last, {1: 9_000, 2: 3_500})
    story.bench.veto(last)
    story.bench.pass_delay()
    with reverts("TelemetryOracle_RoundVetoed", last):
        story.record_call(1, 1, (0, 10_000), (first, last)).call()
    send(story.record_call(1, 1, (0, 10_000), (first, last - 1)))
    send(story.record_call(2, 1, (0, 2_000), (first, last - 1)))
    released = pool.functions.periodOf(1).call()[0]
    assert 0.12 * 700_000_000 < released < 0.134 * 700_000_000
    local.advance(w3, 20 * HOUR)
    send(pool.functions.distribute(1))
    of_the_first = released * 6_000 // 8_000
    for node, paid in ((1, of_the_first), (2, released - of_the_first)):
        assert pool.functions.claimableUsd6(node).call() == paid
        send(pool.functions.claim(node))
        assert usd.functions.balanceOf(story.shares[node].address).call() == paid
        # Synced to the cent, so the holders have it.
        assert story.shares[node].functions.unsyncedUsd6().call() < 10_000


def test_gas(w3, deploy, send, actors, keys, compiled):
    """Steady state: nothing is written for the first time but the period's own slot."""
    usd = deploy("PlainUSD")
    mint = usd.functions.mint
    story = raise_story(
        *(w3, deploy, send, actors, keys, compiled, usd), lambda to, amount: send(mint(to, amount))
    )
    pool, gas, work = story.pool, {}, {1: 100, 2: 100}
    for period in (1, 2, 3):
        first, last = story.start + (period - 1) * ROUNDS, story.start + period * ROUNDS
        if period == 1:
            story.report(first, work)
        local.advance(w3, HOUR)
        send(mint(pool.address, 123_456_789))
        gas["sync"] = send(pool.functions.sync())["gasUsed"]
        story.report(last, {node: units + 54_321 * period for node, units in work.items()})
        story.bench.pass_delay()
        billed = (65_432 * (period - 1), 65_432 * period)
        for node in (1, 2):
            call = story.record_call(node, period, billed, (first, last))
            gas["record" if node == 2 else "record (first)"] = send(call)["gasUsed"]
        local.advance(w3, 20 * HOUR)
        gas["distribute"] = send(pool.functions.distribute(period))["gasUsed"]
        for node in (1, 2) if period > 1 else ():
            gas["claim" if node == 1 else "claim (last)"] = send(pool.functions.claim(node))["gasUsed"]
        work = {node: units + 54_321 * period for node, units in work.items()}
    # Its calldata is the record's too, its 21,000 are not.
    proof = story.bench.trees[last].reading(last, 1)
    proof_gas = story.bench.functions.provenRecord(1, proof).estimate_gas() - 21_000
    print(gas, f"of a record two proofs of {proof_gas} each")
    gas["record"] -= 2 * proof_gas
    assert {name: gas[name] for name in TARGETS if gas[name] > TARGETS[name]} == {}
