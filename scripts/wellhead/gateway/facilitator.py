"""x402's facilitator inside the gateway's own process: verifies payments, settles them, and pays the gas.

x402's code blocks on the chain, so it runs in threads. Where it says only that a payment would fail, the
chain is asked once more and its answer decoded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from eth_account.signers.local import LocalAccount
from requests.exceptions import RequestException
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractCustomError, ContractLogicError, Web3Exception, Web3RPCError
from x402 import x402FacilitatorSync
from x402.mechanisms.evm import FacilitatorWeb3Signer
from x402.mechanisms.evm.batch_settlement.errors import ERR_DEPOSIT_SIMULATION_FAILED
from x402.mechanisms.evm.batch_settlement.facilitator import BatchSettlementEvmFacilitator
from x402.mechanisms.evm.batch_settlement.facilitator.deposit_eip3009 import (
    build_eip3009_deposit_collector_data,
)
from x402.mechanisms.evm.batch_settlement.facilitator.utils import (
    verify_batch_settlement_voucher_typed_data,
)
from x402.mechanisms.evm.batch_settlement.types import DepositPayload
from x402.mechanisms.evm.constants import (
    ERR_INSUFFICIENT_BALANCE,
    ERR_NONCE_ALREADY_USED,
    ERR_TRANSACTION_SIMULATION_FAILED,
)
from x402.mechanisms.evm.exact.facilitator import ExactEvmScheme
from x402.schemas import (
    PaymentPayload,
    PaymentRequirements,
    SettleResponse,
    VerifyResponse,
)

from wellhead.chain import artifacts, revert
from wellhead.chain.connection import connect
from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.deploy.canonical import COLLECTOR, SETTLEMENT
from wellhead.errors import Misused, Refused
from wellhead.gateway.channels import payment as channel_payment
from wellhead.gateway.channels.payment import ChannelPayment
from wellhead.gateway.config import GatewayConfig
from wellhead.gateway.signer import RenewedSigner
from wellhead.gateway.terms import TokenDomain
from wellhead.units import format_usd

# Reasons of ours, beside those of x402. What follows ": " in a reason is for people.
CHAIN_UNAVAILABLE = "chain_unavailable"
INSUFFICIENT_FUNDS = "insufficient_funds"
AUTHORIZATION_USED = "authorization_used"
REFUSED_BY_TOKEN = "refused_by_token"
UNREADABLE = "unreadable_payment: it does not hold what an EIP-3009 authorization consists of"

# x402 says that a transfer would fail, with or without Multicall3's help to say why; the token says it in words.
_WOULD_FAIL = frozenset({ERR_TRANSACTION_SIMULATION_FAILED, ERR_INSUFFICIENT_BALANCE, ERR_NONCE_ALREADY_USED})

THREADS = 32
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Facilitator:
    """x402's facilitator for both schemes on one network."""

    def __init__(self, config: GatewayConfig, account: LocalAccount) -> None:
        """Raises Misused when the chain, the token or the payee is not what the configuration says.

        `account` pays the gas of settlements. Nothing else may use its key: nonces would collide.
        """
        self._network = config.network
        self._w3 = connect(config.rpc_url, timeout_seconds=30)
        self._token = _token(self._w3, config.asset)
        self.domain = _check_chain(self._w3, self._token, config)
        key = account.key.hex()
        signer = RenewedSigner(
            lambda: FacilitatorWeb3Signer(key, config.rpc_url, config.settle_timeout_seconds)
        )
        # Settlements wait for blocks: they have threads of their own, so that nothing else waits for them.
        self._settling = ThreadPoolExecutor(THREADS, thread_name_prefix="settling")
        self._verifying = ThreadPoolExecutor(THREADS, thread_name_prefix="verifying")
        self._inner = x402FacilitatorSync()
        self._inner.register([config.network], ExactEvmScheme(signer))
        self._inner.register([config.network], BatchSettlementEvmFacilitator(signer))
        self._signer = signer
        self._chain_id = config.chain_id

    async def verify(self, payload: PaymentPayload, requirements: PaymentRequirements) -> VerifyResponse:
        """Whether `payload` would pay `requirements` now. Sends nothing, raises nothing."""
        return await _in_thread(self._verifying, self._verify, payload, requirements)

    async def settle(self, payload: PaymentPayload, requirements: PaymentRequirements) -> SettleResponse:
        """Carry the payment out and wait until it is mined. Raises nothing."""
        return await _in_thread(self._settling, self._settle, payload, requirements)

    async def is_sending(self) -> bool:
        """Whether the chain has a transaction of this account's that is not mined. Raises what web3 raises."""
        return await _in_thread(self._verifying, self._is_sending)

    async def signed_by_contract(self, payment: ChannelPayment) -> bool:
        """Whether a payer that is a contract acknowledges its voucher by ERC-1271."""
        return await _in_thread(self._verifying, self._signed_by_contract, payment)

    def _is_sending(self) -> bool:
        count = self._w3.eth.get_transaction_count
        account = Web3.to_checksum_address(self._signer.address)
        return count(account, "pending") > count(account, "latest")

    def _signed_by_contract(self, payment: ChannelPayment) -> bool:
        return verify_batch_settlement_voucher_typed_data(
            self._signer,
            channel_id=f"0x{payment.claimed_channel_id.hex()}",
            max_claimable_amount=str(payment.max_claimable_amount),
            payer_authorizer=payment.config.payer_authorizer,
            payer=payment.config.payer,
            signature=f"0x{payment.signature.hex()}",
            chain_id=self._chain_id,
        )

    def _verify(self, payload: PaymentPayload, requirements: PaymentRequirements) -> VerifyResponse:
        try:
            verdict = self._inner.verify(payload, requirements)
        except Exception:
            # x402 lets through what it meets in a payload, and RPC errors, whose text may hold a secret URL.
            _log.warning("a payment could not be verified", exc_info=True)
            verdict = VerifyResponse(is_valid=False, invalid_reason=UNREADABLE)
        if not verdict.is_valid:
            reason = self._reason(verdict.invalid_reason, payload, requirements)
            verdict = VerifyResponse(is_valid=False, invalid_reason=reason, payer=verdict.payer)
        return verdict

    def _settle(self, payload: PaymentPayload, requirements: PaymentRequirements) -> SettleResponse:
        try:
            outcome = self._inner.settle(payload, requirements)
        except Exception:
            _log.warning("a payment could not be settled", exc_info=True)
            outcome = SettleResponse(success=False, transaction="", network=self._network)
        if outcome.success:
            return outcome
        _log.warning("settlement failed: %s %s", outcome.error_reason, outcome.error_message)
        reason = outcome.error_reason if self._w3.is_connected() else CHAIN_UNAVAILABLE
        # The message goes to the customer, and may hold the RPC's URL: it stays in the log.
        return outcome.model_copy(update={"error_reason": reason, "error_message": None})

    def _reason(
        self, reason: str | None, payload: PaymentPayload, requirements: PaymentRequirements
    ) -> str | None:
        gone = f"{CHAIN_UNAVAILABLE}: the chain does not answer the gateway"
        try:
            if not self._w3.is_connected():
                return gone
            if reason in _WOULD_FAIL:
                return self._why(payload.payload, int(requirements.amount))
            if reason == ERR_DEPOSIT_SIMULATION_FAILED:
                return f"{reason}: {self._why_no_deposit(_as_channel_payment(payload))}"
        except (RequestException, Web3Exception):
            return gone
        return reason

    def _why(self, payment: dict[str, Any], price_usd6: int) -> str:
        """Ask the token itself why it would refuse; uses only what USDC has too."""
        terms = payment["authorization"]
        payer, nonce = Web3.to_checksum_address(terms["from"]), bytes.fromhex(terms["nonce"][2:])
        if self._token.functions.authorizationState(payer, nonce).call():
            return f"{AUTHORIZATION_USED}: this payment was carried out or canceled before; sign a new one"
        balance_usd6 = self._token.functions.balanceOf(payer).call()
        if balance_usd6 < price_usd6:
            held, price = format_usd(balance_usd6), format_usd(price_usd6)
            return f"{INSUFFICIENT_FUNDS}: {payer} holds {held}, the call costs {price}"
        signature = bytes.fromhex(payment["signature"].removeprefix("0x"))
        form = "bytes"
        proof: tuple[Any, ...] = (signature,)
        if len(signature) == 65:
            form, proof = "uint8,bytes32,bytes32", (signature[64], signature[:32], signature[32:64])
        name = f"transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,{form})"
        call = self._token.get_function_by_signature(name)(
            payer,
            Web3.to_checksum_address(terms["to"]),
            *(int(terms[field]) for field in ("value", "validAfter", "validBefore")),
            nonce,
            *proof,
        )
        try:
            call.call()
        except (ContractCustomError, ContractLogicError, Web3RPCError) as error:
            return f"{REFUSED_BY_TOKEN}: {revert.from_exception(error)}"
        return f"{REFUSED_BY_TOKEN}: refused a moment ago, and no longer; try again"

    def _why_no_deposit(self, payment: ChannelPayment) -> str:
        settlement = BatchSettlement(self._w3, SETTLEMENT.address)
        data = build_eip3009_deposit_collector_data(DepositPayload.from_dict(payment.payload))
        try:
            settlement.deposit(payment.config, payment.deposit_amount, COLLECTOR.address, data).call()
        except (ContractCustomError, ContractLogicError, Web3RPCError) as error:
            return str(revert.from_exception(error))
        return "refused a moment ago, and no longer; try again"


async def _in_thread(threads: ThreadPoolExecutor, call: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, call, *arguments)


def _as_channel_payment(payload: PaymentPayload) -> ChannelPayment:
    return channel_payment.read(payload.model_dump(mode="json", by_alias=True))


def _token(w3: Web3, asset: str) -> Contract:
    """The stablecoin behind the interfaces that USDC shares: MockUSD's ABI covers them."""
    return w3.eth.contract(address=Web3.to_checksum_address(asset), abi=artifacts.load("MockUSD").abi)


def _check_chain(w3: Web3, token: Contract, config: GatewayConfig) -> TokenDomain:
    try:
        found = w3.eth.chain_id
        if found != config.chain_id:
            raise Misused(
                f"{config.rpc_url} is chain {found}, the gateway is configured for {config.chain_id}"
            )
        if not w3.eth.get_code(token.address):
            raise Misused(f"there is no contract at {config.asset} on chain {found}: is `asset` right?")
        return TokenDomain(token.functions.name().call(), token.functions.version().call())
    except (RequestException, Web3Exception) as error:
        raise Refused(
            f"no stablecoin answers at {config.asset} through {config.rpc_url}: {type(error).__name__}"
        ) from error
