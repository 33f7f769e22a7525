"""Whether something answers at all: a node's health page, and the canaries that prove a reporter's own line."""

from __future__ import annotations

import httpx

from wellhead.oracle.sources.fetch import ScrapeError, check_clock, fetch
from wellhead.oracle.sources.finding import HERE
from wellhead.oracle.sources.live import Reading
from wellhead.oracle.sources.meters import Kind

NOT_COUNTED = Kind("answer")
ANSWERED = Reading({})


class Health:
    """A page that answers 200 while the node is well."""

    line, kind = HERE, NOT_COUNTED

    def __init__(self, url: str) -> None:
        self.url, self.asked = url, f"GET {url}"

    async def read(self, client: httpx.AsyncClient, _slot: int, timeout_seconds: float) -> Reading:
        """Raises ScrapeError when it does not."""
        await fetch(client, client.build_request("GET", self.url), timeout_seconds)
        return ANSWERED


class PageCanary:
    """A page apart from all nodes that shows a certain text: a network's login page does not."""

    line, kind = HERE, NOT_COUNTED

    def __init__(self, url: str, contains: str) -> None:
        self.url, self.asked, self._contains = url, f"GET {url}", contains.encode()

    async def read(self, client: httpx.AsyncClient, _slot: int, timeout_seconds: float) -> Reading:
        """Raises ScrapeError when it shows something else, or is dated by another clock than ours."""
        request = client.build_request("GET", self.url)
        if self._contains not in await fetch(client, request, timeout_seconds, check=check_clock):
            raise ScrapeError(f"{self.url} does not show {self._contains.decode()!r}")
        return ANSWERED


class ChainCanary:
    """A chain's RPC, which names itself. Anything may answer 200; a login page does not know the chain id."""

    line, kind = HERE, NOT_COUNTED

    def __init__(self, rpc_url: str, chain_id: int) -> None:
        self.url, self.asked, self._chain_id = rpc_url, f"eth_chainId of {rpc_url}", chain_id

    async def read(self, client: httpx.AsyncClient, _slot: int, timeout_seconds: float) -> Reading:
        """Raises ScrapeError when it is another chain, or dated by another clock than ours."""
        call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        request = client.build_request("POST", self.url, json=call)
        if f'"{hex(self._chain_id)}"'.encode() not in await fetch(
            client, request, timeout_seconds, check=check_clock
        ):
            raise ScrapeError(f"{self.url} does not say that it is chain {self._chain_id}")
        return ANSWERED
