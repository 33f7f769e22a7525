"""What buying costs, against the project's target: a repeat buyer, one whole transaction, steady state."""

from __future__ import annotations

import pytest
from sale_stage import SHARE, raise_sale_stage

BUY_TARGET = 78_000


@pytest.fixture
def stage(w3, deploy, send, actors, keys, compiled):
    return raise_sale_stage(w3, deploy, send, actors, keys, compiled["NodeShare"].abi)


def test_offering_buy(stage):
    stage.open()
    stage.fund("holder")
    stage.buy(30 * SHARE)
    receipt = stage.buy(7 * SHARE + 13)
    print(f"offering_buy: {receipt['gasUsed']}")
    assert receipt["gasUsed"] <= BUY_TARGET
