// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ITelemetryOracle} from "../../contracts/interfaces/ITelemetryOracle.sol";
import {NodeRecords} from "../../contracts/libraries/NodeRecords.sol";
import {Quorum} from "../../contracts/libraries/Quorum.sol";
import {NodeRecord, PackedRecord, Reading} from "../../contracts/types/NodeRecord.sol";
import {OracleModel} from "./OracleModel.sol";

/// @notice What reporters, liars, the guardian, the owner and consumers do to an oracle. Every action knows from the
/// model what must come of it, and reverts if anything else does.
contract OracleHandler is OracleModel {
    /* TIME */

    function waitASecond() external atItsTime {
        time += 1;
    }

    function waitAWhile(uint256 duration) external atItsTime {
        time += bound(duration, 1, 2 * DELAY);
    }

    /// To the very second in which a round becomes final, or the one before.
    function waitForFinality(uint256 seed, bool justBefore) external atItsTime {
        if (posted.length == 0) return;
        uint256 finalAt = posted[_recent(seed)].postedAt + DELAY;
        uint256 chosen = justBefore ? finalAt - 1 : finalAt;
        if (chosen > time) time = chosen;
    }

    function waitForYears(uint256 duration) external atItsTime {
        if (time > START + 100 * 365 days) return; // seconds are counted in 32 bits
        time += bound(duration, 365 days, 3 * 365 days);
    }

    /* HONEST REPORTS */

    function reportHonestly(uint256 seed) external atItsTime {
        _reportHonestly(seed, false);
    }

    /// The root holds a record of the last node that cannot be; nothing but proofs may notice.
    function reportABadLeaf(uint256 seed) external atItsTime {
        _reportHonestly(seed, true);
    }

    /* DISHONEST REPORTS */

    /// Whatever k - 1 reporters and any number of strangers put together, it is no report.
    function reportWithoutQuorum(uint256 seed, uint256 way) external atItsTime {
        (uint24 round, bool ended) = _someRound(seed);
        if (!ended) return;
        Draft memory draft = _draft(round, seed, false);
        uint256 k = _needed();
        bytes32 message = _message(draft, oracle.configDigest());
        uint256[] memory signers = _someMembers(seed);
        way = way % 7;
        bytes4 expected;
        if (way == 0) {
            assembly ("memory-safe") {
                mstore(signers, sub(k, 1))
            }
            expected = Quorum.Quorum_WrongSignatureLength.selector;
        } else if (way == 1) {
            signers[seed % (k - 1) + 1] = signers[seed % (k - 1)];
            expected = Quorum.Quorum_SignaturesNotAscending.selector;
        } else if (way == 2) {
            uint256 i = seed % (k - 1);
            (signers[i], signers[i + 1]) = (signers[i + 1], signers[i]);
            expected = Quorum.Quorum_SignaturesNotAscending.selector;
        } else if (way == 3) {
            signers[seed % k] = _outsider();
            _ascend(signers);
            expected = Quorum.Quorum_ForeignSigner.selector;
        } else if (way == 4) {
            message = _message(draft, previousDigest); // of an old configuration, or of another oracle
        } else if (way == 5) {
            draft.root ^= bytes23(uint184(1) << uint184(seed % 184)); // not what was signed
        } else {
            draft.evidence ^= bytes32(1 << seed % 256); // not what was signed
        }
        _refused(draft, _sign(message, signers), expected);
    }

    function reportAStaleRound(uint256 seed) external atItsTime {
        uint24 latest = oracle.latestRound();
        Draft memory draft = _draft(latest, seed, false);
        draft.round = uint24(seed % (uint256(latest) + 1));
        _refusedThoughSigned(draft, ITelemetryOracle.TelemetryOracle_StaleRound.selector);
    }

    function reportAFutureRound(uint256 seed) external atItsTime {
        uint256 first = (time - oracle.genesis()) / WINDOW + 1;
        if (first <= oracle.latestRound()) return;
        Draft memory draft = _draft(uint24(first), seed, false);
        draft.round = uint24(bound(seed, first, type(uint24).max));
        _refusedThoughSigned(draft, ITelemetryOracle.TelemetryOracle_WindowNotEnded.selector);
    }

    /// A quorum signs a pushed record that breaks one of the rules.
    function reportABadRecord(uint256 seed, uint256 way) external atItsTime {
        (uint24 round, bool ended) = _someRound(seed);
        if (!ended) return;
        Draft memory draft = _draft(round, seed, false);
        uint256 place = seed % HONEST;
        NodeRecord memory record = NodeRecords.unpack(draft.records[place]);
        bytes4 expected;
        way = way % 6;
        if (way == 0) {
            record.windowEnd = uint40(bound(seed, 0, record.windowEnd - 1)); // overlaps what was counted
            expected = ITelemetryOracle.TelemetryOracle_WindowMismatch.selector;
        } else if (way == 1) {
            record.upSeconds = record.coveredSeconds + 1;
            expected = NodeRecords.NodeRecords_UpExceedsCovered.selector;
        } else if (way == 2) {
            record.busyGpuSeconds = uint40(uint256(record.upSeconds) * record.gpuCount + 1);
            expected = NodeRecords.NodeRecords_BusyExceedsUp.selector;
        } else if (way == 3) {
            record.gpuCount = 0;
            expected = _standsFor(place, round)
                ? NodeRecords.NodeRecords_GpuCountChanged.selector
                : NodeRecords.NodeRecords_NoGpus.selector;
        } else {
            if (!_standsFor(place, round)) return;
            NodeRecord memory held = NodeRecords.unpack(latest[place].record);
            if (way == 4) {
                if (held.workUnits == 0) return;
                record.workUnits = uint64(seed % held.workUnits);
                expected = NodeRecords.NodeRecords_CounterWentBack.selector;
            } else {
                uint256 elapsed = record.windowEnd - held.windowEnd;
                if (held.coveredSeconds + elapsed + 1 > type(uint32).max) return;
                record.coveredSeconds = uint32(held.coveredSeconds + elapsed + 1);
                expected = NodeRecords.NodeRecords_CoveredExceedsTime.selector;
            }
        }
        draft.records[place] = NodeRecords.pack(record);
        draft.entries = _entries(draft.records, 1 << place);
        _refusedThoughSigned(draft, expected);
    }

    function reportTornOrMisordered(uint256 seed, uint256 way) external atItsTime {
        (uint24 round, bool ended) = _someRound(seed);
        if (!ended) return;
        Draft memory draft = _draft(round, seed, false);
        bytes4 expected;
        if (way % 2 == 0) {
            draft.entries = abi.encodePacked(draft.entries, new bytes(1 + seed % 35));
            expected = ITelemetryOracle.TelemetryOracle_MalformedRecords.selector;
        } else {
            bytes memory entry = _entries(draft.records, 1 << seed % HONEST);
            draft.entries = abi.encodePacked(entry, entry);
            expected = ITelemetryOracle.TelemetryOracle_NodesNotAscending.selector;
        }
        _refusedThoughSigned(draft, expected);
    }

    /* VETO AND RESTORE */

    function veto(uint256 seed) external atItsTime {
        if (posted.length == 0) return;
        Posted storage chosen = posted[_recent(seed)];
        bytes4 expected;
        if (!_kept(chosen.round)) {
            expected = ITelemetryOracle.TelemetryOracle_UnknownRound.selector;
        } else if (chosen.vetoed) {
            expected = ITelemetryOracle.TelemetryOracle_RoundVetoed.selector;
        } else if (time >= chosen.postedAt + DELAY) {
            expected = ITelemetryOracle.TelemetryOracle_RoundFinal.selector;
        }
        vm.prank(GUARDIAN);
        _expect(abi.encodeCall(ITelemetryOracle.veto, (chosen.round, "")), expected);
        if (expected == bytes4(0)) _noteVeto(chosen);
    }

    function vetoWithoutRight(uint256 seed, address nobody) external atItsTime {
        if (posted.length == 0 || nobody == GUARDIAN) return;
        uint24 round = posted[_recent(seed)].round;
        vm.prank(nobody);
        _expect(
            abi.encodeCall(ITelemetryOracle.veto, (round, "")),
            ITelemetryOracle.TelemetryOracle_NotGuardian.selector
        );
    }

    function restore(uint256 seed, uint256 place) external atItsTime {
        if (posted.length == 0) return;
        place = place % HONEST;
        Posted storage chosen = posted[_recent(seed)];
        bytes4 expected;
        if (!_kept(chosen.round)) {
            expected = ITelemetryOracle.TelemetryOracle_UnknownRound.selector;
        } else if (chosen.vetoed) {
            expected = ITelemetryOracle.TelemetryOracle_RoundVetoed.selector;
        } else if (_stands(place) && chosen.round <= latest[place].round) {
            expected = NodeRecords.NodeRecords_WindowsOverlap.selector;
        }
        Reading memory reading = _reading(chosen, place);
        _expect(abi.encodeCall(ITelemetryOracle.restore, (_node(place), reading)), expected);
        if (expected == bytes4(0)) latest[place] = Pushed(chosen.round, reading.record);
    }

    /* PUSHING */

    /// A branch of any round, any time: what is as new already is not written again, the rest follows.
    function push(uint256 seed, uint256 branch) external atItsTime {
        if (posted.length == 0) return;
        Posted storage chosen = posted[_recent(seed)];
        (uint256 first, uint256 end) = _leavesBelow(branch % BRANCHES);
        uint256 news;
        bytes4 expected;
        for (uint256 i = first; i < end; ++i) {
            if (_stands(i) && latest[i].round >= chosen.round) continue;
            ++news;
            if (i != HONEST || !chosen.badLeaf) continue;
            expected = _stands(i)
                ? NodeRecords.NodeRecords_GpuCountChanged.selector
                : NodeRecords.NodeRecords_NoGpus.selector;
        }
        if (!_kept(chosen.round)) expected = ITelemetryOracle.TelemetryOracle_UnknownRound.selector;
        else if (chosen.vetoed) expected = ITelemetryOracle.TelemetryOracle_RoundVetoed.selector;

        vm.record();
        _expect(
            abi.encodeCall(
                ITelemetryOracle.push,
                (
                    chosen.round,
                    _entries(chosen.records, (1 << end) - (1 << first)),
                    _pathOf(chosen.records, branch % BRANCHES)
                )
            ),
            expected
        );
        if (expected != bytes4(0)) return;
        (, bytes32[] memory writes) = vm.accesses(address(oracle));
        equal(writes.length, news, "no record is written twice");
        for (uint256 i = first; i < end; ++i) {
            if (_stands(i) && latest[i].round >= chosen.round) continue;
            latest[i] = Pushed(chosen.round, chosen.records[i]);
        }
    }

    /// Leaves that are no whole branch, another record or node among them, another path: never pushed.
    function pushAForgery(uint256 seed, uint256 branch, uint256 flaw) external atItsTime {
        if (posted.length == 0) return;
        Posted storage chosen = posted[_recent(seed)];
        if (!_kept(chosen.round) || chosen.vetoed) return;
        branch = branch % BRANCHES;
        (uint256 first, uint256 end) = _leavesBelow(branch);
        bytes memory entries = _entries(chosen.records, (1 << end) - (1 << first));
        bytes32[] memory proof = _pathOf(chosen.records, branch);
        uint256 way = seed % 4;
        if (way == 0) {
            entries[flaw % entries.length] ^= bytes1(uint8(1 << seed % 8));
        } else if (way == 1) {
            if (first + 1 == end) return;
            uint256 left = flaw % 2 == 0 ? end - 1 : first;
            entries = _entries(chosen.records, (1 << end) - (1 << first) - (1 << left));
        } else if (way == 2) {
            if (proof.length == 0) return;
            proof[flaw % proof.length] ^= bytes32(1 << seed % 256);
        } else {
            if (proof.length == 0) return;
            assembly ("memory-safe") {
                mstore(proof, sub(mload(proof), 1))
            }
        }
        _expect(
            abi.encodeCall(ITelemetryOracle.push, (chosen.round, entries, proof)),
            ITelemetryOracle.TelemetryOracle_ForgedBranch.selector
        );
    }

    /* PROOFS */

    function prove(uint256 seed, uint256 place) external atItsTime {
        if (posted.length == 0) return;
        Posted storage chosen = posted[_recent(seed)];
        _proves(chosen, place % NODES);
    }

    /// Any change to a provable record, its path or its node unproves it.
    function proveAForgery(uint256 seed, uint256 place, uint256 flaw) external atItsTime {
        if (posted.length == 0) return;
        place = place % NODES;
        Posted storage chosen = posted[_recent(seed)];
        if (!_provable(chosen)) return;
        Reading memory reading = _reading(chosen, place);
        bytes32 bit = bytes32(1 << flaw % 256);
        uint256 way = flaw % 3;
        if (way == 0) reading.record = PackedRecord.wrap(PackedRecord.unwrap(reading.record) ^ bit);
        else if (way == 1) reading.proof[seed % reading.proof.length] ^= bit;
        else place = (place + 1 + seed % (NODES - 1)) % NODES;
        _expect(
            abi.encodeCall(ITelemetryOracle.provenRecord, (_node(place), reading)),
            ITelemetryOracle.TelemetryOracle_ForgedProof.selector
        );
    }

    /* CONFIGURATION */

    function rotateReporters(uint256 seed) external atItsTime {
        previousDigest = oracle.configDigest();
        _chooseMembers(seed);
        address[] memory chosen = _reporters();
        vm.prank(OWNER);
        oracle.setReporters(chosen, faulty);
        holds(oracle.configDigest() != previousDigest, "digest changes");
    }

    function rotateWithoutRight(address nobody) external atItsTime {
        if (nobody == OWNER) return;
        bytes32 before = oracle.configDigest();
        bytes memory call = abi.encodeCall(ITelemetryOracle.setReporters, (_reporters(), faulty));
        vm.prank(nobody);
        (bool done,) = address(oracle).call(call);
        holds(!done && oracle.configDigest() == before, "a stranger set the reporters");
    }
}
