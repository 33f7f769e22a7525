"""The page that says what a gateway sells: /.well-known/x402, for programs that compare."""

from __future__ import annotations

from typing import Any

from x402.mechanisms.evm.batch_settlement.constants import SCHEME_BATCH_SETTLEMENT
from x402.mechanisms.evm.constants import SCHEME_EXACT

from wellhead.gateway.paths import PAID_PATHS
from wellhead.gateway.terms import Terms


def offer_page(terms: Terms) -> dict[str, Any]:
    """Models, prices in atomic units, and who is paid how, where."""
    config = terms.config
    return {
        "x402Version": 2,
        "network": config.network,
        "asset": config.asset,
        "payTo": config.pay_to,
        "schemes": [SCHEME_BATCH_SETTLEMENT, SCHEME_EXACT],
        "receiverAuthorizer": terms.authorizer,
        "withdrawDelay": config.withdraw_delay_seconds,
        "minDeposit": str(config.min_deposit_usd6),
        "paths": list(PAID_PATHS),
        "models": [model.model_dump(exclude_none=True) for model in config.models],
    }
