"""The exception tree of the package.

WellheadError            the message names the value that was wrong and what would be right
  Misused                bad input from the caller: nothing was sent (exit code 2)
  Refused                the chain, a peer or a check said no (exit code 1)
  PaidButUnanswered      money may have gone and no answer came (wellhead.customer.once)
"""

from __future__ import annotations


class WellheadError(Exception):
    """Root of what the package raises on purpose; shown to people as one line, without a traceback."""

    exit_code = 1


class Misused(WellheadError):  # noqa: N818 - reads as what happened
    """The input cannot be right; the message says what would be."""

    exit_code = 2


class Refused(WellheadError):  # noqa: N818 - reads as what happened
    """The input was understood and declined; nothing changed."""
