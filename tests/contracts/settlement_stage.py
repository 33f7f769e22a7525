"""BatchSettlement at its canonical address, and channels on it: what the settlement tests play on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from eth_account.signers.local import LocalAccount
from eth_typing import Hash32
from usd_signing import FOREVER, Authorization, sign
from web3 import Web3
from web3.contract import Contract
from web3.types import RPCEndpoint, TxReceipt

from wellhead.chain import local
from wellhead.deploy.canonical import COLLECTOR, SETTLEMENT, ensure_canonical
from wellhead.reference import channel as twin
from wellhead.reference.channel import ChannelConfig, ClaimRow

NOBODY = "0x" + "00" * 20
DELAY = 3_600
FUNDS = 10**12


class SettlementStage(NamedTuple):
    """`customer` pays `operator` (the receiver) through `treasury` (the receiver authorizer)."""

    w3: Web3
    actors: dict[str, str]
    keys: dict[str, LocalAccount]
    usd: Contract
    settlement: Contract
    collector: Contract
    send: Callable[..., TxReceipt]
    domain: bytes

    @property
    def functions(self) -> Any:
        return self.settlement.functions

    def config(self, **changes: Any) -> ChannelConfig:
        """The customer's channel with the operator, with `changes`."""
        return ChannelConfig(
            payer=self.actors["customer"],
            payer_authorizer=self.actors["customer"],
            receiver=self.actors["operator"],
            receiver_authorizer=self.actors["treasury"],
            token=self.usd.address,
            withdraw_delay=DELAY,
            salt=bytes(32),
        )._replace(**changes)

    def channel_id(self, config: ChannelConfig) -> bytes:
        return twin.channel_id(self.domain, config)

    def collector_data(
        self, config: ChannelConfig, amount: int, salt: int = 1, payer: str = "customer"
    ) -> bytes:
        """The payer's EIP-3009 consent to a deposit, as the collector takes it."""
        codec = self.w3.codec
        nonce = Web3.keccak(codec.encode(["bytes32", "uint256"], [self.channel_id(config), salt]))
        authorization = Authorization(config.payer, COLLECTOR.address, amount, nonce=bytes(nonce))
        signed = sign(self.usd, self.keys[payer], "ReceiveWithAuthorization", authorization.message())
        fields = ["uint256", "uint256", "uint256", "bytes"]
        return bytes(codec.encode(fields, [0, FOREVER, salt, bytes(signed.signature)]))

    def deposit_call(self, config: ChannelConfig, amount: int, salt: int = 1, payer: str = "customer") -> Any:
        data = self.collector_data(config, amount, salt, payer)
        return self.functions.deposit(tuple(config), amount, COLLECTOR.address, data)

    def deposit(
        self, config: ChannelConfig, amount: int, salt: int = 1, payer: str = "customer"
    ) -> TxReceipt:
        """Anyone may bring it: a stranger does."""
        return self.send(self.deposit_call(config, amount, salt, payer), self.actors["stranger"])

    def signed(self, role: str, digest: bytes) -> bytes:
        """A digest signed as it is, without a prefix."""
        return bytes(self.keys[role].unsafe_sign_hash(Hash32(digest)).signature)

    def row(
        self, config: ChannelConfig, total: int, ceiling: int | None = None, signer: str = "customer"
    ) -> Any:
        """A claim of `total` on a voucher over `ceiling` (just as much unless given)."""
        most = total if ceiling is None else ceiling
        signature = self.signed(signer, twin.voucher_digest(self.domain, self.channel_id(config), most))
        return ((tuple(config), most), signature, total)

    def claim(self, *rows: Any, sender: str = "treasury") -> TxReceipt:
        return self.send(self.functions.claim(list(rows)), self.actors[sender])

    def batch_signature(self, rows: Iterable[Any], signer: str = "treasury") -> bytes:
        """The receiver authorizer's consent to these rows."""
        entries = [
            ClaimRow(self.channel_id(ChannelConfig(*config)), ceiling, total)
            for (config, ceiling), _, total in rows
        ]
        return self.signed(signer, twin.claim_batch_digest(self.domain, entries))

    def refund_signature(
        self, config: ChannelConfig, amount: int, nonce: int, signer: str = "treasury"
    ) -> bytes:
        return self.signed(signer, twin.refund_digest(self.domain, self.channel_id(config), nonce, amount))

    def state(self, config: ChannelConfig) -> tuple[int, int]:
        """(balance, totalClaimed)."""
        balance, claimed = self.functions.channels(self.channel_id(config)).call()
        return balance, claimed

    def balance(self, account: str) -> int:
        return int(self.usd.functions.balanceOf(account).call())

    def pass_time(self, seconds: int) -> int:
        return local.advance(self.w3, seconds)


def raise_settlement_stage(
    w3: Web3,
    deploy: Callable[..., Contract],
    send: Callable[..., TxReceipt],
    actors: dict[str, str],
    keys: dict[str, LocalAccount],
    compiled: dict[str, Any],
) -> SettlementStage:
    """Settlement and collector where x402's packages look for them, over a MockUSD that the customer has."""
    usd = deploy("MockUSD", actors["owner"])
    send(usd.functions.configureMinter(actors["owner"], 10**30), actors["owner"])
    send(usd.functions.mint(actors["customer"], FUNDS), actors["owner"])
    ensure_canonical(w3)
    settlement = w3.eth.contract(address=SETTLEMENT.address, abi=compiled[SETTLEMENT.contract].abi)
    collector = w3.eth.contract(address=COLLECTOR.address, abi=compiled[COLLECTOR.contract].abi)
    domain = twin.settlement_domain(w3.eth.chain_id, SETTLEMENT.address)
    return SettlementStage(w3, actors, keys, usd, settlement, collector, send, domain)


def set_code(w3: Web3, address: str, code: str) -> None:
    w3.provider.make_request(RPCEndpoint("anvil_setCode"), [address, code])
