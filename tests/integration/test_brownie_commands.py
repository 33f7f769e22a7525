"""Brownie from the checkout's root, typed by hand: it finds compiler and chain, and leaves nothing behind."""

import re
import socket
import sys
from pathlib import Path

from checkout_copy import run_in

from wellhead.chain import artifacts, local
from wellhead.chain.compile import CONFIG_NAME

BROWNIE = str(Path(sys.prefix, "bin", "brownie"))


def test_brownie_run_deploy(checkout: Path) -> None:
    before = {entry.name for entry in checkout.iterdir()} | {"build"}
    printed = run_in(checkout, BROWNIE, "run", "deploy")
    addresses = dict(re.findall(r"^(\w+) +(0x[0-9a-fA-F]{40})$", printed, re.MULTILINE))
    assert {"MockUSD", "NodeRegistry", "NodeShareFactory", "Offering", "TelemetryOracle"} <= set(addresses)
    assert set(addresses) <= set(artifacts.names())
    # No interfaces/, reports/ or deployments/, and no chain.
    assert {entry.name for entry in checkout.iterdir()} == before
    (port,) = re.findall(r"port: (\d+) # beside", (checkout / CONFIG_NAME).read_text())
    with socket.socket() as probe:
        assert probe.connect_ex((local.HOST, int(port))) != 0
