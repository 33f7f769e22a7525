"""What a customer's key may sign: payments in one token on one chain, each up to a cap."""

from __future__ import annotations

from typing import TypeVar

from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider, Web3
from x402 import x402Client, x402ClientSync
from x402.client_base import RequirementsView
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.exact.client import ExactEvmScheme

from wellhead.units import parse_address

Client = TypeVar("Client", x402Client, x402ClientSync)


def network_of(rpc_url: str) -> str:
    """The chain behind `rpc_url` in CAIP-2 form, "eip155:31337"."""
    w3 = Web3(HTTPProvider(rpc_url, request_kwargs={"timeout": 30}))
    return f"eip155:{w3.eth.chain_id}"


def bounded(
    client: Client, account: LocalAccount, network: str, asset: str, max_usd6_per_payment: int
) -> Client:
    """`client`, able to pay by `exact` in `asset` on `network`, and nothing else.

    `max_usd6_per_payment` is in atomic units; a dearer offer is refused before anything is signed.
    Without these bounds stock clients refuse a token they do not know, and pay in any they do.
    """
    asset = parse_address(asset, "asset")
    client.register(network, ExactEvmScheme(EthAccountSigner(account)))
    client.set_spend_controls(
        {
            "allowed_assets": [
                {"network": network, "asset": asset, "max_amount_per_payment": str(max_usd6_per_payment)}
            ]
        }
    )

    def only_this_asset(_: int, offers: list[RequirementsView]) -> list[RequirementsView]:
        return [offer for offer in offers if offer.asset.lower() == asset.lower()]

    client.register_policy(only_this_asset)
    return client
