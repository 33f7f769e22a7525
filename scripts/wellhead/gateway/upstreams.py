"""The nodes behind the gateway: OpenAI-shaped servers over HTTP, of which one answers each call.

The one with the least to do and the shortest wait is asked; one that fails is passed over for a while and the next one
asked in its place, as long as nothing of an answer has been passed on. Nothing of the customer's headers reaches them.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec

from wellhead.gateway.node_connection import NodeConnection, NodeError, NodeServer
from wellhead.gateway.openai_shape import RequestError
from wellhead.gateway.paths import MODELS_PATH

PASSED_HEADERS = ("content-type", "retry-after")
# What says "not me, not now": another node may.
TOO_MANY, FAILED = 429, 500
EVENT_STREAM = "text/event-stream"
UNAVAILABLE = frozenset({TOO_MANY, FAILED, 502, 503, 504})
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
# Of the newest wait in the average: ten calls forget most of what was.
WEIGHT = 0.2


@dataclass(slots=True)
class Node:
    """What is known of one upstream."""

    url: str
    server: NodeServer = field(repr=False)
    # The member of a pool that it is, 0 if no pool is paid.
    member: int = 0
    under_way: int = 0
    wait_seconds: float = 0.0
    failures: int = 0
    paused_until: float = 0.0

    def answered(self, waited_seconds: float, status: int) -> None:
        """It spoke after `waited_seconds`. A refusal says nothing of how long its work takes."""
        self.failures, self.paused_until = 0, 0.0
        if status >= 400:
            return
        before = self.wait_seconds or waited_seconds
        self.wait_seconds = before + WEIGHT * (waited_seconds - before)

    def failed(self, now: float) -> None:
        """It did not speak; the next call comes after a pause that doubles."""
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(self.failures, 10), LONGEST_PAUSE_SECONDS)
        self.failures, self.paused_until = self.failures + 1, now + pause

    def refused(self, answer: Answer, now: float) -> None:
        """It said that it cannot answer now."""
        if answer.status == TOO_MANY:
            self.paused_until = now + answer.retry_after_seconds
        elif answer.status == FAILED:
            # Perhaps by the request's fault: whoever sends such ones must not keep nodes from others for long.
            self.failures, self.paused_until = self.failures + 1, now + FIRST_PAUSE_SECONDS
        else:
            self.failed(now)


class Answer(msgspec.Struct, frozen=True):
    """The answer of a node, that of `member`, whose first byte has come after `waited_seconds`. `body` is None if it is
    to be read as a stream."""

    status: int
    member: int
    waited_seconds: float
    headers: dict[str, str]
    body: bytes | None
    connection: NodeConnection

    @property
    def retry_after_seconds(self) -> float:
        """How long the node wants to be left alone, within what a pause may be."""
        said = self.headers.get("retry-after", "")
        wanted = float(said) if said.isascii() and said.isdigit() else FIRST_PAUSE_SECONDS
        return min(max(wanted, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises NodeError when it breaks off, TimeoutError when it stalls."""
        while chunk := await self.connection.piece():
            yield chunk


class Upstreams:
    """Every node that serves what the gateway sells."""

    def __init__(self, urls: Sequence[str], timeout_seconds: float, members: Sequence[int] = ()) -> None:
        """`timeout_seconds` bounds the wait for an answer, and each silence within a stream. `members` are those of a
        pool behind each of `urls`, if there is one."""
        self.nodes = [
            Node(url.rstrip("/"), NodeServer(url, timeout_seconds), member)
            for url, member in zip(urls, members or (0,) * len(urls), strict=True)
        ]

    def close(self) -> None:
        """Drop the connections."""
        for node in self.nodes:
            node.server.close()

    def ask(self, path: str, body: bytes, *, stream: bool) -> Asking:
        """The answer to a request, as a context. With `stream`, a good one's body is left to be read while this lasts.

        Entering raises RequestError (502, 504) when no node gives one.
        """
        return Asking(self, path, body, stream=stream)

    async def models(self) -> Answer:
        """The list of models of the first node that has one. Raises RequestError as `ask` does."""
        tried: set[int] = set()
        while True:
            node = self.next_node(tried)
            tried.add(id(node))
            connection = None
            try:
                connection = await node.server.connection()
                return await _ask(node, connection, "GET", MODELS_PATH)
            except (TimeoutError, NodeError) as error:
                if len(tried) == len(self.nodes):
                    raise _no_answer(error) from None
            finally:
                if connection is not None:
                    node.server.give_back(connection)

    def next_node(self, tried: set[int]) -> Node:
        """The best of those that were not tried: in order first, then by how long it would take."""
        if len(self.nodes) == 1:
            return self.nodes[0]
        now = time.monotonic()
        known = [node.wait_seconds for node in self.nodes if node.wait_seconds]
        usual = sum(known) / len(known) if known else 1.0  # of a node that has not answered yet

        def delay(node: Node) -> tuple[float, float]:
            paused = max(0.0, node.paused_until - now)
            return paused, (node.under_way + 1) * (node.wait_seconds or usual)

        return min((node for node in self.nodes if id(node) not in tried), key=delay)


class Asking:
    """One request on its way through the nodes. Written out, as `asynccontextmanager` takes longer over it than the
    choice of a node."""

    def __init__(self, upstreams: Upstreams, path: str, body: bytes, *, stream: bool) -> None:
        self._upstreams, self._path, self._body, self._stream = upstreams, path, body, stream
        self._node: Node | None = None
        self._connection: NodeConnection | None = None

    async def __aenter__(self) -> Answer:
        count = len(self._upstreams.nodes)
        tried: set[int] = set()
        failed = 0
        try:
            while True:
                self._end()
                node = self._node = self._upstreams.next_node(tried)
                tried.add(id(node))
                node.under_way += 1
                try:
                    connection = self._connection = await node.server.connection()
                    answer = await _ask(node, connection, "POST", self._path, self._body, stream=self._stream)
                except (TimeoutError, NodeError) as error:
                    node.failed(time.monotonic())
                    if len(tried) < count:
                        continue
                    raise _no_answer(error) from None
                if answer.status in UNAVAILABLE:
                    node.refused(answer, time.monotonic())
                    failed += answer.status == FAILED
                    # A request that two fail at is passed to no third.
                    if len(tried) < count and failed < 2:
                        continue
                else:
                    node.answered(answer.waited_seconds, answer.status)
                return answer
        except BaseException:
            self._end()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        """Nothing more is asked of the node that is being asked."""
        if self._node is not None:
            self._node.under_way -= 1
            if self._connection is not None:
                self._node.server.give_back(self._connection)
            self._node = self._connection = None


async def _ask(
    node: Node,
    connection: NodeConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    *,
    stream: bool = False,
) -> Answer:
    started = time.monotonic()
    connection.send(node.server.request(method, path, body))
    is_stream = False
    if stream:
        await connection.head()
        kind = connection.headers.get("content-type", "")
        is_stream = connection.status == 200 and kind.startswith(EVENT_STREAM)
    whole = None if is_stream else await connection.whole()
    waited_seconds = time.monotonic() - started
    headers = {name: connection.headers[name] for name in PASSED_HEADERS if name in connection.headers}
    return Answer(connection.status, node.member, waited_seconds, headers, whole, connection)


def _no_answer(error: Exception) -> RequestError:
    if isinstance(error, TimeoutError):
        return RequestError("the node did not answer in time", status=504, code="upstream_timeout")
    return RequestError(
        f"no answer from the node behind this gateway: {error}",
        status=502,
        code="upstream_unreachable",
    )
