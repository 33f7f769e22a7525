"""What calls do to channels, many at once: the rules of `book`, applied in the order in which the steps came. Pure.

A step that is refused fails alone and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias
from uuid import uuid4

from wellhead.gateway.channels.book import AdmissionError, ChannelAccount


class Admission(NamedTuple):
    """A call that may be served, at a cost of at most `price`."""

    admission_id: str
    channel_id: bytes
    price: int


class UnknownChannelError(LookupError):
    """The ledger has no such channel: ask the chain, then tell it what was `seen`. Or no such admission any more."""


class HeldElsewhereError(Exception):
    """Somebody else has the channel at the moment, and is not waited for; or nobody knows it."""


class Admit(NamedTuple):
    """Reserve `price` for a call, for `seconds` unless renewed."""

    channel_id: bytes
    ceiling: int
    signature: bytes
    price: int
    seconds: float
    concurrent: bool = False


class Charge(NamedTuple):
    """The call was served and cost `cost`."""

    admitted: Admission
    cost: int

    @property
    def channel_id(self) -> bytes:
        return self.admitted.channel_id


class Release(NamedTuple):
    """The call was not served."""

    admitted: Admission

    @property
    def channel_id(self) -> bytes:
        return self.admitted.channel_id


Step: TypeAlias = Admit | Charge | Release
StepError: TypeAlias = AdmissionError | UnknownChannelError | HeldElsewhereError
# Of an Admit its Admission, of a Charge the channel after it, of a Release nothing.
Outcome: TypeAlias = Admission | ChannelAccount | StepError | None


class Reserved(NamedTuple):
    """A new admission, and for how long it counts."""

    admission: Admission
    seconds: float


class Batch:
    """Channels in memory while steps are applied to them; what has become of them then."""

    def __init__(self, channels: Mapping[bytes, ChannelAccount], live: Mapping[str, int]) -> None:
        """`channels` as they stand; `live` are the prices of all their admissions that count."""
        self.before = channels
        self.after = dict(channels)
        self.admitted: list[Reserved] = []
        self.ended: list[str] = []
        self._live = dict(live)

    def apply(self, steps: Sequence[Step]) -> list[Outcome]:
        """One outcome per step."""
        return [self._outcome(step) for step in steps]

    def changed(self) -> list[tuple[bytes, ChannelAccount, ChannelAccount]]:
        """Each channel with other books than before, apart from what is reserved: its id, before, after."""
        return [
            (channel_id, before, after)
            for channel_id, before in self.before.items()
            if (after := self.after[channel_id]) is not before
            and (after.charged, after.signed_ceiling) != (before.charged, before.signed_ceiling)
        ]

    def _outcome(self, step: Step) -> Outcome:
        try:
            match step:
                case Admit():
                    return self._admit(step)
                case Charge():
                    return self._charge(step)
                case Release():
                    self._release(step)
                    return None
        except (AdmissionError, UnknownChannelError) as error:
            return error

    def _admit(self, step: Admit) -> Admission:
        account = self._account(step.channel_id)
        self.after[step.channel_id] = account.admit(
            step.ceiling, step.signature, step.price, concurrent=step.concurrent
        )
        admission = Admission(uuid4().hex, step.channel_id, step.price)
        self.admitted.append(Reserved(admission, step.seconds))
        return admission

    def _charge(self, step: Charge) -> ChannelAccount:
        admission_id, channel_id, price = step.admitted
        account = self._account(channel_id)
        if admission_id not in self._live:
            raise UnknownChannelError(f"admission {admission_id} was charged, released or has expired")
        charged = self.after[channel_id] = account.charge(price, step.cost)
        self._end(admission_id)
        return charged

    def _release(self, step: Release) -> None:
        admission_id, channel_id, price = step.admitted
        if admission_id in self._live:
            self.after[channel_id] = self._account(channel_id).release(price)
            self._end(admission_id)

    def _account(self, channel_id: bytes) -> ChannelAccount:
        account = self.after.get(channel_id)
        if account is None:
            raise UnknownChannelError(channel_id.hex())
        return account

    def _end(self, admission_id: str) -> None:
        del self._live[admission_id]
        self.ended.append(admission_id)
