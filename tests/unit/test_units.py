"""Amounts as people type them: exact or refused."""

import pytest

from wellhead import units
from wellhead.errors import Misused


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("1", 1_000_000), ("12.5", 12_500_000), ("0.000001", 1), ("18446744073709.551615", 2**64 - 1)],
)
def test_parse_amount_is_exact(text: str, expected: int) -> None:
    assert units.parse_amount(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e6",
        "1.2345678",
        "1,000",
        ".5",
        "5.",
        "0x10",
        " 1",
        "\uff11",
        "18446744073709.551616",
    ],
)
def test_parse_amount_refuses_and_names_the_value(text: str) -> None:
    with pytest.raises(Misused) as refusal:
        units.parse_amount(text, "price")
    assert "price" in str(refusal.value)
    assert text in str(refusal.value)


@pytest.mark.parametrize("amount", [0, 1, 999_999, 1_000_000, 12_500_000, 2**64 - 1])
def test_format_amount_parses_back(amount: int) -> None:
    assert units.parse_amount(units.format_amount(amount).replace(",", "")) == amount


def test_format_usd_shows_cents_and_what_is_finer() -> None:
    assert units.format_usd(12_500_000) == "$12.50"
    assert units.format_usd(-1) == "-$0.000001"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("36h", 129_600), ("7d", 604_800)])
def test_durations(text: str, seconds: int) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "1.5h", "-1h", "1w"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(Misused, match="duration"):
        units.parse_duration(text)


@pytest.mark.parametrize(("text", "bps"), [("0", 0), ("12.5", 1250), ("99.99%", 9999), ("100", 10_000)])
def test_percentages(text: str, bps: int) -> None:
    assert units.parse_bps(text) == bps


@pytest.mark.parametrize("text", ["100.01", "101", "-1", "1.234", "abc", ""])
def test_bad_percentages(text: str) -> None:
    with pytest.raises(Misused, match="percentage"):
        units.parse_bps(text)


def test_addresses_need_a_right_checksum() -> None:
    good = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert units.parse_address(good.lower()) == good
    with pytest.raises(Misused, match="checksum"):
        units.parse_address(good.replace("F39", "f39").replace("aad", "AAD"))
    with pytest.raises(Misused, match="0x1234"):
        units.parse_address("0x1234")


@pytest.mark.parametrize("text", ["9" * 5_000, "0" * 5_000 + "1.0000001"], ids=["nines", "zeros"])
def test_endless_digits_are_refused(text: str) -> None:
    with pytest.raises(Misused) as refused:
        units.parse_amount(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "text", ["36501d", "999999999999d", "9" * 5_000 + "s"], ids=["century", "long", "endless"]
)
def test_no_duration_above_a_century(text: str) -> None:
    with pytest.raises(Misused) as refused:
        units.parse_duration(text)
    assert len(str(refused.value)) < 200
