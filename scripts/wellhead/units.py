"""Amounts between people and contracts: strict parsing into integers, exact printing from them.

Stablecoins and shares both have 6 decimals. Nothing here ever is a float.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from web3 import Web3

from wellhead.errors import Misused

DECIMALS = 6
ONE = 1_000_000
MAX_DURATION = 100 * 365 * 86_400  # fits what the contracts store, and a calendar
MAX_SHOWN = 60
MAX_AMOUNT = 2**64 - 1  # what the contracts can hold of one share or of one sale's dollars
_DECIMAL = re.compile(r"0*(\d{1,40})(?:\.(\d{1,6}))?", re.ASCII)
_DURATION = re.compile(r"0*(\d{1,12})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _shown(text: str) -> str:
    """What was given, quoted; the beginning of it, where it goes on and on."""
    return repr(text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…")


def parse_amount(text: str, what: str = "amount") -> int:
    """`text` as atomic units (6 decimals): "12.5" -> 12_500_000.

    Raises Misused on signs, exponents, separators, more than six decimals, and above 2^64 - 1 units.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise Misused(
            f"{what} {_shown(text)} is not a plain decimal number with at most {DECIMALS} decimals, like 12.5"
        )
    whole, fraction = match.groups()
    amount = int(whole) * ONE + int((fraction or "").ljust(DECIMALS, "0"))
    if amount > MAX_AMOUNT:
        raise Misused(f"{what} {_shown(text)} is above the largest possible, {format_amount(MAX_AMOUNT)}")
    return amount


def format_amount(units: int) -> str:
    """Atomic units with 6 decimals as people write them: 12_500_000 -> "12.5"."""
    sign, magnitude = ("-", -units) if units < 0 else ("", units)
    whole, fraction = divmod(magnitude, ONE)
    decimals = f"{fraction:06d}".rstrip("0")
    return f"{sign}{whole:,}{'.' + decimals if decimals else ''}"


def format_usd(usd6: int) -> str:
    """Dollars with at least two decimals: 12_500_000 -> "$12.50"."""
    sign, magnitude = ("-", -usd6) if usd6 < 0 else ("", usd6)
    whole, fraction = divmod(magnitude, ONE)
    decimals = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole:,}.{decimals}"


def parse_duration(text: str, what: str = "duration") -> int:
    """Seconds of "90s", "30m", "36h" or "7d". Raises Misused."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise Misused(f"{what} {_shown(text)} is not a whole number with a unit: 90s, 30m, 36h or 7d")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > MAX_DURATION:
        raise Misused(f"{what} {_shown(text)} is above the largest possible, {format_duration(MAX_DURATION)}")
    return seconds


def format_duration(seconds: int) -> str:
    """The largest unit that divides `seconds`: 7200 -> "2h"."""
    for unit in "dhm":
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"


def format_time(timestamp: int) -> str:
    """A chain time in UTC."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def parse_bps(text: str, what: str = "percentage") -> int:
    """Basis points of "12.5" or "12.5%". Raises Misused above 100 % or finer than a basis point."""
    match = re.fullmatch(r"(\d{1,3})(?:\.(\d{1,2}))?%?", text, re.ASCII)
    bps = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else -1
    if not 0 <= bps <= 10_000:
        raise Misused(
            f"{what} {_shown(text)} is not a percentage from 0 to 100 with at most two decimals, like 12.5"
        )
    return bps


def parse_address(text: str, what: str = "address") -> str:
    """A checksummed address. Raises Misused on malformed ones and on wrong checksums."""
    one_case = text[2:] in (text[2:].lower(), text[2:].upper())  # is_address lets wrong checksums pass
    if not Web3.is_address(text) or not (one_case or Web3.is_checksum_address(text)):
        raise Misused(
            f"{what} {_shown(text)} is not an address: 0x and 40 hex digits, its checksum right if mixed case"
        )
    return Web3.to_checksum_address(text)
