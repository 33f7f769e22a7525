"""`python -m wellhead.runtime`: the node as a process of its own."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

DEFAULT_PORT = 8600
# One thread per library: on a small machine two BLAS threads cost more in tail latency than they gain.
SINGLE_THREAD = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1"),
    "TOKENIZERS_PARALLELISM": "false",
}


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 0 after an orderly stop, 1 if the model or the port is not to be had."""
    options = _parser().parse_args(arguments)
    os.environ.update(SINGLE_THREAD)  # read once, when numpy is imported: hence the late imports
    from wellhead.errors import Refused
    from wellhead.listener import listen
    from wellhead.runtime.app import create_app
    from wellhead.runtime.embedder import MiniLM
    from wellhead.runtime.energy import EnergyEstimate
    from wellhead.runtime.metrics import NodeMetrics
    from wellhead.runtime.weights import WeightsError, packaged_folder
    from wellhead.serving import Bounds, serve

    try:
        embedder = MiniLM(options.model_dir or packaged_folder())
        listener = listen(options.host, options.port)
    except (WeightsError, Refused) as error:
        print(f"wellhead.runtime refuses to start: {error}", file=sys.stderr)
        return 1
    app = create_app(embedder, NodeMetrics(EnergyEstimate(options.watts_per_core)))
    with listener:
        bounds = Bounds(connections=1_000, grace_seconds=4)
        serve(app, listener, bounds, lambda url: print(f"node running on {url}", flush=True))
    return 0


def _parser() -> argparse.ArgumentParser:
    from wellhead.runtime.energy import DEFAULT_WATTS_PER_CORE

    parser = argparse.ArgumentParser(prog="python -m wellhead.runtime", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port to listen on (%(default)s)")
    parser.add_argument(
        "--model-dir", type=Path, help="folder of all-MiniLM-L6-v2; default: the installed package"
    )
    parser.add_argument(
        "--watts-per-core",
        type=_positive,
        default=DEFAULT_WATTS_PER_CORE,
        help="power that one busy core is taken to draw, for the energy estimate (%(default)s)",
    )
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 10_000:
        raise argparse.ArgumentTypeError(f"{text} W is not between 0 and 10000")
    return value


if __name__ == "__main__":
    sys.exit(main())
