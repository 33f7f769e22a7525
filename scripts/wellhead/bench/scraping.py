"""A reporter that looks at many nodes, and the exporters that it looks at, each a process of its own.

`python -m wellhead.bench.scraping exporters PORT`
`python -m wellhead.bench.scraping reporter URL NODES` prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from wellhead.errors import Refused
from wellhead.oracle.fleet import Fleet
from wellhead.oracle.fleet_file import FleetSettings
from wellhead.oracle.observation import Window

HOST = "127.0.0.1"
SLOT_MS = 4_000
LOOKS = 3
GPUS = 8
# The fields that a DCGM exporter shows by default, of which three are read.
_READ = ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_XID_ERRORS")
_FIELDS = (*_READ, *(f"DCGM_FI_DEV_OTHER_{number}" for number in range(17)))


async def serve_exporters(port: int) -> None:
    """A node of eight GPUs at every path, always the same."""
    body = "\n".join(_exposed()).encode() + b"\n"
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # who only connects wants no answer
        finally:
            writer.close()

    server = await asyncio.start_server(answer, HOST, port, backlog=4_096)
    await server.serve_forever()


async def look_at(url: str, nodes: int) -> dict[str, float]:
    """Several looks at each of `nodes`, and the account of them. Raises Refused when less than half was answered: the
    rest, on a busy machine, costs time and counts for nothing."""
    fleet = Fleet(_settings(url, nodes))
    marks: list[tuple[int, float]] = []
    enough = asyncio.Event()

    def looked(slot: int) -> None:
        marks.append((slot, time.process_time()))
        if len(marks) > LOOKS:  # the first is to warm up
            enough.set()

    running = asyncio.create_task(fleet.run(looked))
    await enough.wait()
    running.cancel()
    (warm, cpu_before), (last, cpu_after) = marks[0], marks[LOOKS]
    cpu_before_account = time.process_time()
    seen = await fleet.observe(Window(warm + 1, last - warm, SLOT_MS))
    cpu_of_account = time.process_time() - cpu_before_account
    answered = sum(sighting.observation.up_slots for sighting in seen.values())
    if 2 * answered < LOOKS * nodes:
        raise Refused(
            f"{answered:,} of {LOOKS * nodes:,} looks were answered: try fewer nodes, or an idle machine"
        )
    look_us = 1e6 * (cpu_after - cpu_before) / answered
    account_us = 1e6 * cpu_of_account / answered
    return {
        "nodes": nodes,
        "gpus_per_node": GPUS,
        "looks": LOOKS * nodes,
        "answered": answered,
        "nodes_per_second_per_core": round(1e6 / (look_us + account_us), 1),
        "look_cpu_us": round(look_us, 1),
        "account_cpu_us": round(account_us, 1),
    }


def _settings(url: str, nodes: int) -> FleetSettings:
    dcgm = {"type": "exporter", "kind": "dcgm"}
    each = [
        {"id": node, "gpu_count": GPUS, "sources": [dcgm | {"url": f"{url}/{node}/metrics"}]}
        for node in range(1, nodes + 1)
    ]
    return FleetSettings.model_validate({"slot_ms": SLOT_MS, "connections": max(nodes, 1), "nodes": each})


def _exposed() -> list[str]:
    lines = []
    for field in _FIELDS:
        lines += [f"# HELP {field} A field.", f"# TYPE {field} gauge"]
        for gpu in range(GPUS):
            labels = (
                f'gpu="{gpu}",UUID="GPU-{gpu:032x}",device="nvidia{gpu}",modelName="NVIDIA H100 80GB HBM3"'
            )
            lines.append(f'{field}{{{labels},Hostname="node.example",DCGM_FI_DRIVER_VERSION="570.0"}} 0')
    return lines


def main() -> None:
    """One of the two processes."""
    side, *arguments = sys.argv[1:]
    if side == "exporters":
        asyncio.run(serve_exporters(int(arguments[0])))
    else:
        print(json.dumps(asyncio.run(look_at(arguments[0], int(arguments[1])))))


if __name__ == "__main__":
    main()
