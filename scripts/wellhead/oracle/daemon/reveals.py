"""The reveals that a report counts, for a reporter that did not hold them in time, and for whoever checks a score.

GET /rounds/{round}/reveals                what the round's agreed report names of each reporter
GET /rounds/{round}/reveals/{commitment}   the body of the reveal that was committed to so

Nobody need believe an answer: it leads to the evidence hash that the chain has of the round, or it is worth nothing.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from eth_utils.address import to_checksum_address
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wellhead.errors import Refused
from wellhead.oracle.daemon.tallies import Tallies
from wellhead.oracle.exchange.book import digest_of
from wellhead.oracle.exchange.mail import MAX_REVEAL_BYTES
from wellhead.oracle.exchange.messages import HASH_BYTES, Kind, Message, reveal_in
from wellhead.oracle.records.peer import RecordPeer
from wellhead.oracle.records.serving import ROUNDS_PATH
from wellhead.oracle.sealed import Revealed, is_signed
from wellhead.reference.quorum import MAX_SIGNERS, evidence_hash

# Each may be a reveal of some megabytes.
ANSWERS_AT_ONCE = 4
MAX_LIST_BYTES = 1 << 16
WITHIN_SECONDS = 30.0
_MAX_DIGITS = 8

_Word = Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")]


class _Named(BaseModel):
    reporter: Annotated[str, Field(pattern="^0x[0-9a-fA-F]{40}$")]
    evidence_hash: _Word
    commitment: _Word

    @property
    def named(self) -> bytes:
        return bytes.fromhex(self.evidence_hash[2:]) + bytes.fromhex(self.commitment[2:])


class _Listed(BaseModel):
    reports: list[Annotated[list[_Named], Field(max_length=MAX_SIGNERS)]]


def reveal_routes(tallies: Tallies) -> list[Route]:
    """The routes, to be mounted in an application."""
    places = asyncio.Semaphore(ANSWERS_AT_ONCE)

    async def listed(request: Request) -> Response:
        round_number = _round_of(request)
        counted = [] if round_number is None else await asyncio.to_thread(tallies.counted, round_number)
        if not counted:
            return _nothing(request)
        reports = [
            [
                _Named(
                    reporter=reporter,
                    evidence_hash=f"0x{named[:HASH_BYTES].hex()}",
                    commitment=f"0x{named[HASH_BYTES:].hex()}",
                ).model_dump()
                for reporter, named in sorted(one.named.items())
            ]
            for one in counted
        ]
        return JSONResponse({"round": round_number, "reports": reports})

    async def one(request: Request) -> Response:
        round_number, commitment = _round_of(request), _commitment_of(request)
        if round_number is None or commitment is None:
            return _nothing(request)
        if places.locked():
            return JSONResponse({"error": "others are served just now; ask again"}, 503)
        async with places:
            body = await asyncio.to_thread(tallies.reveal, round_number, commitment)
        return _nothing(request) if body is None else Response(body, media_type="application/json")

    path = f"{ROUNDS_PATH}/{{round}}/reveals"
    return [Route(path, listed), Route(f"{path}/{{commitment}}", one)]


class RevealPeer:
    """Another reporter's daemon. For one thread at a time."""

    def __init__(self, url: str) -> None:
        """`url` is the daemon's root."""
        self._peer, self._url = RecordPeer(url), url

    def reveals(self, config_digest: bytes, round_number: int, named_hash: bytes) -> tuple[Revealed, ...]:
        """See RevealKeeper."""
        try:
            return fetch_reveals(self._peer, config_digest, round_number, named_hash)
        except Refused as refused:
            raise Refused(f"{self._url}: {refused}") from None


def fetch_reveals(
    peer: RecordPeer, config_digest: bytes, round_number: int, named_hash: bytes
) -> tuple[Revealed, ...]:
    """All that the report with that evidence hash counts. Blocking. Raises Refused when the peer gives anything else,
    or the round is another configuration's: then other rules made its report."""
    path = f"{ROUNDS_PATH}/{round_number}/reveals"
    answer = peer.answer(path, MAX_LIST_BYTES)
    if answer is None:
        raise Refused(f"it keeps no reveals of round {round_number}")
    try:
        found = _Listed.model_validate_json(answer)
    except ValidationError as error:
        raise Refused(f"it answers no list of reveals: {error.errors()[0]['msg']}") from None
    for counted in found.reports:
        named: dict[str, bytes] = {to_checksum_address(one.reporter): one.named for one in counted}
        if evidence_hash(named) == named_hash:
            return tuple(
                _fetch(peer, path, config_digest, round_number, reporter, what)
                for reporter, what in named.items()
            )
    raise Refused(f"what it counted in round {round_number} is not what the chain's report names")


def _fetch(
    peer: RecordPeer, path: str, config_digest: bytes, round_number: int, reporter: str, named: bytes
) -> Revealed:
    commitment = named[HASH_BYTES:]
    body = peer.answer(f"{path}/0x{commitment.hex()}", MAX_REVEAL_BYTES, WITHIN_SECONDS)
    if body is None:
        raise Refused(f"it does not keep the reveal of {reporter} in round {round_number} any more")
    revealed = reveal_in(Message(Kind.REVEAL, config_digest, round_number, reporter, body, b""))
    if revealed.named != named or digest_of(revealed) != commitment:
        raise Refused(f"that is not what {reporter} committed to in round {round_number}")
    if not is_signed(revealed.commitment, config_digest, round_number):
        raise Refused(f"round {round_number} is not of the oracle's present configuration")
    return revealed


def _round_of(request: Request) -> int | None:
    text = request.path_params["round"]
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else None


def _commitment_of(request: Request) -> bytes | None:
    try:
        found = bytes.fromhex(request.path_params["commitment"].removeprefix("0x"))
    except ValueError:
        return None
    return found if len(found) == HASH_BYTES else None


def _nothing(request: Request) -> Response:
    return JSONResponse({"error": f"{request.url.path}: no counted reveals of that are kept here"}, 404)
