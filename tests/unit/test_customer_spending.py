"""The day's limit: what was signed counts, whoever signs, whatever is charged, across restarts and processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from wellhead.customer.spending import DAY_SECONDS, SpendingLimit
from wellhead.errors import Refused

EAST, WEST = b"\x01" * 32, b"\x02" * 32
PROCESSES, SIGNATURES_EACH = 2, 200


class Days:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0 * DAY_SECONDS - 1

    def __call__(self) -> float:
        return self.now


def limit_of(folder: Path, usd6: int = 1_000, clock: Days | None = None) -> SpendingLimit:
    return SpendingLimit(folder / "spent.json", usd6, clock or Days())


def test_a_signature_counts_by_what_it_adds_on_its_channel(tmp_path: Path) -> None:
    limit = limit_of(tmp_path)
    limit.sign(EAST, 400, 0)
    limit.sign(EAST, 400, 0)  # the call was refused: the next one is signed over the same
    limit.sign(EAST, 300, 0)
    assert limit.spent_usd6 == 400
    limit.sign(WEST, 5_300, 5_000)  # of which the chain knows most: it was signed another day
    assert limit.spent_usd6 == 700
    limit.sign(EAST, 700, 0)
    with pytest.raises(Refused, match="nothing was signed"):
        limit.sign(EAST, 701, 0)
    assert limit.spent_usd6 == 1_000


def test_a_limit_is_remembered(tmp_path: Path) -> None:
    limit_of(tmp_path).sign(EAST, 700, 0)
    again = limit_of(tmp_path)
    assert again.spent_usd6 == 700
    again.sign(EAST, 700, 0)
    with pytest.raises(Refused, match="nothing was signed"):
        again.sign(EAST, 1_001, 0)
    assert again.spent_usd6 == 700


def test_what_was_signed_before_midnight_does_not_lower_the_new_day(tmp_path: Path) -> None:
    clock = Days()
    limit = limit_of(tmp_path, clock=clock)
    limit.sign(EAST, 900, 0)
    clock.now += 2
    assert limit.spent_usd6 == 0
    limit.sign(EAST, 1_900, 0)
    limit.sign(EAST, 1_000, 0)  # the first day's call cost nothing
    assert limit.spent_usd6 == 1_000
    with pytest.raises(Refused, match="nothing was signed"):
        limit.sign(EAST, 1_901, 0)


def test_two_limits_on_one_file_are_one_limit(tmp_path: Path) -> None:
    clock = Days()
    one, other = limit_of(tmp_path, clock=clock), limit_of(tmp_path, clock=clock)
    one.sign(EAST, 1_000, 0)
    with pytest.raises(Refused, match="nothing was signed"):
        other.sign(WEST, 1, 0)
    assert one.spent_usd6 == other.spent_usd6 == 1_000


def test_processes_that_sign_at_once_lose_no_signature(tmp_path: Path) -> None:
    """Each on its own channel; the limit is for half of what they try."""
    most = PROCESSES * SIGNATURES_EACH // 2
    body = f"""
import sys
from pathlib import Path
from wellhead.customer.spending import SpendingLimit
from wellhead.errors import Refused
limit, signed = SpendingLimit(Path(sys.argv[1]), {most}), 0
print("ready", flush=True)
sys.stdin.readline()
for ceiling in range(1, {SIGNATURES_EACH} + 1):
    try:
        limit.sign(sys.argv[2].encode(), ceiling, 0)
        signed += 1
    except Refused:
        break
print(signed)
"""
    file = tmp_path / "spent.json"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", body, str(file), f"channel-{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    signed = [int(process.communicate(timeout=30)[0]) for process in started]
    assert sum(signed) == most == SpendingLimit(file, most).spent_usd6


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"day": "x", "spent_usd6": 1}', '{"day": 1, "spent_usd6": "x"}']
)
def test_a_limit_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "spent.json"
    file.write_text(text)
    with pytest.raises(Refused, match="does not say what was spent"):
        SpendingLimit(file, 100)


def test_a_limit_that_cannot_be_kept_lets_nothing_be_signed(tmp_path: Path) -> None:
    limit = SpendingLimit(tmp_path / "folder" / "spent.json", 100)
    (tmp_path / "folder").write_text("a file where the folder should be")
    with pytest.raises(Refused, match="cannot be kept"):
        limit.sign(EAST, 1, 0)


def test_a_file_of_before_channels_were_kept_counts_on(tmp_path: Path) -> None:
    file, clock = tmp_path / "spent.json", Days()
    file.write_text(f'{{"day": {int(clock()) // DAY_SECONDS}, "spent_usd6": 600}}')
    limit = limit_of(tmp_path, clock=clock)
    with pytest.raises(Refused, match="nothing was signed"):
        limit.sign(EAST, 401, 0)
    limit.sign(EAST, 400, 0)
    assert limit.spent_usd6 == 1_000
