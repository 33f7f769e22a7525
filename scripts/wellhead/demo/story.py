"""The order of the demo's parts, and what is stopped whatever happens."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from wellhead.chain import local
from wellhead.demo.delivery import decide_delivery
from wellhead.demo.income import stream
from wellhead.demo.listing import list_node, sell_shares
from wellhead.demo.measuring import Measuring
from wellhead.demo.report import Outcome, outcome
from wellhead.demo.serving import Buying, Site
from wellhead.demo.stage import Narrator, Stage


def play(client: str, folder: Path, console: Console | None) -> Outcome:
    """Play the demo on a chain of its own; logs and the manifest stay in `folder`.

    `console` hears the story; None plays it silently. Raises WellheadError when a part cannot go on.
    """
    begun = time.monotonic()
    narrator = Narrator(console)
    with local.running(client, log=folder / "chain.log") as chain:
        narrator.chapter(f"A local chain: {client}")
        stage = Stage(chain, folder, narrator)
        narrator.tell(
            "owner", f"deploys {len(stage.manifest.contracts)} contracts to chain {stage.w3.eth.chain_id}"
        )
        listed = sell_shares(stage, list_node(stage))
        narrator.chapter("A real model serves, and every call is paid for")
        site = Site(stage, listed)
        try:
            with Measuring(stage, listed, site) as measuring:
                site.wait()
                narrator.tell(
                    "operator", f"runs the model at {site.runtime_url}, a gateway at {site.gateway_url}"
                )
                buying = Buying(stage, site, listed)
                buying.show_one()
                buying.by_x402(20)
                buying.by_openai()
                buying.many(200, at_once=8)
                base = measuring.base()
                down = measuring.outage(buying)
                served = buying.finish()
                shown = measuring.end(base, down)
        finally:
            site.stop()
        narrator.chapter("What was measured decides what is released")
        measured = decide_delivery(stage, listed, shown)
        income, holdings = stream(stage, listed)
        return outcome(stage, listed, served, measured, income, holdings, time.monotonic() - begun)
