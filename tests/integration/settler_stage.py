"""What a settler's test stands on: a chain with the router on it, channels that paid for calls, a clock to move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from eth_typing import Hash32
from web3 import Web3
from web3.contract import Contract
from web3.types import RPCEndpoint

from moved_clock import MovedClock
from wellhead.chain import artifacts, keys, local
from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.chain.outbox.policy import SendingPolicy
from wellhead.chain.transact import Sender
from wellhead.deploy.canonical import SETTLEMENT, ensure_canonical
from wellhead.gateway.channels.book import NOTHING
from wellhead.gateway.channels.figures import ChannelLedger
from wellhead.gateway.channels.ledger import Ledger, UnknownChannelError
from wellhead.gateway.claims.policy import ClaimPolicy
from wellhead.gateway.claims.settler import Settler
from wellhead.reference import channel as twin
from wellhead.reference.channel import ChannelConfig

BALANCE_USD6 = 1_000_000
PRICE_USD6 = 1_000
DELAY_SECONDS = 900
AUTHORIZER, GAS_PAYER, PAYER, OTHER_PAYER = "treasury", "facilitator", "customer", "holder"
FUNDS_USD6 = 10**12
CLAIMING = ClaimPolicy(
    min_value_usd6=10_000, max_age_seconds=3_600, min_channel_usd6=500, withdrawal_margin_seconds=600
)
SENDING = SendingPolicy(patience_seconds=60, confirmations=2, poll_seconds=0.01)


class SettlerStage(NamedTuple):
    """`customer` pays for calls; `treasury` authorizes claims, `facilitator` pays their gas."""

    w3: Web3
    url: str
    usd: Contract
    settlement: BatchSettlement
    router: str
    collector: str
    folder: Path
    ledger: Ledger
    clock: MovedClock
    domain: bytes
    salts: count[int]

    # The chain --------------------------------------------------------------------------------------

    def sender(self, role: str) -> Sender:
        return Sender(self.w3, keys.local_account(role))

    def rpc(self, method: str, *parameters: Any) -> Any:
        answer = self.w3.provider.make_request(RPCEndpoint(method), list(parameters))
        assert "error" not in answer, answer
        return answer["result"]

    def mine(self, blocks: int = 1) -> None:
        self.rpc("anvil_mine", hex(blocks))

    def claims(self) -> list[tuple[bytes, int]]:
        """Every claim ever made: channel and amount."""
        events = self.settlement.contract.events.Claimed().get_logs(from_block=0)
        return [(event["args"]["channelId"], event["args"]["claimAmount"]) for event in events]

    def batches(self) -> int:
        """Transactions that the gas payer ever got mined."""
        return self.w3.eth.get_transaction_count(keys.local_account(GAS_PAYER).address)

    def waiting(self) -> list[Any]:
        """The gas payer's transactions that wait to be mined."""
        pool = self.rpc("txpool_content")
        mine = keys.local_account(GAS_PAYER).address
        return [
            one
            for kind in ("pending", "queued")
            for sender, by_nonce in pool[kind].items()
            if Web3.to_checksum_address(sender) == mine
            for one in by_nonce.values()
        ]

    def claimed(self, config: ChannelConfig) -> int:
        return self.settlement.figures(self.channel_id(config)).total_claimed

    def earned(self, receiver: str) -> int:
        return int(self.usd.functions.balanceOf(receiver).call())

    # Channels ---------------------------------------------------------------------------------------

    def open(self, receivers: Sequence[str], payer: str = PAYER, **changes: Any) -> list[ChannelConfig]:
        """A funded channel with each of `receivers`, which the ledger knows."""
        configs = [
            ChannelConfig(
                payer=keys.local_account(payer).address,
                payer_authorizer=keys.local_account(payer).address,
                receiver=receiver,
                receiver_authorizer=keys.local_account(AUTHORIZER).address,
                token=self.usd.address,
                withdraw_delay=DELAY_SECONDS,
                salt=next(self.salts).to_bytes(32, "big"),
            )._replace(**changes)
            for receiver in receivers
        ]
        deposit = self.settlement.contract.encode_abi
        for start in range(0, len(configs), 50):
            calls = [
                deposit("deposit", [tuple(config), BALANCE_USD6, self.collector, b""])
                for config in configs[start : start + 50]
            ]
            self.sender("owner").send(self.settlement.call("multicall", calls))
        for config in configs:
            self.look(config)
        return configs

    def look(self, config: ChannelConfig) -> None:
        """As the gateway does when it meets a channel."""
        channel_id = self.channel_id(config)
        try:
            before = self.ledger.account(channel_id).figures
        except UnknownChannelError:
            before = NOTHING
        self.ledger.seen(channel_id, config, self.settlement.figures(channel_id), before)

    def channel_id(self, config: ChannelConfig) -> bytes:
        return twin.channel_id(self.domain, config)

    def serve(
        self, config: ChannelConfig, cost: int = PRICE_USD6, price: int | None = None, signer: str = PAYER
    ) -> None:
        """A call that may cost `price` and costs `cost`."""
        price = cost if price is None else price
        channel_id = self.channel_id(config)
        ceiling = self.ledger.account(channel_id).charged + price
        digest = Hash32(twin.voucher_digest(self.domain, channel_id, ceiling))
        signature = bytes(keys.local_account(signer).unsafe_sign_hash(digest).signature)
        self.ledger.charge(self.ledger.admit(channel_id, ceiling, signature, price, 60), cost)

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.folder / 'ledger.db'}"

    # Settling ---------------------------------------------------------------------------------------

    def settler(self, w3: Web3 | None = None, ledger: ChannelLedger | None = None, **changes: Any) -> Settler:
        options = {"claiming": CLAIMING, "sending": SENDING, "clock": self.clock, **changes}
        return Settler(
            w3 or self.w3,
            self.router,
            keys.local_account(GAS_PAYER),
            keys.local_account(AUTHORIZER),
            ledger or self.ledger,
            self.ledger_url,
            **options,
        )

    def settle(self, settler: Settler, **options: Any) -> None:
        """Look until nothing is under way; every look finds a block more."""
        for _ in range(40):
            settler.tick(**options)
            if settler.status().under_way is None:
                return
            self.mine()
        raise AssertionError(f"still under way: {settler.status()}")


@contextmanager
def settler_stage(folder: Path) -> Iterator[SettlerStage]:
    """A stage on a chain of its own."""
    with local.running("anvil", log=folder / "chain.log") as chain:
        stage = _raise(chain, folder)
        yield stage
        stage.ledger.close()


def _raise(chain: local.LocalChain, folder: Path) -> SettlerStage:
    w3 = chain.connect()
    owner = Sender(w3, keys.local_account("owner"))
    ensure_canonical(w3)

    def create(name: str, *arguments: Any) -> Contract:
        built = artifacts.load(name)
        made = owner.send(w3.eth.contract(abi=built.abi, bytecode=built.bytecode).constructor(*arguments))
        return w3.eth.contract(address=made.receipt["contractAddress"], abi=built.abi)

    usd = create("MockUSD", owner.address)
    router = create("SettleRouter", SETTLEMENT.address)
    collector = create("AllowanceCollector")
    owner.send(usd.functions.configureMinter(owner.address, 2 * FUNDS_USD6))
    for role in (PAYER, OTHER_PAYER):
        payer = Sender(w3, keys.local_account(role))
        owner.send(usd.functions.mint(payer.address, FUNDS_USD6))
        payer.send(usd.functions.approve(collector.address, FUNDS_USD6))
    clock = MovedClock()
    return SettlerStage(
        w3=w3,
        url=chain.url,
        usd=usd,
        settlement=BatchSettlement(w3, SETTLEMENT.address),
        router=router.address,
        collector=collector.address,
        folder=folder,
        ledger=Ledger(f"sqlite:///{folder / 'ledger.db'}", clock),
        clock=clock,
        domain=twin.settlement_domain(w3.eth.chain_id, SETTLEMENT.address),
        salts=count(1),
    )


def some_account(number: int) -> str:
    """A receiver without code and without a key."""
    return Web3.to_checksum_address(number.to_bytes(20, "big"))
