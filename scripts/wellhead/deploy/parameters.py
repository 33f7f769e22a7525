"""What a deployment may choose. Bounds are the contracts' own; what cannot work is refused here already."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from web3 import Web3

from wellhead.chain import local
from wellhead.chain.keys import local_account
from wellhead.errors import Misused
from wellhead.fields import Address


class Parameters(BaseModel):
    """Constructor arguments and initial sets of one deployment. Times in seconds, money in usd6."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: Address
    guardian: Address
    enforcer: Address
    treasury: Address
    usd: Address | None = Field(default=None, description="existing stablecoin; None deploys MockUSD")
    protocol_cut_bps: int = Field(default=250, ge=0, le=1_000)
    bond_usd6_per_gpu: int = Field(default=100_000_000, ge=0)
    bond_delay_seconds: int = Field(default=7 * 86_400, ge=0)
    genesis: int = Field(description="when the oracle's first window starts, chain time")
    # Bounds of TelemetryOracle's constructor, which says why.
    window_seconds: int = Field(default=3_600, ge=60, le=43_200)
    finality_delay_seconds: int = Field(default=1_800, ge=60, le=7 * 86_400)
    ring_rounds: int = Field(default=4_096, ge=64, le=65_536)
    reporters: tuple[Address, ...]
    reporters_faulty: int = Field(default=1, ge=1)
    attestors: tuple[Address, ...]
    attestors_faulty: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _quorums_hold(self) -> Parameters:
        """k = 2f + 1 signatures and n >= k + f members, or f liars could decide or stop everything."""
        for what, members, faulty in (
            ("reporters", self.reporters, self.reporters_faulty),
            ("attestors", self.attestors, self.attestors_faulty),
        ):
            if len(set(members)) < 3 * faulty + 1:
                raise ValueError(
                    f"{len(set(members))} different {what} cannot stand {faulty} faulty: {3 * faulty + 1} are needed"
                )
        return self

    @model_validator(mode="after")
    def _rounds_become_final(self) -> Parameters:
        """A round must be final long before the ring overwrites it."""
        most = self.window_seconds * self.ring_rounds // 2
        if self.finality_delay_seconds > most:
            raise ValueError(f"finality_delay_seconds is above {most}, half of what the ring spans")
        return self


def local_parameters(chain_time: int) -> Parameters:
    """The deployment of a local chain: its public test accounts in their roles, windows of an hour."""
    address = {role: local_account(role).address for role in ("owner", "guardian", "enforcer", "treasury")}
    return Parameters(
        owner=address["owner"],
        guardian=address["guardian"],
        enforcer=address["enforcer"],
        treasury=address["treasury"],
        genesis=chain_time,
        reporters=tuple(local_account(f"reporter-{number}").address for number in range(5)),
        attestors=tuple(local_account(f"attestor-{number}").address for number in range(5)),
    )


def choose_parameters(w3: Web3, file: Path | None, known: Parameters | None) -> Parameters:
    """What to deploy with: what the chain's manifest knows, else the JSON in `file`, else a local chain's.

    Raises Misused when `file` is unreadable or contradicts the manifest, or a live network lacks both.
    """
    given = None if file is None else _read(file)
    if known is not None:
        if given is not None and given != known:
            raise Misused(
                f"{file} differs from the manifest of chain {w3.eth.chain_id}; "
                "move the manifest away to deploy anew"
            )
        return known
    if given is not None:
        return given
    if local.is_local(w3):
        return local_parameters(local.chain_time(w3))
    raise Misused(
        "a live network needs a parameters file: owner, guardian, reporters, attestors and the rest"
    )


def _read(path: Path) -> Parameters:
    try:
        return Parameters.model_validate_json(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise Misused(f"cannot read {path}: {error}") from None
    except ValidationError as error:
        raise Misused(f"{path} does not describe a deployment: {error}") from None
