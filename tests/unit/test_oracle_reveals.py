"""What a report counts is shown to whoever asks, and believed only as far as it leads to the chain's evidence hash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account.signers.local import LocalAccount
from starlette.applications import Starlette
from starlette.testclient import TestClient

from wellhead.chain.keys import local_account
from wellhead.errors import Refused
from wellhead.oracle.daemon.reveals import fetch_reveals, reveal_routes
from wellhead.oracle.daemon.store import ReporterStore, Sealed
from wellhead.oracle.daemon.tallies import Counted, Tallies
from wellhead.oracle.exchange.messages import Kind, Message, reveal_body
from wellhead.oracle.observation import Counters, Observation, Window
from wellhead.oracle.records.peer import RecordPeer
from wellhead.oracle.sealed import Revealed, seal

DIGEST, OTHER_DIGEST, ROUND = b"\x11" * 32, b"\x12" * 32, 4
ME, OTHER = local_account("reporter-0"), local_account("reporter-1")


def reveal(account: LocalAccount, tokens: int = 5, digest: bytes = DIGEST) -> Revealed:
    seen = Observation(account.address, 7, Window(100, 4, 1000), "UUUU", Counters(tokens, 0, 0))
    return seal(account, digest, ROUND, {7: seen}, b"\x05" * 32, account.key)


class Stage:
    """A reporter that counted its own reveal and another's."""

    def __init__(self, folder: Path, digest: bytes = DIGEST) -> None:
        self.store = ReporterStore(f"sqlite:///{folder / 'reporter.db'}")
        self.tallies = Tallies(self.store.engine, ME.address)
        self.revealed = (reveal(ME, digest=digest), reveal(OTHER, digest=digest))
        mine, theirs = map(reveal_body, self.revealed)
        self.store.seal(digest, ROUND, Sealed(3, mine, {}), {})
        self.store.keep(Message.sign(OTHER, Kind.REVEAL, digest, ROUND, theirs))
        self.counted = Counted(digest, {one.reporter: one.named for one in self.revealed})
        self.tallies.keep(ROUND, self.counted, {ME.address: 0, OTHER.address: 12})
        self.client = TestClient(Starlette(routes=[*reveal_routes(self.tallies)]))

    def peer(self, change: Callable[[bytes], bytes] = lambda answer: answer) -> RecordPeer:
        stage = self

        class Peer(RecordPeer):
            def __init__(self) -> None: ...

            def answer(self, path: str, max_bytes: int, _within_seconds: float = 0) -> bytes | None:
                answer = stage.client.get(path)
                assert len(answer.content) <= max_bytes
                return change(answer.content) if answer.status_code == 200 else None

        return Peer()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_what_counts_is_shown_whole(stage: Stage) -> None:
    found = fetch_reveals(stage.peer(), DIGEST, ROUND, stage.counted.evidence_hash)
    assert sorted(found, key=lambda one: one.reporter) == sorted(stage.revealed, key=lambda one: one.reporter)
    assert stage.tallies.of(ROUND, stage.counted.evidence_hash) == {ME.address: 0, OTHER.address: 12}
    assert stage.tallies.of(ROUND, bytes(32)) is None


def test_what_was_not_counted_is_not_shown(stage: Stage) -> None:
    uncounted = reveal(OTHER, 6).commitment.hash
    for path in (f"4/reveals/0x{uncounted.hex()}", "4/reveals/0x11", "4/reveals/x", "5/reveals", "x/reveals"):
        assert stage.client.get(f"/rounds/{path}").status_code == 404, path


def test_what_does_not_lead_to_the_chain_is_not_believed(stage: Stage) -> None:
    named = stage.counted.evidence_hash
    with pytest.raises(Refused, match="is not what the chain's report names"):
        fetch_reveals(stage.peer(), DIGEST, ROUND, bytes(32))
    with pytest.raises(Refused, match="keeps no reveals of round 5"):
        fetch_reveals(stage.peer(), DIGEST, 5, named)
    with pytest.raises(Refused, match="answers no list of reveals"):
        fetch_reveals(stage.peer(lambda _: b"{}"), DIGEST, ROUND, named)
    changed = stage.peer(lambda answer: answer.replace(b'"tokens": 5', b'"tokens": 6'))
    with pytest.raises(Refused, match="that is not what"):
        fetch_reveals(changed, DIGEST, ROUND, named)


def test_what_was_said_under_other_reporters_is_not_counted_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path, OTHER_DIGEST)
    with pytest.raises(Refused, match="is not of the oracle's present configuration"):
        fetch_reveals(stage.peer(), DIGEST, ROUND, stage.counted.evidence_hash)


def test_what_is_forgotten_is_not_shown(stage: Stage) -> None:
    named = stage.counted.evidence_hash
    stage.store.forget_before(1, ROUND + 1)
    with pytest.raises(Refused, match="does not keep the reveal of"):
        fetch_reveals(stage.peer(), DIGEST, ROUND, named)
    stage.tallies.forget_before(ROUND + 1)
    assert stage.tallies.of(ROUND, named) is None
    assert stage.client.get(f"/rounds/{ROUND}/reveals").status_code == 404
