"""A reporter without a key: it observes every window and says nothing."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from requests.exceptions import ConnectionError as LineDown

import virtual_time
from reporter_world import (
    GENESIS,
    NODE,
    PACE,
    SLOT_MS,
    SLOTS,
    TOKENS_PER_SLOT,
    WINDOW_SECONDS,
    StandInChain,
    StandInFleet,
    StandInView,
    config_of,
    now,
    serving,
)
from wellhead.cli.reporter import run
from wellhead.errors import Misused
from wellhead.oracle.daemon.progress import Progress
from wellhead.oracle.daemon.watcher import Watcher
from wellhead.oracle.daemon.witness import Witness
from wellhead.oracle.fleet import NOBODY
from wellhead.oracle.schedule import Schedule


def test_every_window_is_observed_and_nothing_said(caplog: pytest.LogCaptureFixture) -> None:
    chain, questions = StandInChain(config_of([])), list[str]()

    def trouble(question: str) -> None:
        questions.append(question)
        if WINDOW_SECONDS < now() - GENESIS < WINDOW_SECONDS + 60:
            raise LineDown("refused")

    async def watch() -> Progress:
        schedule = Schedule.live(GENESIS, WINDOW_SECONDS, SLOT_MS)
        progress = Progress(WINDOW_SECONDS, dry=True, clock=asyncio.get_running_loop().time)
        witness = Witness(schedule, StandInFleet(NOBODY, {NODE: serving}), progress)
        watcher = Watcher(StandInView(chain, trouble), schedule, witness, progress, PACE, now)
        running = asyncio.create_task(watcher.run())
        await asyncio.sleep(6.5 * WINDOW_SECONDS)
        running.cancel()
        return progress

    with caplog.at_level(logging.INFO):
        progress = virtual_time.run(watch())
    said = [record for record in caplog.records if hasattr(record, "states")]
    assert [record.round for record in said] == [1, 2, 3, 4, 5, 6]  # type: ignore[attr-defined]
    # As the others would: from the last report on.
    assert [len(record.states) for record in said] == [SLOTS * n for n in range(1, 7)]  # type: ignore[attr-defined]
    assert said[0].gained["tokens"] == SLOTS * TOKENS_PER_SLOT  # type: ignore[attr-defined]
    assert "up in 30 of 30 slots, unknown in 0" in said[0].getMessage()
    assert progress.ailment == ""  # that nobody reports is not its ailment
    assert progress.status()["dry"]
    assert not chain.sent
    assert questions


def test_only_who_signs_has_peers_and_pays(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.toml"
    with pytest.raises(Misused, match="--as"):
        run(fleet, peers=["0x00=http://127.0.0.1:1"])
    with pytest.raises(Misused, match="--as"):
        run(fleet, gas="transmitter-0")
    with pytest.raises(Misused, match="alone"):
        run(fleet, signer="reporter-0")
