"""What a deployment is made of: bounds are the contracts', addresses one spelling."""

import pytest
from pydantic import ValidationError

from wellhead.deploy.parameters import Parameters, local_parameters

NOW = 1_800_000_000


def changed(**changes: object) -> Parameters:
    return Parameters(**(local_parameters(NOW).model_dump() | changes))


def test_addresses_are_checksummed_once_read() -> None:
    known = local_parameters(NOW)
    assert changed(owner=known.owner.lower()).owner == known.owner


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": "0x12"},
        {"owner": "zz"},
        {"usd": "0x" + "12" * 19},
        {"window_seconds": 0},
        {"window_seconds": 43_201},
        {"ring_rounds": 63},
        {"finality_delay_seconds": 59},
        {"window_seconds": 60, "ring_rounds": 64, "finality_delay_seconds": 1_921},
    ],
)
def test_what_no_contract_would_take_is_refused_before_anything_is_sent(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        changed(**changes)
