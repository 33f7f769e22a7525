// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeRecords} from "../../contracts/libraries/NodeRecords.sol";
import {NodeId} from "../../contracts/types/NodeTypes.sol";
import {NodeRecord, PackedRecord} from "../../contracts/types/NodeRecord.sol";
import {OracleHandler} from "./OracleHandler.sol";
import {HistoryProperty} from "./Property.sol";

/// @notice Adds to the handler what the invariants ask of the model.
contract OracleWitness is OracleHandler {
    /// The newest rounds and the oldest prove exactly what they must; `prove` tries the others.
    function checkProofs() external atItsTime {
        uint256 count = posted.length;
        for (uint256 i; i < count; ++i) {
            if (i == 0 || i + 3 > count) _proves(posted[i], (count + i) % NODES);
        }
    }

    /// Over unvetoed rounds, what is provable of a node reads as one history.
    function checkHistory() external view {
        for (uint256 place; place < HONEST; ++place) {
            PackedRecord earlier;
            for (uint256 i; i < posted.length; ++i) {
                if (posted[i].vetoed) continue;
                PackedRecord record = posted[i].records[place];
                NodeRecords.check(record);
                if (PackedRecord.unwrap(earlier) != 0) NodeRecords.requireFollows(earlier, record);
                earlier = record;
            }
        }
    }

    /// The pushed record is the last accepted one, or nothing if it was vetoed.
    function checkLatest() external view {
        for (uint256 place; place < NODES; ++place) {
            NodeRecord memory shown = oracle.latestRecord(_node(place));
            PackedRecord expected = _stands(place) ? latest[place].record : PackedRecord.wrap(0);
            holds(
                PackedRecord.unwrap(NodeRecords.pack(shown)) == PackedRecord.unwrap(expected), "latest record"
            );
        }
    }

    function checkRounds() external atItsTime {
        uint256 count = posted.length;
        equal(oracle.latestRound(), count == 0 ? 0 : posted[count - 1].round, "latest round");
        equal(oracle.lastVetoedRound(), lastVetoed, "last vetoed round");
        for (uint256 i = count > 6 ? count - 6 : 0; i < count; ++i) {
            Posted storage entry = posted[i];
            (bytes23 root, uint40 postedAt, bool vetoed) = oracle.roundInfo(entry.round);
            bool kept = _kept(entry.round);
            holds(root == (kept ? entry.root : bytes23(0)), "root");
            equal(postedAt, kept ? entry.postedAt : 0, "posted at");
            holds(vetoed == (kept && entry.vetoed), "vetoed");
            holds(oracle.isFinal(entry.round) == _provable(entry), "final");
            equal(
                oracle.roundEndedBy(oracle.windowEndOf(entry.round)), entry.round, "round of its window's end"
            );
        }
    }

    function checkQuorum() external view {
        equal(oracle.quorum(), _needed(), "k");
        address[] memory expected = _reporters();
        holds(keccak256(abi.encode(oracle.reporters())) == keccak256(abi.encode(expected)), "reporters");
    }
}

/// @notice Invariant 6: over unvetoed rounds windows of a node never overlap, counters are monotone, up <= covered,
/// busy <= up * GPUs. No k - 1 signatures and no record outside the leaf set ever pass.
contract TelemetryOracleInvariants is HistoryProperty {
    OracleWitness private witness;

    function setUp() public {
        witness = new OracleWitness();
        _play(address(witness));
        _leaveOut(OracleWitness.checkProofs.selector);
        _leaveOut(OracleWitness.checkRounds.selector);
    }

    function invariant_6_ProofsAreOfFinalUnvetoedRoundsAndReadAsOneHistory() external {
        witness.checkProofs();
        witness.checkHistory();
        witness.checkLatest();
        witness.checkRounds();
        witness.checkQuorum();
    }
}
