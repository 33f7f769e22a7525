"""A socket that takes connections before its server runs: whoever is told of it finds it."""

from __future__ import annotations

import socket

from wellhead.errors import Refused


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port, 0 for any free one. Raises Refused when it is taken."""
    # The protocol is named because asyncio turns Nagle's delay off only then: 40 ms for every answer otherwise.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise Refused(
            f"cannot listen on {host}:{port}: {error.strerror}; --port 0 takes a free one"
        ) from error
    return listener
