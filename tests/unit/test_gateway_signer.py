"""When the facilitator's signer is built anew: idle, or after anything went wrong; never in between."""

from __future__ import annotations

from itertools import count
from typing import Any, cast

import pytest
from x402.mechanisms.evm import FacilitatorWeb3Signer
from x402.mechanisms.evm.types import TransactionReceipt

from wellhead.gateway.signer import RenewedSigner


class ChainError(Exception):
    """What the stand-in chain answers when told to."""


class Chain:
    """Stands for x402's signers on one chain; `builds` counts how many there were."""

    def __init__(self) -> None:
        self.builds = 0
        self.fails = False
        self._sent = count()

    def build(self) -> FacilitatorWeb3Signer:
        self.builds += 1
        return cast(FacilitatorWeb3Signer, self)

    def write_contract(self, *_: Any, **__: Any) -> str:
        self._maybe_fail()
        return f"0x{next(self._sent)}"

    def wait_for_transaction_receipt(self, tx_hash: str) -> TransactionReceipt:
        self._maybe_fail()
        return TransactionReceipt(status=1, block_number=1, tx_hash=tx_hash)

    def _maybe_fail(self) -> None:
        if self.fails:
            raise ChainError


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def signer(chain: Chain) -> RenewedSigner:
    return RenewedSigner(chain.build)


def send(signer: RenewedSigner) -> str:
    return signer.write_contract("0x", [], "transferWithAuthorization")


def test_a_send_while_nothing_is_under_way_starts_from_the_chains_nonce(
    chain: Chain, signer: RenewedSigner
) -> None:
    for expected in (2, 3):
        signer.wait_for_transaction_receipt(send(signer))
        assert chain.builds == expected


def test_sends_that_overlap_share_one_count_of_nonces(chain: Chain, signer: RenewedSigner) -> None:
    first, second = send(signer), send(signer)
    signer.wait_for_transaction_receipt(first)
    third = send(signer)
    assert chain.builds == 2
    for sent in (second, third):
        signer.wait_for_transaction_receipt(sent)
    send(signer)
    assert chain.builds == 3


def test_a_send_that_fails_renews_even_while_others_wait(chain: Chain, signer: RenewedSigner) -> None:
    waiting = send(signer)
    chain.fails = True
    with pytest.raises(ChainError):
        send(signer)
    chain.fails = False
    send(signer)
    assert chain.builds == 3
    send(signer)
    assert chain.builds == 3
    signer.wait_for_transaction_receipt(waiting)


def test_a_receipt_that_does_not_come_renews_even_while_others_wait(
    chain: Chain, signer: RenewedSigner
) -> None:
    waiting, lost = send(signer), send(signer)
    chain.fails = True
    with pytest.raises(ChainError):
        signer.wait_for_transaction_receipt(lost)
    chain.fails = False
    send(signer)
    assert chain.builds == 3
    signer.wait_for_transaction_receipt(waiting)
