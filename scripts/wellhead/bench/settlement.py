"""What claiming vouchers costs the receiver side, whatever number of inferences each of them pays for."""

from __future__ import annotations

from typing import Any, NamedTuple

from eth_account.signers.local import LocalAccount
from eth_typing import Hash32
from web3 import Web3

from wellhead.bench.stage import BenchStage
from wellhead.chain import artifacts, keys
from wellhead.deploy.canonical import SETTLEMENT, ensure_canonical
from wellhead.reference import channel as twin
from wellhead.reference.channel import ChannelConfig, ClaimRow
from wellhead.reference.dense_claims import SignedClaim, encode_claims

CHANNELS = 21
DEPOSIT_USD6 = 10**9
# A claim steps by about what a few hundred calls cost: three bytes of it are not zero.
STEP_USD6 = 1_234_567
PAYERS = ("customer", "holder", "second-holder")


class Funded(NamedTuple):
    """A channel with money, and who signs for it."""

    config: ChannelConfig
    payer: LocalAccount


def measure_settlement(stage: BenchStage) -> dict[str, int]:
    """Gas of `settle_one` and `settle_marginal`: `claim` by the receiver authorizer, on channels and a receiver that
    were claimed for before; random salts, payers sign for themselves. Of `settle_router_marginal`: the same claims
    through the router, brought by somebody else."""
    ensure_canonical(stage.w3)
    settlement: Any = stage.w3.eth.contract(
        address=SETTLEMENT.address, abi=artifacts.load(SETTLEMENT.contract).abi
    )
    domain = twin.settlement_domain(stage.w3.eth.chain_id, SETTLEMENT.address)
    router: Any = stage.w3.eth.contract(
        address=Web3.to_checksum_address(stage.create("SettleRouter", SETTLEMENT.address)),
        abi=artifacts.load("SettleRouter").abi,
    )
    channels = _fund(stage, settlement)

    def claim(count: int, total: int) -> int:
        rows = [_claim(domain, channel, total).abi for channel in channels[:count]]
        return stage.gas("operator", settlement.functions.claim(rows))

    def route(count: int, total: int) -> int:
        claims = [_claim(domain, channel, total) for channel in channels[:count]]
        return stage.gas("owner", _routed(router, domain, claims))

    claim(CHANNELS, STEP_USD6)
    one = claim(1, 2 * STEP_USD6)
    all_of_them = claim(CHANNELS, 3 * STEP_USD6)
    route(CHANNELS, 4 * STEP_USD6)  # the receiver's first dollars
    routed_one = route(1, 5 * STEP_USD6)
    routed = route(CHANNELS, 6 * STEP_USD6)
    return {
        "settle_one": one,
        "settle_marginal": _marginal_up(one, all_of_them),
        "settle_router_marginal": _marginal_up(routed_one, routed),
    }


def _marginal_up(one: int, all_of_them: int) -> int:
    """What each channel after the first costs; never said to be less than it is."""
    return -(-(all_of_them - one) // (CHANNELS - 1))


def _fund(stage: BenchStage, settlement: Any) -> list[Funded]:
    collector = stage.create("AllowanceCollector")
    funded = []
    for number in range(CHANNELS):
        role = PAYERS[number % len(PAYERS)]
        payer = keys.local_account(role)
        stage.sender(role).send(stage.usd.approve(collector, DEPOSIT_USD6))
        config = ChannelConfig(
            payer=payer.address,
            payer_authorizer=payer.address,
            receiver=stage.address("treasury"),
            receiver_authorizer=stage.address("operator"),
            token=stage.usd.address,
            withdraw_delay=86_400,
            salt=bytes(stage.w3.keccak(text=f"salt {number}")),
        )
        deposit = settlement.functions.deposit(tuple(config), DEPOSIT_USD6, collector, b"")
        stage.sender("owner").send(deposit)
        funded.append(Funded(config, payer))
    return funded


def _claim(domain: bytes, channel: Funded, total: int) -> SignedClaim:
    digest = twin.voucher_digest(domain, twin.channel_id(domain, channel.config), total)
    signature = bytes(channel.payer.unsafe_sign_hash(Hash32(digest)).signature)
    return SignedClaim(channel.config, total, signature, total)


def _routed(router: Any, domain: bytes, claims: list[SignedClaim]) -> Any:
    rows = [ClaimRow(twin.channel_id(domain, c.config), c.ceiling, c.total_claimed) for c in claims]
    digest = twin.claim_batch_digest(domain, rows)
    signature = bytes(keys.local_account("operator").unsafe_sign_hash(Hash32(digest)).signature)
    return router.functions.claimAndSettle(encode_claims(claims), signature)
