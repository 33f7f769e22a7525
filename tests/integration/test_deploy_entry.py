"""A deployment from nothing but an RPC URL: complete, and careful with the manifests of other chains."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from wellhead.chain import keys, local
from wellhead.chain.transact import Sender
from wellhead.deploy import manifest
from wellhead.deploy.deployer import deploy_all
from wellhead.deploy.entry import deploy_at
from wellhead.deploy.local import deploy_local
from wellhead.deploy.parameters import local_parameters
from wellhead.errors import Misused, Refused


@pytest.fixture
def bare_chain(tmp_path: Path) -> Iterator[local.LocalChain]:
    with local.running("anvil", log=tmp_path / "chain.log") as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deployments"


def _owner(running: local.LocalChain) -> Sender:
    return Sender(running.connect(), keys.local_account("owner"))


def test_a_bare_chain_gets_everything_and_leaves_no_manifest(
    bare_chain: local.LocalChain, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses = deploy_at(bare_chain.url, folder=folder)
    w3 = bare_chain.connect()
    assert all(w3.eth.get_code(address) for address in addresses.values())  # type: ignore[arg-type]
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert printed == addresses
    assert not folder.exists()


def test_the_manifest_of_a_chain_that_runs_elsewhere_stays(
    bare_chain: local.LocalChain, folder: Path
) -> None:
    other = manifest.Manifest(
        chain_id=local.CHAIN_ID,
        parameters=local_parameters(1_800_000_000),
        contracts={"Offering": manifest.Deployed(address="0x" + "0f" * 20, init_code_hash="0x00")},
    )
    kept = manifest.write(other, folder).read_bytes()
    addresses = deploy_at(bare_chain.url, folder=folder)
    assert addresses["Offering"] != other.address("Offering")
    assert manifest.manifest_path(local.CHAIN_ID, folder).read_bytes() == kept


def test_the_deployment_of_a_running_chain_is_found(bare_chain: local.LocalChain, folder: Path) -> None:
    deployed = deploy_local(_owner(bare_chain), folder)
    addresses = deploy_at(bare_chain.url, folder=folder)
    assert addresses == {name: entry.address for name, entry in deployed.contracts.items()}


@pytest.fixture
def live_chain(bare_chain: local.LocalChain, monkeypatch: pytest.MonkeyPatch) -> local.LocalChain:
    """A chain that does not say it is a local one."""
    monkeypatch.setattr(local, "is_local", lambda _: False)
    return bare_chain


@pytest.fixture
def keystore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The owner's key, encrypted."""
    (tmp_path / "password").write_text("correct horse")
    monkeypatch.setenv(keys.PASSWORD_FILE_VARIABLE, str(tmp_path / "password"))
    path = tmp_path / "owner.json"
    path.write_text(json.dumps(keys.local_account("owner").encrypt("correct horse")))
    return path


def test_a_live_network_takes_no_test_account(live_chain: local.LocalChain, folder: Path) -> None:
    with pytest.raises(Misused, match="never sign on a live network"):
        deploy_at(live_chain.url, folder=folder)


def test_a_live_network_wants_its_parameters(
    live_chain: local.LocalChain, folder: Path, keystore: Path
) -> None:
    with pytest.raises(Misused, match="needs a parameters file"):
        deploy_at(live_chain.url, None, str(keystore), folder=folder)
    assert not folder.exists()


def test_a_live_deployment_keeps_its_manifest_and_resumes(
    live_chain: local.LocalChain, folder: Path, tmp_path: Path, keystore: Path
) -> None:
    parameters = local_parameters(local.chain_time(live_chain.connect()))
    file = tmp_path / "parameters.json"
    file.write_text(parameters.model_dump_json())
    addresses = deploy_at(live_chain.url, str(file), str(keystore), folder=folder)
    assert manifest.require(local.CHAIN_ID, folder).parameters == parameters
    assert deploy_all(_owner(live_chain), parameters, folder).placed == []
    assert deploy_at(live_chain.url, None, str(keystore), folder=folder) == addresses


def test_parameters_that_contradict_the_manifest_are_refused(
    live_chain: local.LocalChain, folder: Path, tmp_path: Path, keystore: Path
) -> None:
    parameters = local_parameters(local.chain_time(live_chain.connect()))
    manifest.write(manifest.Manifest(chain_id=local.CHAIN_ID, parameters=parameters, contracts={}), folder)
    file = tmp_path / "parameters.json"
    file.write_text(parameters.model_copy(update={"protocol_cut_bps": 1}).model_dump_json())
    with pytest.raises(Misused, match="differs from the manifest of chain 31337"):
        deploy_at(live_chain.url, str(file), str(keystore), folder=folder)


def test_no_chain_no_deployment(folder: Path) -> None:
    url = f"http://{local.HOST}:{local.free_port()}"
    with pytest.raises(Refused, match=f"no chain answers at {url}"):
        deploy_at(url, folder=folder)
