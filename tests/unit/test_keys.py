"""Who signs: keystores everywhere, public test accounts on local chains only."""

import json
from pathlib import Path

import pytest
from eth_account import Account

from wellhead.chain import keys
from wellhead.chain.local import ACCOUNTS
from wellhead.errors import Misused, Refused


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(Account.encrypt(b"\x07" * 32, "right", kdf="pbkdf2", iterations=2)))
    return path


def _password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    file = tmp_path / "password"
    file.write_text(password + "\n")
    monkeypatch.setenv(keys.PASSWORD_FILE_VARIABLE, str(file))


def test_a_keystore_opens_with_its_password(
    keystore: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _password(tmp_path, monkeypatch, "right")
    opened = keys.load_signer(str(keystore), local_chain=False)
    assert opened.address == Account.from_key(b"\x07" * 32).address


def test_a_wrong_password_is_refused(keystore: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _password(tmp_path, monkeypatch, "wrong")
    with pytest.raises(Refused, match="is the password right"):
        keys.load_signer(str(keystore), local_chain=False)


def test_a_missing_password_says_how_to_give_one(keystore: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(keys.PASSWORD_FILE_VARIABLE, raising=False)
    with pytest.raises(Misused, match=keys.PASSWORD_FILE_VARIABLE):
        keys.load_signer(str(keystore), local_chain=False)


def test_a_missing_password_file_is_named(keystore: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.PASSWORD_FILE_VARIABLE, "no-such-file")
    with pytest.raises(Misused, match="no-such-file"):
        keys.load_signer(str(keystore), local_chain=False)


def test_public_accounts_never_sign_on_a_live_network() -> None:
    with pytest.raises(Misused, match="never sign on a live network"):
        keys.load_signer("operator", local_chain=False)


def test_unknown_roles_name_the_known_ones() -> None:
    with pytest.raises(Misused, match="attestor-4"):
        keys.load_signer("nobody", local_chain=True)


def test_a_file_that_is_no_keystore_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.json"
    path.write_text('{"private_key": "0x01"}')
    with pytest.raises(Misused, match="not an encrypted keystore"):
        keys.load_signer(str(path), local_chain=True)


def test_roles_are_the_local_chains_accounts_in_order() -> None:
    assert keys.local_account("owner").address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert len(set(keys.LOCAL_ROLES)) == ACCOUNTS


@pytest.mark.parametrize(
    "content",
    [
        b"5",
        b"[]",
        b'{"crypto": {}}',
        b'{"crypto": 5, "version": 3}',
        b'{"crypto": {"kdf": "magic"}, "version": 3}',
        b'{"crypto": {}, "version": 9}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_odd_keystores_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    _password(tmp_path, monkeypatch, "right")
    path = tmp_path / "odd.json"
    path.write_bytes(content)
    with pytest.raises((Misused, Refused), match=r"odd\.json"):
        keys.load_signer(str(path), local_chain=False)


def test_a_password_file_that_is_no_text_is_named(keystore: Path, tmp_path: Path, monkeypatch) -> None:
    _password(tmp_path, monkeypatch, "right")
    (tmp_path / "password").write_bytes(b"\xff\xfe")
    with pytest.raises(Misused, match="password"):
        keys.load_signer(str(keystore), local_chain=False)


@pytest.mark.parametrize("prefix", ["", "0x"])
def test_a_private_key_is_neither_taken_nor_shown(prefix: str) -> None:
    with pytest.raises(Misused, match="private key") as refused:
        keys.load_signer(prefix + "ab" * 32, local_chain=True)
    assert "abab" not in str(refused.value)
