"""How chains are talked to."""

from __future__ import annotations

from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint


def connect(rpc_url: str, timeout_seconds: float = 60) -> Web3:
    """A connection of its own. web3 asks for the chain's id before every call; here once is enough, as what is signed
    names its chain."""
    return Web3(
        HTTPProvider(
            rpc_url,
            request_kwargs={"timeout": timeout_seconds},
            cache_allowed_requests=True,
            cacheable_requests={RPCEndpoint("eth_chainId")},
        )
    )
