"""A reporter's records, as another reporter or a consumer fetches them: what does not lead to the chain's root is not
taken, and nobody can make the asker hold or wait for more than it meant to."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from typing import Annotated, Any, TypeVar

import httpx
from pydantic import BaseModel, Field, ValidationError

from wellhead.errors import Refused
from wellhead.oracle.records.serving import ROUNDS_PATH
from wellhead.oracle.records.store import MAX_ROUND, RecordStore
from wellhead.reference.merkle import MerkleError, Reading, verify
from wellhead.reference.record import ENTRY_BYTES

TIMEOUT_SECONDS = 10
FETCH_SECONDS = 300
MAX_NODES = 2**20
MAX_JSON_BYTES = 2**20
# A tree over every node id there can be.
MAX_PROOF = 32

_Round = Annotated[int, Field(ge=1, le=MAX_ROUND)]
_Word = Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")]


class _Rounds(BaseModel):
    rounds: list[_Round]


class _Proof(BaseModel):
    record: _Word
    proof: list[_Word] = Field(max_length=MAX_PROOF)


class RecordPeer:
    """Whoever serves records at a URL. It is believed in nothing. For one thread at a time."""

    def __init__(self, url: str) -> None:
        """`url` is the root under which the peer has its rounds."""
        self._url = url.rstrip("/")
        # As it is: what is counted must be what comes, and the root is over just that.
        self._http = httpx.Client(timeout=TIMEOUT_SECONDS, headers={"accept-encoding": "identity"})
        self._sockets: list[socket.socket] = []

    def rounds(self) -> list[int]:
        """The rounds that it says it keeps. Raises Refused when nothing there says so."""
        address = f"{self._url}{ROUNDS_PATH}"
        answer = self._small(address)
        if answer is None:
            raise Refused(f"{address} is not there: does this reporter serve its records?")
        return _read(_Rounds, address, answer).rounds

    def reading(self, round_number: int, node: int, root: bytes) -> Reading | None:
        """The node's record with a proof that leads to `root`, the chain's 23 bytes; None if the peer has none.

        Raises Refused when it does not answer, or with anything else.
        """
        address = f"{self._url}{ROUNDS_PATH}/{round_number}/proof/{node}"
        answer = self._small(address)
        if answer is None:
            return None
        found = _read(_Proof, address, answer)
        record, proof = _bytes(found.record), [_bytes(sibling) for sibling in found.proof]
        if not verify(root, node, record, proof):
            raise Refused(f"what {address} answers does not lead to the chain's root 0x{root.hex()}")
        return Reading(round_number, record, proof)

    def fetch(
        self,
        store: RecordStore,
        round_number: int,
        root: bytes,
        *,
        max_nodes: int = MAX_NODES,
        within_seconds: float = FETCH_SECONDS,
    ) -> None:
        """Put all records of the round into `store`, if they hash to `root`, the chain's 23 bytes.

        Raises Refused when they do not, are of more nodes, do not come in time or cannot be kept; `store` is then what
        it was. Memory stays at a few megabytes.
        """
        address = f"{self._url}{ROUNDS_PATH}/{round_number}/records"
        body = self._body(address, max_nodes * ENTRY_BYTES, within_seconds)
        try:
            store.write_entries(round_number, body, root)
        except MerkleError as error:
            raise Refused(f"what {address} answers are no records: {error}") from None
        except _NotThereError:
            raise Refused(
                f"{address} is not there: this reporter does not keep round {round_number}"
            ) from None

    def answer(self, path: str, max_bytes: int, within_seconds: float = TIMEOUT_SECONDS) -> bytes | None:
        """What is answered under `path`, held in memory; None if nothing is there. Raises Refused for more than
        `max_bytes`, or what does not come in time."""
        return self._whole(f"{self._url}{path}", max_bytes, within_seconds)

    def _small(self, address: str) -> bytes | None:
        return self._whole(address, MAX_JSON_BYTES, TIMEOUT_SECONDS)

    def _whole(self, address: str, max_bytes: int, within_seconds: float) -> bytes | None:
        try:
            return b"".join(self._body(address, max_bytes, within_seconds))
        except _NotThereError:
            return None

    def _body(self, address: str, max_bytes: int, within_seconds: float) -> Iterator[bytes]:
        """What is answered, piece by piece. Raises Refused for too much, too late or an error."""
        until, total = time.monotonic() + within_seconds, 0
        try:
            with (
                self._hanging_up(within_seconds),
                self._http.stream("GET", address, extensions={"trace": self._note_socket}) as answer,
            ):
                if answer.status_code == 404:
                    raise _NotThereError
                if answer.status_code != 200:
                    raise Refused(
                        f"{address} answers {answer.status_code}: ask again later, or another reporter"
                    )
                for piece in answer.iter_raw():
                    total += len(piece)
                    if total > max_bytes:
                        raise Refused(f"{address} answers more than {max_bytes:,} bytes")
                    yield piece
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if time.monotonic() > until:
                raise Refused(f"{address} did not answer whole within {within_seconds} s") from None
            raise Refused(f"no reporter answers at {address}: {type(error).__name__}") from None

    @contextmanager
    def _hanging_up(self, after_seconds: float) -> Iterator[None]:
        """Ends the connection when that time is over: a timeout alone lets a byte come now and then for ever."""
        timer = Timer(after_seconds, self._hang_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        for known in self._sockets:
            with suppress(OSError):  # closed already
                known.shutdown(socket.SHUT_RDWR)

    def _note_socket(self, event: str, info: dict[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._sockets = [known for known in self._sockets if known.fileno() >= 0]
            self._sockets.append(info["return_value"].get_extra_info("socket"))


class _NotThereError(Exception):
    """404."""


_Page = TypeVar("_Page", bound=BaseModel)


def _read(page: type[_Page], address: str, answer: bytes) -> _Page:
    try:
        return page.model_validate_json(answer)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise Refused(f"what {address} answers is not meant for this: {where}: {problem['msg']}") from None


def _bytes(word: str) -> bytes:
    return bytes.fromhex(word[2:])
