"""What to do about a transaction, for everything that a node may say of it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from wellhead.chain import outbox
from wellhead.chain.outbox.verdict import Mined, Sight, Verdict, is_behind, judge

NONCE, HEAD, CONFIRMATIONS = 7, 100, 3
AT_98, AT_99 = Mined(98, succeeded=True), Mined(99, succeeded=True)


@pytest.mark.parametrize(
    ("mined", "used", "used_for_good", "used_soon", "verdict"),
    [
        # Not in the chain: by whose turn it is.
        (None, 7, 7, 7, Verdict.PUSH),
        (None, 7, 7, 8, Verdict.PUSH),
        (None, 6, 6, 7, Verdict.WAIT),  # its predecessor waits in the node
        (None, 6, 6, 8, Verdict.WAIT),
        (None, 6, 6, 6, Verdict.STRANDED),
        (None, 4, 4, 6, Verdict.STRANDED),
        # Its nonce is used, and not by a transaction of its own.
        (None, 8, 7, 8, Verdict.WAIT),  # perhaps the node that has no receipt only lags
        (None, 8, 8, 8, Verdict.OUTRUN),
        (None, 12, 7, 12, Verdict.WAIT),
        (None, 12, 12, 12, Verdict.OUTRUN),
        # Mined: by how deep.
        (Mined(100, succeeded=True), 8, 8, 8, Verdict.WAIT),
        (AT_99, 8, 8, 8, Verdict.WAIT),
        (AT_98, 8, 8, 8, Verdict.FINAL),
        (Mined(99, succeeded=False), 8, 8, 8, Verdict.WAIT),  # a reorganisation may still let it pass
        (Mined(98, succeeded=False), 8, 8, 8, Verdict.REVERTED),
        (Mined(1, succeeded=True), 8, 8, 8, Verdict.FINAL),
        # Nodes behind one address that do not agree: what is mined is mined.
        (Mined(101, succeeded=True), 7, 7, 7, Verdict.WAIT),
        (AT_98, 7, 7, 7, Verdict.FINAL),
        (AT_99, 6, 6, 6, Verdict.WAIT),
    ],
)
def test_each_sight_has_one_verdict(
    mined: Mined | None, used: int, used_for_good: int, used_soon: int, verdict: Verdict
) -> None:
    assert judge(NONCE, Sight(HEAD, mined, used, used_for_good, used_soon), CONFIRMATIONS) is verdict


@pytest.mark.parametrize("confirmations", [1, 2, 3, 64])
def test_nothing_is_decided_by_fewer_blocks_than_asked_for(confirmations: int) -> None:
    for block in range(HEAD - 70, HEAD + 2):
        verdict = judge(NONCE, Sight(HEAD, Mined(block, succeeded=True), 8, 8, 8), confirmations)
        assert (verdict is Verdict.FINAL) == (HEAD - block + 1 >= confirmations)


def test_only_what_is_not_mined_and_has_its_turn_is_sent() -> None:
    """Over all figures around the nonce: what is sent by mistake costs gas twice."""
    around = range(NONCE - 2, NONCE + 3)
    for mined, used, for_good, soon in product((None, AT_98, AT_99), around, around, around):
        verdict = judge(NONCE, Sight(HEAD, mined, used, for_good, soon), CONFIRMATIONS)
        assert (verdict is Verdict.PUSH) == (mined is None and used == NONCE)


def test_a_node_is_behind_if_no_reorganisation_explains_it() -> None:
    assert not is_behind(head=36, newest=100, watched_blocks=64)
    assert is_behind(head=35, newest=100, watched_blocks=64)
    assert not is_behind(head=0, newest=0, watched_blocks=0)


def test_the_outbox_knows_nothing_of_what_it_sends() -> None:
    modules = list(Path(outbox.__file__).parent.glob("*.py"))
    assert len(modules) > 5
    for module in modules:
        for other in ("gateway", "oracle", "pool", "customer", "contracts"):
            assert f"wellhead.{other}" not in module.read_text(), module
            assert f"wellhead.chain.{other}" not in module.read_text(), module
