"""SettleRouter: the claims of many channels and receivers in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wellhead.chain.contracts.base import Wrapper
from wellhead.reference.dense_claims import SignedClaim, encode_claims


class SettleRouter(Wrapper):
    artifact = "SettleRouter"

    def settlement(self) -> str:
        """The settlement contract that it works with."""
        return str(self.read("settlement"))

    def encode_batch(
        self, claims: Sequence[SignedClaim], synced: Collection[str], authorizer_signature: bytes
    ) -> bytes:
        """Calldata that claims in this order, which is the one signed, and calls `sync` on the receivers `synced`."""
        arguments = [encode_claims(claims, synced), authorizer_signature]
        return bytes.fromhex(self.contract.encode_abi("claimAndSettle", arguments)[2:])
