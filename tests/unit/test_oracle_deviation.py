"""A reporter's distance from the round's medians: of what it revealed, never of what it withheld."""

from __future__ import annotations

import dataclasses

import pytest
from eth_account.signers.local import LocalAccount

from wellhead.chain.keys import local_account
from wellhead.oracle.deviation import deviations_bps_up
from wellhead.oracle.draft import Basis, OracleConfig, draft
from wellhead.oracle.observation import Counters, Observation, Window
from wellhead.oracle.review import LARGEST_REQUEST
from wellhead.oracle.round import TimeScale, first_record
from wellhead.oracle.sealed import Revealed, seal
from wellhead.reference.scores import MAX_DEVIATION_BPS, Score, tally

START, ROUND = 1_700_000_000, 4
WINDOW = Window(100, 10, 1000)
STATES = "UUUUDDUUUU"
MANY = Counters(100_000_000, 60_000_000_000, 900_000_000_000)
ACCOUNTS = [local_account(f"reporter-{number}") for number in range(5)]
NAMES = [account.address for account in ACCOUNTS]
CONFIG = OracleConfig(31337, "0x" + "5F" * 20, b"\x11" * 32, tuple(sorted(NAMES)), 3)


def reveal(account: LocalAccount, *seen: tuple[str, Counters]) -> Revealed:
    """What it saw of nodes 1, 2, …"""
    observations = {
        node: Observation(account.address, node, WINDOW, states, gained)
        for node, (states, gained) in enumerate(seen, 1)
    }
    return seal(account, CONFIG.config_digest, ROUND, observations, bytes(32), account.key)


def deviations(*revealed: Revealed, nodes: int = 1) -> dict[str, int]:
    previous = {node: first_record(START, 1) for node in range(1, nodes + 1)}
    basis = Basis(CONFIG, ROUND, START + 60, WINDOW, revealed, previous, TimeScale(1000))
    drafted = draft(basis)
    counted = [one for one in revealed if drafted.evidence.get(one.reporter) == one.named]
    return deviations_bps_up(counted, drafted.aggregates)


def honest(count: int) -> list[Revealed]:
    return [reveal(account, (STATES, MANY)) for account in ACCOUNTS[:count]]


def test_who_agrees_is_at_zero_and_who_is_silent_is_nowhere() -> None:
    assert deviations(*honest(4)) == dict.fromkeys(NAMES[:4], 0)


@pytest.mark.parametrize(
    ("changed", "bps"),
    [
        ({"tokens": 101_000_000}, 100),
        ({"tokens": 98_999_999}, 101),  # 100.000001 of 10,000, up
        ({"busy_micros": 63_000_000_000}, 500),
        ({"energy_microjoules": 0}, MAX_DEVIATION_BPS),
        ({"tokens": 10**15}, MAX_DEVIATION_BPS),
    ],
)
def test_a_counter_counts_by_its_part_of_the_median(changed: dict[str, int], bps: int) -> None:
    off = reveal(ACCOUNTS[3], (STATES, dataclasses.replace(MANY, **changed)))
    assert deviations(*honest(3), off) == dict.fromkeys(NAMES[:3], 0) | {NAMES[3]: bps}


@pytest.mark.parametrize(
    ("states", "bps"), [("UUUUUDUUUU", 1_000), ("?UUUUDUUUU", 1_112), ("D" * 10, 8_000), ("U?????????", 0)]
)
def test_states_count_by_the_slots_that_both_know(states: str, bps: int) -> None:
    off = reveal(ACCOUNTS[3], (states, MANY))
    assert deviations(*honest(3), off)[NAMES[3]] == bps


def test_one_request_at_an_edge_is_no_lie_about_an_idle_node() -> None:
    idle, busy = Counters(0, 0, 0), Counters(40, 1_000, 0)
    seen = [reveal(account, (STATES, idle)) for account in ACCOUNTS[:3]]
    assert deviations(*seen, reveal(ACCOUNTS[3], (STATES, busy)))[NAMES[3]] == 13  # of a largest request
    assert deviations(*seen, reveal(ACCOUNTS[3], (STATES, LARGEST_REQUEST)))[NAMES[3]] == MAX_DEVIATION_BPS


def test_a_round_is_the_mean_over_the_nodes_up() -> None:
    good, off = (STATES, MANY), ("UUUUUDUUUU", MANY)
    seen = [reveal(account, good, good, good) for account in ACCOUNTS[:3]]
    assert deviations(*seen, reveal(ACCOUNTS[3], good, off, good), nodes=3)[NAMES[3]] == 334


def test_what_could_not_be_measured_or_does_not_count_is_no_part() -> None:
    blind = reveal(ACCOUNTS[3], ("?" * 10, Counters(0, 0, 0)))
    twice = [reveal(ACCOUNTS[4], (STATES, MANY)), reveal(ACCOUNTS[4], ("D" * 10, MANY))]
    assert deviations(*honest(3), blind, *twice) == dict.fromkeys(NAMES[:3], 0)


def test_rounds_add_up_to_a_score() -> None:
    one, two = NAMES[:2]
    scores = tally([{one: 10, two: 0}, {one: 5}, {}])
    assert scores == {one: Score(2, 15), two: Score(1, 0)}
    assert [scores[name].mean_deviation_bps_up for name in (one, two)] == [8, 0]
    assert Score(0, 0).mean_deviation_bps_up == 0
