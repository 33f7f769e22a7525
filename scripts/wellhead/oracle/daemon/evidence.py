"""The raw answers that a reporter's figures follow from, kept for whoever doubts them.

GET /rounds/{round}/evidence          the hash of each node's evidence
GET /rounds/{round}/evidence/{node}   what was asked and answered, as JSON

Nothing is shown of a round that is still played: whoever has not committed yet could copy it.

A report names keccak256 over (address, evidence hash, commitment) of its reporters; a reporter's evidence hash is
`hash_of_all` of its nodes' hashes, its commitment stands in /rounds/{round}/reveals. So what a reporter shows later is
what it had then, or it does not lead to the chain.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from eth_hash.auto import keccak
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wellhead.oracle.daemon.store import ReporterStore
from wellhead.oracle.fleet import Sighting
from wellhead.oracle.records.serving import ROUNDS_PATH
from wellhead.oracle.sources.finding import Exhibit
from wellhead.reference.record import NODE_ID_BYTES

MAX_DIGITS = 10


def hash_of_all(hashes: Mapping[int, bytes]) -> bytes:
    """One reporter's evidence hash: over node id (4 bytes) and evidence hash (32) of every node, ascending."""
    return keccak(b"".join(node.to_bytes(NODE_ID_BYTES, "big") + hashes[node] for node in sorted(hashes)))


def written(sighting: Sighting) -> bytes:
    """A sighting's exhibits and faults, to be kept."""
    exhibits = [{"asked": one.asked, "body": one.body.hex()} for one in sighting.evidence.exhibits]
    return json.dumps({"exhibits": exhibits, "faults": list(sighting.faults)}).encode()


def exhibits_in(kept: bytes) -> tuple[Exhibit, ...]:
    """What `written` wrote."""
    return tuple(Exhibit(one["asked"], bytes.fromhex(one["body"])) for one in json.loads(kept)["exhibits"])


def evidence_routes(store: ReporterStore) -> list[Route]:
    """The routes, to be mounted in an application."""

    async def listed(request: Request) -> Response:
        round_number = _number(request, "round")
        if round_number is None or not await asyncio.to_thread(store.is_over, round_number):
            return _nothing(request)
        hashes = await asyncio.to_thread(store.evidence_hashes, round_number)
        if not hashes:
            return _nothing(request)
        nodes = {str(node): f"0x{digest.hex()}" for node, digest in hashes.items()}
        return JSONResponse(
            {"round": round_number, "evidence_hash": f"0x{hash_of_all(hashes).hex()}", "nodes": nodes}
        )

    async def one(request: Request) -> Response:
        round_number, node = _number(request, "round"), _number(request, "node")
        if round_number is None or node is None or not await asyncio.to_thread(store.is_over, round_number):
            return _nothing(request)
        found = await asyncio.to_thread(store.evidence, round_number, node)
        if found is None:
            return _nothing(request)
        return Response(found[1], media_type="application/json")

    path = f"{ROUNDS_PATH}/{{round}}/evidence"
    return [Route(path, listed), Route(f"{path}/{{node}}", one)]


def _number(request: Request, name: str) -> int | None:
    text = request.path_params[name]
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS else None


def _nothing(request: Request) -> Response:
    message = f"{request.url.path}: no evidence of that is kept here; {ROUNDS_PATH} lists rounds"
    return JSONResponse({"error": message}, 404)
