"""`python -m wellhead.gateway`: a gateway as a process of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from wellhead.chain import keys, local, networks
from wellhead.errors import Misused, WellheadError
from wellhead.gateway.config import GatewayConfig
from wellhead.gateway.price_file import price_list
from wellhead.gateway.serve import serve


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        network = networks.find_network(options.network)
        w3 = network.connect()
        facilitator, authorizer = (
            keys.load_signer(key, local_chain=local.is_local(w3)) for key in (options.key, options.authorizer)
        )
        config = _config(options, network)
        serve(config, facilitator, authorizer, lambda url: print(f"gateway at {url}", flush=True))
        return 0
    except WellheadError as error:
        print(f"wellhead.gateway refuses to start: {error}", file=sys.stderr)
        return error.exit_code


def _config(options: argparse.Namespace, network: networks.Network) -> GatewayConfig:
    try:
        return GatewayConfig(
            host=options.host,
            port=options.port,
            upstreams=options.upstream,
            rpc_url=network.rpc_url,
            chain_id=network.chain_id,
            asset=options.asset or network.usd or "",
            pay_to=options.pay_to,
            settle_router=options.router,
            models=price_list(options.price, options.prices),
            ledger_url=options.ledger,
        )
    except ValidationError as error:
        problem = error.errors()[0]
        raise Misused(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wellhead.gateway", description=__doc__)
    parser.add_argument(
        "--upstream",
        required=True,
        action="append",
        help="root of an OpenAI-shaped server behind it; repeatable",
    )
    parser.add_argument("--pay-to", required=True, help="who is paid: the node's share contract")
    parser.add_argument("--router", required=True, help="the SettleRouter that claims go through")
    parser.add_argument("--price", help="dollars per call of any model, like 0.001")
    parser.add_argument("--prices", type=Path, help="a price file instead")
    parser.add_argument(
        "--ledger",
        default=GatewayConfig.model_fields["ledger_url"].default,
        help="the ledger's database, as SQLAlchemy writes it",
    )
    parser.add_argument("--asset", help="the stablecoin; default: the network's")
    parser.add_argument("--network", default="local", help="name from networks.toml, or a loopback URL")
    parser.add_argument(
        "--key", default="facilitator", help="keystore of the account that pays the gas, used by nothing else"
    )
    parser.add_argument(
        "--authorizer", default="authorizer", help="keystore of the account that signs claims and refunds"
    )
    parser.add_argument("--host", default=GatewayConfig.model_fields["host"].default)
    parser.add_argument("--port", type=int, default=GatewayConfig.model_fields["port"].default)
    return parser


if __name__ == "__main__":
    sys.exit(main())
