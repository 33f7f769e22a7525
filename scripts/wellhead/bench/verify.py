"""The check of one voucher's signature, in a process that does nothing else.

`python -m wellhead.bench.verify` prints one JSON object.
"""

from __future__ import annotations

import json
import time
from statistics import median

from eth_account import Account
from eth_typing import Hash32

from wellhead.chain import local
from wellhead.deploy.canonical import SETTLEMENT
from wellhead.errors import Refused
from wellhead.gateway.channels.voucher import VoucherDomain
from wellhead.reference.channel import ChannelConfig, settlement_domain, voucher_digest


def verify_us(batches: int = 25, rounds: int = 200) -> float:
    """Microseconds of one core for the check of one voucher's signature, its channel known: the median of batches, so
    that what else the machine does now and then decides nothing."""
    account = Account.create()
    somebody = account.address
    config = ChannelConfig(somebody, somebody, somebody, somebody, somebody, 86_400, bytes(32))
    domain = VoucherDomain(local.CHAIN_ID, SETTLEMENT.address)
    separator = settlement_domain(local.CHAIN_ID, SETTLEMENT.address)
    digests = [voucher_digest(separator, domain.channel_id(config), ceiling) for ceiling in range(rounds)]
    vouchers = [
        (ceiling, bytes(account.unsafe_sign_hash(Hash32(digest)).signature))
        for ceiling, digest in enumerate(digests)
    ]
    expected = bytes.fromhex(account.address[2:])
    seconds = []
    for _ in range(batches):
        begun = time.process_time()
        for ceiling, signature in vouchers:
            if domain.signer(domain.channel_id(config), ceiling, signature) != expected:
                raise Refused("a voucher's signer was not found")
        seconds.append(time.process_time() - begun)
    return 1e6 * median(seconds) / rounds


if __name__ == "__main__":
    print(json.dumps({"verify_us": round(verify_us(), 1)}))
