"""A daemon that does nothing any more must not look as if it did."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from starlette.testclient import TestClient

from moved_clock import MovedClock
from wellhead.oracle.daemon import listening
from wellhead.oracle.daemon.listening import HEALTH_PATH, STATUS_PATH, create_app
from wellhead.oracle.daemon.progress import CHAIN_SECONDS, Progress

WINDOW_SECONDS = 300


def pass_windows(progress: Progress, clock: MovedClock, count: int, **what: bool) -> None:
    for number in range(1, count + 1):
        clock.now += WINDOW_SECONDS
        progress.reported(number if what["reported"] else 0)
        if what["ended"]:
            progress.ended(number, "agreed")
        else:
            progress.ended(number, "given up", "no leader found a quorum")


def test_who_agrees_on_what_never_comes_to_the_chain_is_ill() -> None:
    clock = MovedClock(0.0)
    progress = Progress(WINDOW_SECONDS, dry=False, clock=clock)
    progress.reported(0)
    pass_windows(progress, clock, 4, reported=False, ended=True)
    assert progress.ailment == ""
    pass_windows(progress, clock, 1, reported=False, ended=True)
    assert "no report has come to the chain for 1500 s" in progress.ailment


def test_who_has_no_part_in_what_others_report_is_ill() -> None:
    clock = MovedClock(0.0)
    progress = Progress(WINDOW_SECONDS, dry=False, clock=clock)
    progress.reported(0)
    pass_windows(progress, clock, 5, reported=True, ended=False)
    assert "no round has ended well here for 1500 s: no leader found a quorum" in progress.ailment
    progress.ended(6, "reported")
    assert progress.ailment == ""


def test_who_hears_nothing_of_the_chain_is_ill() -> None:
    clock = MovedClock(0.0)
    progress = Progress(WINDOW_SECONDS, dry=False, clock=clock)
    progress.trouble("ConnectionError: refused")
    clock.now = CHAIN_SECONDS + 1
    assert progress.ailment == f"the chain has not answered for {clock.now:.0f} s: ConnectionError: refused"


def test_work_that_has_failed_for_good_ends_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[Any] = []
    monkeypatch.setattr(listening.signal, "raise_signal", raised.append)
    progress = Progress(WINDOW_SECONDS, dry=False)

    async def work() -> None:
        raise RuntimeError("no more")

    app = create_app(None, progress, [], progress.status, work)
    with TestClient(app) as client:
        assert client.get(HEALTH_PATH).status_code == 200
        assert client.get(STATUS_PATH).json()["healthy"]
    assert raised == [signal.SIGTERM]
    assert isinstance(app.state.failure, RuntimeError)
