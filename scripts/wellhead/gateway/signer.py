"""The facilitator's key on the chain.

x402's own signer counts its nonces in memory. After a reverted snapshot, a reorganisation or a send that
failed that count is ahead of the chain's: the next transaction would wait for ever for one that never
comes. So it is built anew whenever nothing is under way, and at once after anything went wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from x402.mechanisms.evm import FacilitatorWeb3Signer
from x402.mechanisms.evm.types import TransactionReceipt, TypedDataDomain, TypedDataField

Abi = list[dict[str, Any]]


class RenewedSigner:
    """x402's FacilitatorEvmSigner over FacilitatorWeb3Signers that are replaced. Safe between threads."""

    def __init__(self, build: Callable[[], FacilitatorWeb3Signer]) -> None:
        """`build` makes a signer that takes its nonce from the chain."""
        self._build = build
        self._lock = threading.Lock()
        self._current = build()
        self._sending = 0
        self._unconfirmed: set[str] = set()
        self._suspect = False

    # Sending ----------------------------------------------------------------------------------------
    def write_contract(
        self, address: str, abi: Abi, function_name: str, *args: Any, data_suffix: str | None = None
    ) -> str:
        """Send a call; its transaction hash."""
        return self._send(
            lambda signer: signer.write_contract(address, abi, function_name, *args, data_suffix=data_suffix)
        )

    def send_transaction(self, to: str, data: bytes) -> str:
        """Send calldata; its transaction hash."""
        return self._send(lambda signer: signer.send_transaction(to, data))

    def wait_for_transaction_receipt(self, tx_hash: str) -> TransactionReceipt:
        """The receipt; raises web3's TimeExhausted when it does not come in time."""
        try:
            return self._current.wait_for_transaction_receipt(tx_hash)
        except Exception:
            with self._lock:
                self._suspect = True
            raise
        finally:
            with self._lock:
                self._unconfirmed.discard(tx_hash)

    def _send(self, send: Callable[[FacilitatorWeb3Signer], str]) -> str:
        with self._lock:
            if self._suspect or not (self._sending or self._unconfirmed):
                self._current = self._build()
                self._suspect = False
            signer = self._current
            self._sending += 1
        try:
            tx_hash = send(signer)
        except Exception:
            with self._lock:
                self._sending -= 1
                self._suspect = True
            raise
        with self._lock:
            self._sending -= 1
            self._unconfirmed.add(tx_hash)
        return tx_hash

    # Reading ----------------------------------------------------------------------------------------
    @property
    def address(self) -> str:
        return str(self._current.address)

    def get_addresses(self) -> list[str]:
        return list(self._current.get_addresses())

    def get_chain_id(self) -> int:
        return int(self._current.get_chain_id())

    def get_balance(self, address: str, token_address: str) -> int:
        return int(self._current.get_balance(address, token_address))

    def get_code(self, address: str) -> bytes:
        return bytes(self._current.get_code(address))

    def read_contract(self, address: str, abi: Abi, function_name: str, *args: Any) -> Any:
        return self._current.read_contract(address, abi, function_name, *args)

    def verify_typed_data(
        self,
        address: str,
        domain: TypedDataDomain,
        types: dict[str, list[TypedDataField]],
        primary_type: str,
        message: dict[str, Any],
        signature: bytes,
    ) -> bool:
        return bool(self._current.verify_typed_data(address, domain, types, primary_type, message, signature))
