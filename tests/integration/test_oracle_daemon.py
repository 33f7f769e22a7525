"""Reporters' daemons on their own: a real node is killed, frozen and started again, reporters are killed, lie and come
back; the chain must agree with the stopwatch, and with what the node's customers were told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from loopback import serving
from reporter_stage import (
    FACTOR,
    NODE,
    SECONDS_PER_SLOT,
    ReporterStage,
    fleet,
    reporter_stage,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from wellhead.oracle.daemon.reveals import fetch_reveals
from wellhead.oracle.records.peer import RecordPeer
from wellhead.reference.record import NodeRecord
from wellhead.runtime import metrics

TEXTS = ["oil is metered by the barrel", "compute by the second"]
# A sample at either end of an outage falls to one side or the other.
OUTAGE_TOLERANCE_SLOTS = 2
LIE = 10**9


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReporterStage]:
    """Three of five reporters at work: just enough."""
    with reporter_stage(tmp_path_factory.mktemp("reporters"), 5) as stage:
        for daemon in stage.daemons[:3]:
            daemon.start()
        stage.until("a first report", lambda: bool(stage.records()))
        yield stage


def newest(stage: ReporterStage) -> NodeRecord:
    return max(stage.records().items())[1]


def test_outages_are_as_long_on_the_chain_as_by_the_stopwatch_and_work_is_what_customers_were_told(
    stage: ReporterStage,
) -> None:
    stage.more_rounds(1)
    before, told = newest(stage), stage.runtime.told_tokens
    for _ in range(5):
        stage.runtime.serve(TEXTS)
    stage.more_rounds(1)  # what was served before an end that nobody saw coming would be lost
    expected = 0.0
    for begin, end in ((stage.runtime.kill, stage.runtime.start), (stage.runtime.freeze, stage.runtime.thaw)):
        begin()
        began = time.monotonic()
        stage.more_rounds(1)
        end()
        expected += (time.monotonic() - began) * FACTOR
    stage.runtime.serve(TEXTS)
    stage.more_rounds(2)
    after = newest(stage)
    covered = after.covered_seconds - before.covered_seconds
    down = covered - (after.up_seconds - before.up_seconds)
    unknown = after.window_end - before.window_end - covered
    tolerance = 2 * OUTAGE_TOLERANCE_SLOTS * SECONDS_PER_SLOT
    assert down <= expected + tolerance
    # A busy machine misses some looks: what it did not see is unknown, and never down.
    assert 0 < expected - tolerance - unknown <= down
    assert after.work_units - before.work_units == stage.runtime.told_tokens - told


def counted(url: str, round_number: int) -> list[Any]:
    answer = httpx.get(f"{url}/rounds/{round_number}/reveals")
    return list(answer.json()["reports"]) if answer.status_code == 200 else []


def test_every_reporter_keeps_every_round_and_proves_it(stage: ReporterStage) -> None:
    stage.more_rounds(1)
    round_number = stage.oracle.latest_round()
    root = stage.oracle.round_info(round_number).root
    (posted,) = stage.oracle.reports([round_number])
    digest = stage.oracle.config_digest()
    for daemon in stage.daemons[:3]:
        kept = httpx.get(f"{daemon.url}/rounds/{round_number}/evidence").raise_for_status().json()
        shown = httpx.get(f"{daemon.url}/rounds/{round_number}/evidence/{NODE}").raise_for_status().json()
        assert any(metrics.PROMPT_TOKENS in bytes.fromhex(one["body"]).decode() for one in shown["exhibits"])
        assert httpx.get(f"{daemon.url}/rounds/{round_number}/evidence/2").status_code == 404
        peer = RecordPeer(daemon.url)
        stage.until("the round's records", lambda peer=peer: round_number in peer.rounds())
        reading = peer.reading(round_number, NODE, root)
        assert reading is not None
        stage.until("finality", lambda: stage.oracle.is_final(round_number))
        assert stage.oracle.proven_record(NODE, reading) == stage.records()[round_number]
        stage.until("what counts", lambda url=daemon.url: bool(counted(url, round_number)))
        revealed = fetch_reveals(peer, digest, round_number, posted.evidence_hash)
        shown_by = {one.reporter: f"0x{one.evidence_hash.hex()}" for one in revealed}
        assert shown_by[daemon.address] == kept["evidence_hash"]


def test_a_liar_moves_nothing_but_his_score_and_without_a_third_honest_one_nobody_reports(
    stage: ReporterStage, tmp_path: Path
) -> None:
    async def boast(_: Request) -> Response:
        lies = (metrics.PROMPT_TOKENS, metrics.BUSY_SECONDS, metrics.ENERGY_ESTIMATE_JOULES)
        text = "".join(f"# TYPE {name} counter\n{name} {int(time.time()) + LIE}\n" for name in lies)
        return PlainTextResponse(text)

    false_node = Starlette(routes=[Route("/metrics", boast), Route("/healthz", boast)])
    with serving(false_node) as url:
        false_fleet = tmp_path / "fleet.toml"
        false_fleet.write_text(fleet(stage.session.network.rpc_url, url))
        liar, killed = stage.daemons[3], stage.daemons[0]
        liar.start(fleet_file=false_fleet)
        stage.until("the liar is up", liar.healthy)
        stage.more_rounds(2)
        before, told, last = newest(stage), stage.runtime.told_tokens, stage.oracle.latest_round()
        killed.kill()
        stage.runtime.serve(TEXTS)
        ended = stage.oracle.round_ended_by(stage.session.now())
        stage.until("a window", lambda: stage.oracle.round_ended_by(stage.session.now()) > ended + 1)
        assert stage.oracle.latest_round() <= last + 1  # the liar alone does not make up the quorum
        killed.start()
        stage.more_rounds(3)
        after = newest(stage)
        assert after.work_units - before.work_units == stage.runtime.told_tokens - told
        assert after.up_seconds == before.up_seconds + after.covered_seconds - before.covered_seconds
        assert killed.healthy()
        stage.until("scores", lambda: stage.scores.score_of(liar.address).rounds > 0)
        mean = stage.scores.mean_deviation_bps_up
        assert all(mean(liar.address) > mean(honest.address) for honest in stage.daemons[:3])
        assert stage.scores.score_of(stage.daemons[4].address).rounds == 0
        assert stage.daemons[1].status()["scored_up_to"] <= stage.scores.scored_up_to()
        liar.stop()


def test_a_stranger_is_not_heard(stage: ReporterStage) -> None:
    answer = httpx.post(f"{stage.daemons[0].url}/v1/letters", content=b"{}")
    assert answer.status_code == 400
    assert "Field required" in answer.json()["objection"]
