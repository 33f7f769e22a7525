"""Types of fields that the models of files and settings share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from wellhead.errors import Misused
from wellhead.units import parse_address


def _address(text: str) -> str:
    try:
        return parse_address(text)
    except Misused as error:
        raise ValueError(str(error)) from None  # what pydantic collects


# Checksummed once read, so that addresses compare as text.
Address = Annotated[str, AfterValidator(_address)]
