"""An Offering with registry, factory and oracle around it, and sales on it: what the offering tests play on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from eth_account.signers.local import LocalAccount
from registering import Spec, deploy_registry, register_attested
from web3 import Web3
from web3.contract import Contract
from web3.types import TxReceipt

from wellhead.chain import local
from wellhead.reference.record import NodeRecord

HOUR, DAY = 3_600, 86_400
SHARE = 10**6
NOBODY = "0x" + "00" * 20
WINDOW = 3_600
FINALITY = 1_800
RING = 4_096
GRACE = FINALITY + 3 * DAY
NONE, OPEN, DELIVERING, DELIVERED, FAILED = range(5)
SALE_PHASE, LIVE_PHASE, FAILED_PHASE = range(3)


class Terms(NamedTuple):
    """IOffering.Terms, in its order."""

    price_usd6_per_share: int
    soft_cap_units: int
    hard_cap_units: int
    retained_units: int
    opens_at: int
    closes_at: int
    upfront_bps: int
    delivery_seconds: int
    deliver_by: int
    deliver_hard_limit: int
    service_term_seconds: int
    floor_price_usd6_per_gpu_hour: int


class SaleView(NamedTuple):
    """IOffering.Sale, in its order."""

    state: int
    share: str
    sold_units: int
    raised_usd6: int
    released_usd6: int
    refundable_usd6: int
    refunded_usd6: int
    withdrawn_usd6: int
    closed_at: int
    deliver_from: int


def sample_terms(now: int, **changes: int) -> Terms:
    """A sale of 1,000 shares at 12.345678 dollars that opens at once, for a week, and 100 hours to deliver."""
    return Terms(
        price_usd6_per_share=12_345_678,
        soft_cap_units=200 * SHARE,
        hard_cap_units=1_000 * SHARE,
        retained_units=250 * SHARE,
        opens_at=now,
        closes_at=now + 7 * DAY,
        upfront_bps=2_000,
        delivery_seconds=100 * HOUR,
        deliver_by=now + 17 * DAY,
        deliver_hard_limit=now + 31 * DAY,
        service_term_seconds=365 * DAY,
        floor_price_usd6_per_gpu_hour=1_500_000,
    )._replace(**changes)


def reading(oracle: Contract, record: NodeRecord) -> tuple[int, bytes, list[bytes]]:
    """The record as a Reading of the round whose window it ends with."""
    round_number = (record.window_end - oracle.functions.genesis().call()) // WINDOW
    return (round_number, record.pack(), [])


ZERO_READING: tuple[int, bytes, list[bytes]] = (0, bytes(32), [])


@dataclass
class SaleStage:
    """Roles are the actors of that name; `node` is attested and its share is made for the offering."""

    w3: Web3
    actors: dict[str, str]
    keys: dict[str, LocalAccount]
    dollar: Contract
    registry: Contract
    factory: Contract
    oracle: Contract
    offering: Contract
    send: Callable[..., TxReceipt]
    share_abi: Any
    node: int = 0
    shares: dict[int, Contract] = field(default_factory=dict)

    def again(self) -> SaleStage:
        """As it was raised, for a test of its own: it may put another node on stage."""
        return replace(self, shares=dict(self.shares))

    @property
    def error_names(self) -> dict[str, str]:
        """Names of the offering's custom errors by selector."""
        errors = [entry for entry in self.offering.abi if entry["type"] == "error"]
        return {
            Web3.keccak(text=f"{entry['name']}({','.join(field['type'] for field in entry['inputs'])})")[
                :4
            ].to_0x_hex(): entry["name"]
            for entry in errors
        }

    def now(self) -> int:
        return local.chain_time(self.w3)

    def pass_time(self, seconds: int) -> int:
        return local.advance(self.w3, seconds)

    def pass_until(self, time: int) -> int:
        """A block at `time`, if that is still to come."""
        return self.pass_time(time - self.now()) if time > self.now() else self.now()

    def at(self, time: int) -> None:
        """The next block is mined exactly at `time`."""
        self.w3.provider.make_request("evm_setNextBlockTimestamp", [time])  # type: ignore[arg-type]

    def create_share(self, role: str = "operator", eligibility: str = NOBODY, issuer: str = "") -> int:
        """A new attested node of `role` with a share; the node's number, also in `self.node`."""
        self.node = register_attested(self.registry, self.send, self.actors[role], self.keys, Spec())
        terms = ("Node", "NODE", DAY, 1_000, eligibility, issuer or self.offering.address, 0)
        self.send(self.factory.functions.create(self.node, terms), self.actors[role])
        return self.node

    def open(self, role: str = "operator", **changes: int) -> Terms:
        """Opens the sale of `self.node` on the sample terms with `changes`."""
        terms = sample_terms(self.now(), **changes)
        self.send(self.offering.functions.open(self.node, terms), self.actors[role])
        return terms

    def fund(self, role: str, amount: int = 10**15) -> None:
        self.send(self.dollar.functions.mint(self.actors[role], amount))
        self.send(self.dollar.functions.approve(self.offering.address, 2**255), self.actors[role])

    def buy(self, units: int, role: str = "holder", to: str | None = None) -> TxReceipt:
        call = self.offering.functions.buy(self.node, units, 2**256 - 1, self.actors[to or role])
        return self.send(call, self.actors[role])

    def close(self) -> TxReceipt:
        return self.send(self.offering.functions.close(self.node), self.actors["stranger"])

    def refund(self, units: int, role: str = "holder") -> TxReceipt:
        call = self.offering.functions.refund(self.node, units, self.actors[role])
        return self.send(call, self.actors[role])

    def make_final(self, record: NodeRecord) -> tuple[int, bytes, list[bytes]]:
        """The oracle has this record; the reading that proves it."""
        known = reading(self.oracle, record)
        self.send(self.oracle.functions.callFinal(self.node, known))
        return known

    def record(self, end: int, covered: int, up: int) -> NodeRecord:
        """A record with these seconds and plausible other counters."""
        return NodeRecord(end, covered, up, up * 4, covered // 10, up * 1_000, Spec().gpu_count)

    @property
    def share(self) -> Contract:
        """Of the node on stage; made once per node, as web3 is slow at it."""
        if self.node not in self.shares:
            address = self.factory.functions.shareOf(self.node).call()
            self.shares[self.node] = self.w3.eth.contract(address, abi=self.share_abi)
        return self.shares[self.node]

    def view(self) -> SaleView:
        return SaleView(*self.offering.functions.saleOf(self.node).call())

    def balance(self, role: str) -> int:
        return int(self.dollar.functions.balanceOf(self.actors[role]).call())


def raise_sale_stage(
    w3: Web3,
    deploy: Callable[..., Contract],
    send: Callable[..., TxReceipt],
    actors: dict[str, str],
    keys: dict[str, LocalAccount],
    share_abi: Any,
    dollar: Contract | None = None,
    oracle: Contract | None = None,
) -> SaleStage:
    """Registry, factory and offering over `dollar` (PlainUSD unless given) and `oracle` (else a stand-in), and
    one node's share."""
    dollar = dollar or deploy("PlainUSD")
    registry = deploy_registry(deploy, actors, keys, dollar)
    factory = deploy(
        *("NodeShareFactory", actors["owner"], registry.address, dollar.address),
        *(actors["enforcer"], actors["treasury"], 250),
    )
    oracle = oracle or deploy("OracleStandIn", local.chain_time(w3) - 10 * DAY - 123, WINDOW, FINALITY, RING)
    offering = deploy(
        *("Offering", actors["owner"], actors["guardian"]),
        *(registry.address, factory.address, oracle.address),
    )
    send(registry.functions.setMarket(offering.address, True), actors["owner"])
    send(factory.functions.setIssuer(offering.address, True), actors["owner"])
    stage = SaleStage(w3, actors, keys, dollar, registry, factory, oracle, offering, send, share_abi)
    stage.create_share()
    return stage
