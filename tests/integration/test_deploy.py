"""Deployment: the same addresses everywhere, resumable, and honest about code that differs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from web3.types import TxParams, TxReceipt

from wellhead.chain import keys, local
from wellhead.chain.contracts.settle_router import SettleRouter
from wellhead.chain.transact import Sender
from wellhead.deploy import canonical, manifest
from wellhead.deploy.canonical import SETTLEMENT
from wellhead.deploy.deployer import deploy_all
from wellhead.deploy.local import FUNDING_USD6, deploy_local
from wellhead.deploy.parameters import Parameters, local_parameters
from wellhead.deploy.placement import PROXY
from wellhead.errors import Misused, Refused


@pytest.fixture(params=local.CLIENTS)
def owner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sender]:
    with local.running(request.param, log=tmp_path / "chain.log") as chain:
        yield Sender(chain.connect(), keys.local_account("owner"))


@pytest.fixture
def anvil_owner(tmp_path: Path) -> Iterator[Sender]:
    with local.running("anvil", log=tmp_path / "chain.log") as chain:
        yield Sender(chain.connect(), keys.local_account("owner"))


def _parameters(sender: Sender) -> Parameters:
    return local_parameters(local.chain_time(sender.w3))


def test_a_second_run_finds_everything_done(owner: Sender, tmp_path: Path) -> None:
    parameters = _parameters(owner)
    first = deploy_all(owner, parameters, tmp_path)
    assert len(first.placed) == len(first.manifest.contracts)
    assert owner.w3.eth.get_code(PROXY)
    for deployed in first.manifest.contracts.values():
        assert owner.w3.eth.get_code(deployed.address)  # type: ignore[arg-type]
    sent = owner.w3.eth.get_transaction_count(owner.address)
    router = SettleRouter(owner.w3, first.manifest.address("SettleRouter"))
    assert router.settlement() == SETTLEMENT.address
    second = deploy_all(owner, parameters, tmp_path)
    assert second.placed == []
    assert second.configured == []
    assert owner.w3.eth.get_transaction_count(owner.address) == sent


class _PowerCutError(Exception):
    """Stands for the power cut."""


class _Interrupting(Sender):
    """A sender that is cut off after `left` transactions."""

    left = 0

    def mine(self, transaction: TxParams) -> TxReceipt:
        if self.left == 0:
            raise _PowerCutError
        self.left -= 1
        return super().mine(transaction)


@pytest.mark.parametrize("sent_before", [1, 3, 6])
def test_an_interrupted_run_resumes_with_the_same_addresses(
    anvil_owner: Sender, tmp_path: Path, sent_before: int
) -> None:
    parameters = _parameters(anvil_owner)
    interrupted = _Interrupting(anvil_owner.w3, anvil_owner.account)
    interrupted.left = sent_before
    with pytest.raises(_PowerCutError):
        deploy_all(interrupted, parameters, tmp_path)
    kept = manifest.require(local.CHAIN_ID, tmp_path)
    local.advance(anvil_owner.w3, 86_400)
    outcome = deploy_all(anvil_owner, kept.parameters, tmp_path)
    assert outcome.manifest == kept
    assert len(outcome.placed) + len(outcome.configured) > 0
    assert deploy_all(anvil_owner, kept.parameters, tmp_path).placed == []


def test_a_deployment_of_before_the_last_contract_gets_it(anvil_owner: Sender, tmp_path: Path) -> None:
    parameters = _parameters(anvil_owner)
    before = _Interrupting(anvil_owner.w3, anvil_owner.account)
    before.left = 6  # everything but the scores
    with pytest.raises(_PowerCutError):
        deploy_all(before, parameters, tmp_path)
    path = manifest.manifest_path(local.CHAIN_ID, tmp_path)
    content = json.loads(path.read_text())
    del content["contracts"]["ReporterScores"]
    path.write_text(json.dumps(content))
    outcome = deploy_all(anvil_owner, parameters, tmp_path)
    assert outcome.placed == ["ReporterScores"]
    assert manifest.require(local.CHAIN_ID, tmp_path).address("ReporterScores")


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_live_network_without_x402s_contracts_is_refused(
    anvil_owner: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    monkeypatch.setattr(canonical, "is_local", lambda _: False)
    with pytest.raises(Refused, match=f"chain 31337 lacks BatchSettlement at {SETTLEMENT.address}"):
        deploy_all(anvil_owner, _parameters(anvil_owner), tmp_path, dry_run=dry_run)
    assert anvil_owner.w3.eth.get_transaction_count(anvil_owner.address) == 0
    assert manifest.read(local.CHAIN_ID, tmp_path) is None


def test_a_dry_run_sends_and_writes_nothing(anvil_owner: Sender, tmp_path: Path) -> None:
    outcome = deploy_all(anvil_owner, _parameters(anvil_owner), tmp_path, dry_run=True)
    assert "NodeShareFactory" in outcome.placed
    assert anvil_owner.w3.eth.get_transaction_count(anvil_owner.address) == 0
    assert manifest.read(local.CHAIN_ID, tmp_path) is None


def test_a_stranger_deploys_but_leaves_configuration_to_the_owner(
    anvil_owner: Sender, tmp_path: Path
) -> None:
    stranger = Sender(anvil_owner.w3, keys.local_account("customer"))
    parameters = _parameters(anvil_owner)
    outcome = deploy_all(stranger, parameters, tmp_path)
    assert outcome.configured == []
    assert len(outcome.left_to_owner) == 2
    assert len(deploy_all(anvil_owner, parameters, tmp_path).configured) == 2


def test_other_code_than_the_manifests_is_refused(anvil_owner: Sender, tmp_path: Path) -> None:
    parameters = _parameters(anvil_owner)
    deploy_all(anvil_owner, parameters, tmp_path)
    path = manifest.manifest_path(local.CHAIN_ID, tmp_path)
    content = json.loads(path.read_text())
    content["contracts"]["Offering"]["init_code_hash"] = "0x" + "ab" * 32
    path.write_text(json.dumps(content))
    with pytest.raises(Refused, match=r"Offering at 0x.* was deployed from code 0xabab"):
        deploy_all(anvil_owner, parameters, tmp_path)


def test_a_manifest_of_another_chain_is_refused(tmp_path: Path) -> None:
    parameters = local_parameters(1_800_000_000)
    written = manifest.write(manifest.Manifest(chain_id=1, parameters=parameters, contracts={}), tmp_path)
    written.rename(manifest.manifest_path(local.CHAIN_ID, tmp_path))
    with pytest.raises(Refused, match="is of chain 1, not 31337"):
        manifest.read(local.CHAIN_ID, tmp_path)


def test_a_missing_manifest_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Misused, match="wellhead deploy"):
        manifest.require(local.CHAIN_ID, tmp_path)


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    manifest.manifest_path(local.CHAIN_ID, tmp_path).write_text("{}")
    with pytest.raises(Refused, match=r"31337\.json is not a manifest"):
        manifest.read(local.CHAIN_ID, tmp_path)


def test_a_local_deployment_funds_every_account_once(anvil_owner: Sender, tmp_path: Path) -> None:
    from wellhead.chain.contracts.usd import MockUsd

    for _ in range(2):
        deployed = deploy_local(anvil_owner, tmp_path)
        usd = MockUsd(anvil_owner.w3, deployed.usd)
        assert all(
            usd.balance_of(keys.local_account(role).address) == FUNDING_USD6 for role in keys.LOCAL_ROLES
        )
