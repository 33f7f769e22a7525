"""What no dense batch can say. What each byte of one means is compared with the contract in test_settle_router.py."""

from __future__ import annotations

import pytest

from wellhead.reference.channel import ChannelConfig
from wellhead.reference.dense_claims import MAX_RECEIVERS, SignedClaim, encode_claims


def address(number: int) -> str:
    return f"0x{number:040x}"


CONFIG = ChannelConfig(address(1), address(1), address(2), address(3), address(4), 900, bytes(32))
CLAIM = SignedClaim(CONFIG, 1, bytes(65), 1)


def test_no_claims_are_no_batch():
    with pytest.raises(ValueError, match="a batch has claims"):
        encode_claims([])


@pytest.mark.parametrize(
    "change", [{"receiver_authorizer": address(9)}, {"token": address(9)}, {"withdraw_delay": 901}]
)
def test_what_the_header_says_is_the_same_for_all(change):
    with pytest.raises(ValueError, match="agree in"):
        encode_claims([CLAIM, CLAIM._replace(config=CONFIG._replace(**change))])


def test_an_amount_has_sixteen_bytes():
    encode_claims([CLAIM._replace(ceiling=2**128 - 1)])
    with pytest.raises(ValueError, match="no amount"):
        encode_claims([CLAIM._replace(ceiling=2**128)])


def test_the_table_has_room_for_so_many_receivers():
    claims = [CLAIM._replace(config=CONFIG._replace(receiver=address(n))) for n in range(MAX_RECEIVERS + 1)]
    encode_claims(claims[1:])
    with pytest.raises(ValueError, match="at most 255 receivers"):
        encode_claims(claims)


def test_so_many_rows_of_a_receiver():
    encode_claims([CLAIM] * (2**16 - 1))
    with pytest.raises(ValueError, match="65535 rows"):
        encode_claims([CLAIM] * 2**16)
