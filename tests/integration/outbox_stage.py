"""What a test of the outbox stands on: a chain that mines when told, an account, a contract that counts its calls."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from requests import Session
from requests.exceptions import RequestException
from sqlalchemy import Engine
from web3 import HTTPProvider, Web3
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

from moved_clock import MovedClock
from wellhead.chain import keys, local
from wellhead.chain.outbox.journal import Call, OutboxJournal
from wellhead.chain.outbox.policy import SendingPolicy
from wellhead.chain.outbox.sender import Decision, Outbox, UnderWay
from wellhead.database import open_database
from wellhead.errors import Refused

SENDER = "reporter-0"
POLICY = SendingPolicy(patience_seconds=60, confirmations=3, watched_blocks=64)
GAS = 100_000
# Slot 0 is the highest round so far, slot 1 how often it was called; a round that is not higher is refused.
ROUNDS = "0x5f35805f5410600c575f5ffd5b5f5560015460010160015500"
# Slot 1 is how often it was called, with whatever.
COUNTING = "0x60015460010160015500"
REVERTING = "0x5f5ffd"


@dataclass
class OutboxStage:
    """`reporter-0` calls a contract."""

    w3: Web3
    url: str
    folder: Path
    clock: MovedClock = field(default_factory=MovedClock)
    contract: str = Web3.to_checksum_address((0xC0DE).to_bytes(20, "big"))
    journal_name: str = "outbox.db"
    engines: list[Engine] = field(default_factory=list)

    # The chain --------------------------------------------------------------------------------------

    @property
    def account(self) -> LocalAccount:
        return keys.local_account(SENDER)

    def rpc(self, method: str, *parameters: Any) -> Any:
        answer = self.w3.provider.make_request(RPCEndpoint(method), list(parameters))
        assert "error" not in answer, answer
        return answer["result"]

    def mine(self, blocks: int = 1) -> None:
        self.rpc("anvil_mine", hex(blocks))

    def reorganise(self, depth: int) -> None:
        """The last `depth` blocks are replaced with empty ones; what was in them is forgotten."""
        self.rpc("anvil_reorg", depth, [])

    def set_code(self, code: str) -> None:
        self.rpc("anvil_setCode", self.contract, code)

    def landed(self) -> int:
        """Calls of the contract that succeeded."""
        return int(self.w3.eth.get_storage_at(self.contract, 1).hex(), 16)

    def paid_for(self) -> int:
        """Transactions that the account ever got mined."""
        return self.w3.eth.get_transaction_count(self.account.address)

    def waiting(self) -> list[Any]:
        """The account's transactions that wait to be mined, by nonce."""
        pool = self.rpc("txpool_content")
        found = [
            one
            for kind in ("pending", "queued")
            for sender, by_nonce in pool[kind].items()
            if Web3.to_checksum_address(sender) == self.account.address
            for one in by_nonce.values()
        ]
        return sorted(found, key=lambda one: int(one["nonce"], 16))

    def forget(self) -> None:
        """The node drops what waits."""
        for transaction in self.waiting():
            self.rpc("anvil_dropTransaction", transaction["hash"])

    def anew(self, number: int, code: str = COUNTING) -> None:
        """Another contract that nobody has called, and another journal."""
        self.contract = Web3.to_checksum_address((0xC0DE00 + number).to_bytes(20, "big"))
        self.set_code(code)
        self.mine(10)  # no reorganisation of its own reaches back to here
        self.journal_name = f"outbox-{number}.db"

    # The outbox -------------------------------------------------------------------------------------

    @property
    def database(self) -> Path:
        return self.folder / self.journal_name

    def journal(self, **options: Any) -> OutboxJournal:
        engine = open_database(f"sqlite:///{self.database}")
        self.engines.append(engine)
        return OutboxJournal(engine, self.clock, local.CHAIN_ID, self.account.address, **options)

    def outbox(
        self,
        policy: SendingPolicy = POLICY,
        w3: Web3 | None = None,
        journal: OutboxJournal | None = None,
    ) -> Outbox:
        """As a process that starts has it: nothing is known but what is on disk."""
        return Outbox(w3 or self.w3, self.account, journal or self.journal(), policy, self.clock)

    def call(self, number: int = 1, **changes: Any) -> Call:
        return Call(self.contract, number.to_bytes(32, "big"), GAS, f"round {number}")._replace(**changes)

    def follow(self, outbox: Outbox) -> list[tuple[str, str]]:
        """Look until nothing is under way; every look finds a block more. What was decided, by subject."""
        told = []
        for _ in range(60):
            now = outbox.advance()
            if isinstance(now, Decision):
                told.append((now.entry.call.subject, now.state))
                outbox.close(now)
            elif now is None:
                return told
            else:
                self.mine()
        raise AssertionError(f"still under way: {outbox.problem}")


def bring(stage: OutboxStage, outbox: Outbox, call: Call, looks: int = 60) -> None:
    """What a daemon does: it asks the chain, submits what is missing, and goes on after whatever a look raises."""
    for _ in range(looks):
        try:
            now = outbox.advance()
            if isinstance(now, Decision):
                outbox.close(now)
            elif now is None:
                if stage.landed() and not stage.waiting():
                    return
                outbox.submit(call)
        except (RequestException, Web3Exception, Refused):
            pass
        stage.mine()
    raise AssertionError(f"not brought: {outbox.problem}")


def under_way(now: UnderWay | Decision | None) -> UnderWay:
    assert isinstance(now, UnderWay), now
    return now


def decided(now: UnderWay | Decision | None) -> Decision:
    assert isinstance(now, Decision), now
    return now


@contextmanager
def outbox_stage(folder: Path) -> Iterator[OutboxStage]:
    """A stage on a chain of its own."""
    with local.running("anvil", log=folder / "chain.log") as chain:
        stage = OutboxStage(chain.connect(), chain.url, folder)
        stage.set_code(COUNTING)
        stage.mine(10)  # so that no reorganisation reaches the genesis block
        stage.rpc("evm_setAutomine", False)
        yield stage
        for engine in stage.engines:
            engine.dispose()


class WatchedProvider(HTTPProvider):
    """A connection of its own, on which a test may stand between question and answer."""

    def __init__(self, url: str) -> None:
        super().__init__(url, session=Session())

    def before(self, _method: str, params: Any) -> Any:
        """The parameters to ask with; or raise what the connection would."""
        return params

    def after(self, _method: str, answer: Any) -> Any:
        """The answer to give; or raise what the connection would."""
        return answer

    def make_request(self, method: RPCEndpoint, params: Any) -> Any:
        return self.after(method, super().make_request(method, self.before(method, params)))


@contextmanager
def full_disk(file: Path) -> Iterator[None]:
    """No file of this process grows beyond the size of `file`: SQLite meets what it meets on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
