"""A factory with everything around it, and shares out of it: what the share tests play on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractEvent
from web3.logs import DISCARD
from web3.types import TxReceipt

from wellhead.chain import local

SHARE_UNITS = 10**6
DAY = 86_400
ATTESTED, ACTIVE, SUSPENDED, RETIRED = 2, 3, 4, 5
SALE, LIVE, FAILED = 0, 1, 2
NOBODY = "0x" + "00" * 20


class ShareTerms(NamedTuple):
    """INodeShareFactory.ShareTerms, in its order."""

    name: str = "Node One"
    symbol: str = "NODE1"
    tau_seconds: int = DAY
    operator_cut_bps: int = 1_000
    eligibility: str = NOBODY
    issuer: str = NOBODY
    supply_units: int = 1_000 * SHARE_UNITS


class ShareStage(NamedTuple):
    """The owner, enforcer, treasury and operator are the actors of that name."""

    w3: Web3
    actors: dict[str, str]
    usd: Contract
    registry: Contract
    factory: Contract
    deploy: Callable[..., Contract]
    send: Callable[..., TxReceipt]
    share_abi: Any

    @property
    def issuer(self) -> str:
        """Stands in for the Offering."""
        return self.actors["guardian"]

    def create(self, terms: ShareTerms, node: int = 1) -> Contract:
        """A share of `node`, an active node of the operator."""
        self.send(self.registry.functions.set(node, self.actors["operator"], ACTIVE))
        self.send(self.factory.functions.create(node, tuple(terms)), sender=self.actors["operator"])
        return self.w3.eth.contract(self.factory.functions.shareOf(node).call(), abi=self.share_abi)

    def live_share(self, **terms: Any) -> Contract:
        """A live share of which the operator holds all."""
        return self.create(ShareTerms(**terms))

    def sale_share(self, **terms: Any) -> Contract:
        """A share on sale, of which nobody holds any."""
        return self.create(ShareTerms(issuer=self.issuer, supply_units=0, **terms))

    def pay(self, share: Contract, amount_usd6: int) -> None:
        """Income arrives, as a plain transfer would bring it."""
        self.send(self.usd.functions.mint(share.address, amount_usd6))

    def at(self, seconds: int) -> int:
        """The next block is mined `seconds` after the latest; its time."""
        time = local.chain_time(self.w3) + seconds
        self.w3.provider.make_request("evm_setNextBlockTimestamp", [time])  # type: ignore[arg-type]
        return time

    def pass_time(self, seconds: int) -> int:
        """Mines a block `seconds` later; its time."""
        return local.advance(self.w3, seconds)


def the_event(event: ContractEvent, receipt: TxReceipt) -> dict[str, Any]:
    """The fields of the only event of that kind in the receipt."""
    (found,) = event.process_receipt(receipt, errors=DISCARD)
    return dict(found["args"])


def raise_stage(
    w3: Web3,
    deploy: Callable[..., Contract],
    send: Callable[..., TxReceipt],
    actors: dict[str, str],
    share_abi: Any,
    *,
    usd: Contract | None = None,
    protocol_cut_bps: int = 250,
) -> ShareStage:
    """A factory over `usd` (PlainUSD unless given), with the stage's issuer allowed."""
    usd = usd or deploy("PlainUSD")
    registry = deploy("ShareRegistryDouble")
    factory = deploy(
        "NodeShareFactory",
        *(actors["owner"], registry.address, usd.address, actors["enforcer"], actors["treasury"]),
        protocol_cut_bps,
    )
    stage = ShareStage(w3, actors, usd, registry, factory, deploy, send, share_abi)
    send(factory.functions.setIssuer(stage.issuer, True), sender=actors["owner"])
    return stage
