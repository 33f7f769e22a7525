"""The stablecoin: what every USDC-shaped token offers, and apart from it what only the mock can do."""

from __future__ import annotations

from web3.contract.contract import ContractFunction

from wellhead.chain.contracts.base import Wrapper


class Usd(Wrapper):
    """Amounts are usd6."""

    artifact = "MockUSD"  # its ABI covers what the real ones offer

    def balance_of(self, account: str) -> int:
        return int(self.read("balanceOf", account))

    def allowance(self, owner: str, spender: str) -> int:
        return int(self.read("allowance", owner, spender))

    def approve(self, spender: str, amount_usd6: int) -> ContractFunction:
        return self.call("approve", spender, amount_usd6)

    def transfer(self, to: str, amount_usd6: int) -> ContractFunction:
        return self.call("transfer", to, amount_usd6)

    def name(self) -> str:
        return str(self.read("name"))

    def symbol(self) -> str:
        return str(self.read("symbol"))


class MockUsd(Usd):
    """The local stand-in for the stablecoin."""

    def faucet(self, to: str) -> ContractFunction:
        return self.call("faucet", to)

    def configure_minter(self, minter: str, allowance_usd6: int) -> ContractFunction:
        return self.call("configureMinter", minter, allowance_usd6)

    def mint(self, to: str, amount_usd6: int) -> ContractFunction:
        return self.call("mint", to, amount_usd6)
