"""Where contracts will be, and which deployments are refused before anything is sent."""

import pytest
from pydantic import ValidationError

from wellhead.chain.keys import local_account
from wellhead.deploy.parameters import Parameters, local_parameters
from wellhead.deploy.placement import Placement


def test_other_code_or_salt_is_another_place() -> None:
    places = {Placement("Any", code, salt * 32).address for code in (b"\1", b"\2") for salt in (b"\0", b"\1")}
    assert len(places) == 4


def test_three_reporters_cannot_stand_a_liar() -> None:
    good = local_parameters(1_800_000_000).model_dump()
    with pytest.raises(ValidationError, match="3 different reporters cannot stand 1 faulty: 4 are needed"):
        Parameters.model_validate(good | {"reporters": good["reporters"][:3]})


def test_the_same_reporter_twice_counts_once() -> None:
    good = local_parameters(1_800_000_000).model_dump()
    one = local_account("reporter-0").address
    with pytest.raises(ValidationError, match="1 different reporters"):
        Parameters.model_validate(good | {"reporters": [one] * 5})


def test_unknown_parameters_are_refused() -> None:
    good = local_parameters(1_800_000_000).model_dump()
    with pytest.raises(ValidationError, match="finallity"):
        Parameters.model_validate(good | {"finallity_delay": 5})
