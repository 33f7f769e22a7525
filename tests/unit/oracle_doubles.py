"""Stand-ins for what surrounds a reporter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy.exc import OperationalError

from wellhead.oracle.exchange.messages import Message


class Shelf:
    """Letters in memory, as long as its disk is not `full`."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.in_time: dict[tuple[bytes, int], dict[str, bytes]] = {}
        self.full = False

    def keep(self, message: Message) -> None:
        if self.full:
            raise OperationalError("INSERT", {}, OSError("database or disk is full"))
        self.messages.append(message)

    def kept(self, config_digest: bytes, round_number: int) -> Iterable[Message]:
        wanted = (config_digest, round_number)
        return [one for one in self.messages if (one.config_digest, one.round) == wanted]

    def freeze(self, config_digest: bytes, round_number: int, frozen: Mapping[str, bytes]) -> None:
        self.in_time[config_digest, round_number] = dict(frozen)

    def frozen(self, config_digest: bytes, round_number: int) -> dict[str, bytes] | None:
        return self.in_time.get((config_digest, round_number))
