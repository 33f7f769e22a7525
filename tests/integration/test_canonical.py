"""x402's canonical contracts on local chains: put where stock packages look, once, and never on a live network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from web3 import Web3

from wellhead.chain import local
from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.deploy import canonical
from wellhead.deploy.canonical import ALL, SETTLEMENT, ensure_canonical
from wellhead.errors import Refused
from wellhead.reference.channel import ChannelFigures


@pytest.fixture(params=local.CLIENTS)
def w3(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Web3]:
    with local.running(request.param, log=tmp_path / "chain.log") as chain:
        yield chain.connect()


def test_they_are_put_there_once(w3: Web3) -> None:
    assert ensure_canonical(w3) == [placed.contract for placed in ALL]
    assert all(w3.eth.get_code(placed.address) for placed in ALL)
    assert ensure_canonical(w3) == []
    settlement = BatchSettlement(w3, SETTLEMENT.address)
    assert settlement.figures(bytes(32)) == ChannelFigures(0, 0, 0, 0)
    assert settlement.read("MIN_WITHDRAW_DELAY") == 900


def test_a_live_network_must_have_them(w3: Web3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical, "is_local", lambda _: False)
    with pytest.raises(Refused, match=f"BatchSettlement at {SETTLEMENT.address}"):
        ensure_canonical(w3)
    assert not w3.eth.get_code(SETTLEMENT.address)
