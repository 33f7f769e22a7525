"""A report as the chain has it: what was said, by whom, and in which block."""

from __future__ import annotations

from typing import NamedTuple

from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.errors import Refused
from wellhead.reference.quorum import SIGNATURE_BYTES, report_hash, signer_of
from wellhead.reference.record import NodeRecord, unpack_entries

Arguments = tuple[int, bytes, bytes, bytes, bytes]
"""Of TelemetryOracle.report."""


class Posted(NamedTuple):
    """One node's round."""

    round: int
    record: NodeRecord
    signers: list[str]
    transmitter: str
    arguments: Arguments
    block: int


def posted(oracle: TelemetryOracle, round_number: int, node: int) -> Posted:
    """Read out of the transaction that brought it. Raises Refused for a round that was not reported."""
    w3 = oracle.w3
    for event in oracle.events("Reported", round=[round_number]):
        said = event["args"]
        root, evidence, entries = bytes(said["root"]), bytes(said["evidenceHash"]), bytes(said["records"])
        transaction = w3.eth.get_transaction(event["transactionHash"])
        signatures = bytes(oracle.contract.decode_function_input(transaction["input"])[1]["signatures"])
        message_hash = report_hash(
            *(w3.eth.chain_id, oracle.address, oracle.config_digest(), round_number, root, evidence, entries)
        )
        each = (
            signer_of(signatures[at : at + SIGNATURE_BYTES], message_hash)
            for at in range(0, len(signatures), SIGNATURE_BYTES)
        )
        return Posted(
            round_number,
            dict(unpack_entries(entries))[node],
            [signer for signer in each if signer is not None],
            str(said["transmitter"]),
            (round_number, root, evidence, entries, signatures),
            event["blockNumber"],
        )
    raise Refused(f"round {round_number} was not reported")
