"""A ComputePool over doubles of registry, factory and oracle, and nodes that work: what the pool tests play on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import Hash32
from web3 import Web3
from web3.contract import Contract
from web3.types import RPCEndpoint, TxReceipt

from wellhead.chain import local
from wellhead.reference.merkle import Reading
from wellhead.reference.pool import Schedule
from wellhead.reference.pool_receipt import Receipt, pool_domain, receipt_digest
from wellhead.reference.record import NodeRecord

HOUR, DAY = 3_600, 86_400
DOLLAR = 10**6
NOBODY = "0x" + "00" * 20
WINDOW, FINALITY, RING = HOUR, 2 * HOUR, 256
ATTESTED, ACTIVE, SUSPENDED, RETIRED = 2, 3, 4, 5
H100 = b"H100-SXM-80GB".ljust(16, b"\0")
A100 = b"A100-SXM-80GB".ljust(16, b"\0")
GATEWAY = Account.from_key(Web3.keccak(text="the gateway of the pool"))
FORMER_GATEWAY = Account.from_key(Web3.keccak(text="another gateway"))


class Terms(NamedTuple):
    """PoolTerms, in its order."""

    gpu_class: bytes = H100
    tau_seconds: int = 7 * DAY
    period_rounds: int = 24
    collecting_seconds: int = 20 * HOUR


def sign(key: LocalAccount, pool: Contract, receipt: Receipt) -> bytes:
    """The signature of `key` over the receipt, built without the contract."""
    digest = receipt_digest(pool_domain(pool.w3.eth.chain_id, pool.address), receipt)
    return bytes(key.unsafe_sign_hash(Hash32(digest)).signature)


@dataclass
class PoolStage:
    """Nodes are operated by the actor of that name; their shares are plain addresses unless given."""

    w3: Web3
    actors: dict[str, str]
    usd: Contract
    world: Contract
    oracle: Contract
    pool: Contract
    send: Callable[..., TxReceipt]
    schedule: Schedule
    genesis: int
    served: dict[int, int] = field(default_factory=dict)
    billed: dict[int, int] = field(default_factory=dict)

    def again(self) -> PoolStage:
        """As it was raised, for a test of its own."""
        return replace(self, served=dict(self.served), billed=dict(self.billed))

    @property
    def functions(self) -> Any:
        return self.pool.functions

    def now(self) -> int:
        return local.chain_time(self.w3)

    def pass_until(self, time: int) -> None:
        """A block at `time`, if that is still to come."""
        if time > self.now():
            local.advance(self.w3, time - self.now())

    def at(self, time: int) -> None:
        """The next block is mined exactly at `time`."""
        self.w3.provider.make_request(RPCEndpoint("evm_setNextBlockTimestamp"), [time])

    def send_at(self, time: int, call: Any) -> TxReceipt:
        """Mined exactly at `time`; a simulation would run at the block before it."""
        self.at(time)
        sent = call.transact({"from": self.actors["stranger"], "gas": 10**6})
        return self.w3.eth.wait_for_transaction_receipt(sent, poll_latency=0.002)

    def pass_periods(self, count: int = 1) -> int:
        """To the first second after the `count`-th period from now; the last period that has ended."""
        ended = self.schedule.period_at(self.now()) - 1 + count
        self.pass_until(self.schedule.end_of(ended))
        return ended

    def add_node(
        self, node: int, share: str | None = None, status: int = ACTIVE, gpu_class: bytes = H100
    ) -> str:
        """The operator's node as the registry and the factory know it; its share."""
        share = Web3.to_checksum_address(f"0x{0x5A5A0000 + node:040x}") if share is None else share
        self.send(self.world.functions.set(node, self.actors["operator"], status, gpu_class, share))
        return share

    def join(self, *nodes: int) -> None:
        for node in nodes:
            self.send(self.functions.admit(node), self.actors["owner"])
            self.send(self.functions.join(node), self.actors["operator"])

    def member(self, *nodes: int) -> None:
        """New nodes that join; members from the next period on."""
        for node in nodes:
            self.add_node(node)
        self.join(*nodes)

    def pay(self, amount_usd6: int) -> TxReceipt:
        """Income arrives, as settling would bring it, and is synced."""
        self.send(self.usd.functions.mint(self.pool.address, amount_usd6))
        return self.send(self.functions.sync())

    def receipt(self, node: int, period: int, units: int) -> Receipt:
        """An honest gateway's, whose counter goes on from its last."""
        start = self.billed.get(node, 0)
        self.billed[node] = start + units
        return Receipt(node, period, start, start + units)

    def reading(self, node: int, round_number: int, work_units: int) -> Reading:
        """A final record of the node at the end of that round's window."""
        end = self.genesis + round_number * WINDOW
        made = Reading(round_number, NodeRecord(end, 0, 0, 0, 0, work_units, 8).pack(), [])
        self.send(self.oracle.functions.callFinal(node, made))
        return made

    def readings(self, node: int, period: int, units: int) -> tuple[Reading, Reading]:
        """Of the rounds at the period's start and end; in between the node served `units`."""
        first, last = self.functions.roundsOf(period).call()
        start = self.served.get(node, 10**9 * node)
        self.served[node] = start + units
        return self.reading(node, first, start), self.reading(node, last, start + units)

    def record_call(
        self, node: int, period: int, served: int, billed: int | None = None, key: LocalAccount = GATEWAY
    ) -> Any:
        """The call that records what the node did, everybody being honest."""
        receipt = self.receipt(node, period, served if billed is None else billed)
        base, end = self.readings(node, period, served)
        return self.functions.record(receipt, sign(key, self.pool, receipt), base, end)

    def record(self, node: int, period: int, served: int, billed: int | None = None) -> TxReceipt:
        return self.send(self.record_call(node, period, served, billed), self.actors["stranger"])

    def distribute(self, period: int) -> TxReceipt:
        """As soon as it may be."""
        self.pass_until(self.schedule.distributable_at(period))
        return self.send(self.functions.distribute(period), self.actors["stranger"])

    def claim(self, node: int) -> TxReceipt:
        return self.send(self.functions.claim(node), self.actors["stranger"])

    def balance(self, account: str) -> int:
        return int(self.usd.functions.balanceOf(account).call())


def raise_pool_stage(
    w3: Web3,
    deploy: Callable[..., Contract],
    send: Callable[..., TxReceipt],
    actors: dict[str, str],
    usd: Contract | None = None,
    **terms: Any,
) -> PoolStage:
    """A pool over `usd` (PlainUSD unless given) without members, in the oracle's first windows."""
    usd = usd or deploy("PlainUSD")
    world = deploy("PoolWorldDouble", usd.address)
    local.advance(w3, 1)  # on a chain without blocks, simulations run at second 1
    genesis = local.chain_time(w3) - 10 * WINDOW - 123
    oracle = deploy("OracleStandIn", genesis, WINDOW, FINALITY, RING)
    pool = deploy(
        *("ComputePool", actors["owner"], actors["guardian"], world.address, oracle.address),
        *(GATEWAY.address, tuple(Terms(**terms))),
    )
    start = pool.functions.periodEndOf(0).call()
    wait = pool.functions.distributableAt(0).call() - start
    schedule = Schedule(
        start, pool.functions.periodSeconds().call(), pool.functions.tauSeconds().call(), wait
    )
    return PoolStage(w3, actors, usd, world, oracle, pool, send, schedule, genesis)
