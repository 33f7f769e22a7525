"""Keys: encrypted keystore files on any network, the public test accounts on local chains only."""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
from functools import cache
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from wellhead.chain.local import MNEMONIC
from wellhead.errors import Misused, Refused

PASSWORD_FILE_VARIABLE = "WELLHEAD_PASSWORD_FILE"

_PRIVATE_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")
# The accounts of a local chain, by what they do in the tour and the tests.
LOCAL_ROLES = (
    *("owner", "guardian", "enforcer", "treasury", "operator", "second-operator"),
    *("holder", "second-holder", "customer", "facilitator"),
    *(f"reporter-{number}" for number in range(5)),
    *(f"attestor-{number}" for number in range(5)),
    "authorizer",
    *(f"transmitter-{number}" for number in range(5)),
    # More than local deployments have: for sets of seven.
    *("reporter-5", "reporter-6", "transmitter-5", "transmitter-6"),
)


@cache
def local_account(role: str) -> LocalAccount:
    """A public test account by role. Raises Misused when the role is unknown."""
    if role not in LOCAL_ROLES:
        raise Misused(f"unknown local account {role!r}; known: {', '.join(LOCAL_ROLES)}")
    Account.enable_unaudited_hdwallet_features()
    account: LocalAccount = Account.from_mnemonic(
        MNEMONIC, account_path=f"m/44'/60'/0'/0/{LOCAL_ROLES.index(role)}"
    )
    return account


def load_signer(reference: str, *, local_chain: bool) -> LocalAccount:
    """The account that `reference` names: a keystore file, or on a local chain a role.

    The password comes from the file that $WELLHEAD_PASSWORD_FILE names, or is asked for at a terminal.
    Raises Misused (no such file, no password to be had, a role on a live network), Refused (wrong password).
    """
    if _PRIVATE_KEY.fullmatch(reference):
        raise Misused(
            "that looks like a private key: keys come from encrypted keystores, never from an argument"
        )
    path = Path(reference).expanduser()
    if path.is_file():
        return _open_keystore(path)
    if local_chain:
        return local_account(reference)
    hint = (
        " (local test accounts are public and never sign on a live network)"
        if reference in LOCAL_ROLES
        else ""
    )
    raise Misused(f"no keystore file {reference!r}{hint}; give the path of an encrypted keystore JSON")


def _open_keystore(path: Path) -> LocalAccount:
    try:
        keystore = json.loads(path.read_text())
        if not isinstance(keystore, dict) or not {"crypto", "Crypto"} & keystore.keys():
            raise ValueError("no 'crypto' section")
    except (ValueError, OSError, RecursionError) as error:
        raise Misused(
            f"{path} is not an encrypted keystore ({error}); `cast wallet new` or geth makes one"
        ) from None
    password = _password(path)
    try:
        account: LocalAccount = Account.from_key(Account.decrypt(keystore, password))
    except (KeyError, TypeError, NotImplementedError) as error:
        raise Misused(f"{path} is not a keystore of version 3: {error!r}") from None
    except ValueError as error:
        raise Refused(f"keystore {path} does not open: {error}; is the password right?") from None
    return account


def _password(path: Path) -> str:
    file = os.environ.get(PASSWORD_FILE_VARIABLE)
    if file:
        try:
            return Path(file).read_text().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Misused(f"${PASSWORD_FILE_VARIABLE} names {file}, which cannot be read: {error}") from None
    if not sys.stdin.isatty():
        raise Misused(
            f"keystore {path} needs a password: set ${PASSWORD_FILE_VARIABLE} to a file that holds it, "
            "or run in a terminal"
        )
    return getpass.getpass(f"password of {path.name}: ")
