"""Networks by name, and what a wrong one says."""

from pathlib import Path

import pytest

from wellhead.chain import local, networks
from wellhead.errors import Misused, Refused


@pytest.fixture(autouse=True)
def networks_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "networks.toml"
    monkeypatch.setenv(networks.NETWORKS_FILE_VARIABLE, str(path))
    return path


def test_local_is_always_known() -> None:
    assert networks.find_network("local").chain_id == local.CHAIN_ID


def test_the_file_adds_networks(networks_file: Path) -> None:
    networks_file.write_text('[sepolia]\nrpc_url = "http://127.0.0.1:1"\nchain_id = 11155111\n')
    assert networks.find_network("sepolia").chain_id == 11155111


def test_an_unknown_network_names_the_known_ones(networks_file: Path) -> None:
    networks_file.write_text('[sepolia]\nrpc_url = "http://127.0.0.1:1"\nchain_id = 11155111\n')
    with pytest.raises(Misused, match="unknown network 'mainnet'; known: local, sepolia"):
        networks.find_network("mainnet")


@pytest.mark.parametrize(
    "content", ["[sepolia]\nrpc_url = 5\n", "not toml", '[sepolia]\nkey = "x"\n', "a = 1"]
)
def test_a_broken_file_is_named(networks_file: Path, content: str) -> None:
    networks_file.write_text(content)
    with pytest.raises(Misused, match=r"networks\.toml"):
        networks.find_network("local")


def test_an_unreachable_chain_is_refused_and_the_remedy_named() -> None:
    unreachable = networks.local_network(local.free_port())
    with pytest.raises(Refused, match="wellhead up"):
        unreachable.connect()


@pytest.mark.parametrize(
    "name", ["http://127.0.0.1:8545@example.invalid/", "http://127.0.0.1.evil.example", "https://x"]
)
def test_another_host_is_not_this_one(name: str) -> None:
    with pytest.raises(Misused, match="unknown network"):
        networks.find_network(name)
