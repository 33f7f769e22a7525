"""`brownie run deploy`: everything on the network that brownie is connected to; see `wellhead.deploy.entry`."""

from brownie import web3

from wellhead.deploy.entry import deploy_at


def main(*arguments: str) -> dict[str, str]:
    return deploy_at(web3.provider.endpoint_uri, *arguments)
