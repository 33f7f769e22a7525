// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeId} from "../types/NodeTypes.sol";
import {NodeRecord, PackedRecord, Reading} from "../types/NodeRecord.sol";

/// @title What the nodes did, as k of n reporters measured it.
/// @notice Round r covers the window [genesis + (r - 1) * windowSeconds, genesis + r * windowSeconds). A report
/// names the Merkle root over all nodes' records at the end of that window; records are cumulative, so rounds may
/// be left out. Money uses `provenRecord` only: a record proved against a round that is final (its delay has
/// passed) and unvetoed. Pushed records are for display and for price curves.
///
/// Assumptions: at most f reporters lie; the guardian answers within the delay; consumers prove rounds before
/// the ring overwrites them, `ringRounds` rounds later.
interface ITelemetryOracle {
    /* EVENTS */

    /// @param evidenceHash See `report`.
    /// @param records The pushed records, 36 bytes each: node id (4), packed record (32).
    event Reported(
        uint24 indexed round, bytes23 root, bytes32 evidenceHash, address indexed transmitter, bytes records
    );
    /// @param records All that were proven, as above; of them those took their nodes' slots that were newer.
    event RecordsPushed(uint24 indexed round, address indexed transmitter, bytes records);
    event RoundVetoed(uint24 indexed round, address indexed guardian, string reason);
    event RecordRestored(
        NodeId indexed node, uint24 indexed round, PackedRecord record, address indexed caller
    );
    event ReportersSet(uint16 indexed configCount, bytes32 configDigest, uint8 quorum, address[] reporters);
    event GuardianSet(address indexed previousGuardian, address indexed newGuardian);

    /* ERRORS */

    /// @notice A constructor argument, named in ASCII, lies outside [lowest, highest].
    error TelemetryOracle_OutOfBounds(bytes32 parameter, uint256 given, uint256 lowest, uint256 highest);
    error TelemetryOracle_ZeroGuardian();
    error TelemetryOracle_NotGuardian(address caller);
    /// @notice Rounds only rise; `round` is not above `latestRound`.
    error TelemetryOracle_StaleRound(uint24 round, uint24 latestRound);
    /// @notice The window of `round` runs until `windowEnd`; report it then.
    error TelemetryOracle_WindowNotEnded(uint24 round, uint256 windowEnd, uint256 timestamp);
    /// @notice Pushed records must be whole entries of 36 bytes; a push needs at least one.
    error TelemetryOracle_MalformedRecords(uint256 length);
    /// @notice Pushed node ids must start above 0 and strictly ascend.
    error TelemetryOracle_NodesNotAscending(NodeId previous, NodeId node);
    /// @notice The record must end where the round's window ends.
    error TelemetryOracle_WindowMismatch(NodeId node, uint256 recordEnd, uint256 windowEnd);
    /// @notice No report of `round` is kept: it never came, or the ring has overwritten it.
    error TelemetryOracle_UnknownRound(uint24 round);
    error TelemetryOracle_RoundVetoed(uint24 round);
    /// @notice The round becomes final at `finalAt`, unless it is vetoed before.
    error TelemetryOracle_RoundNotFinal(uint24 round, uint256 finalAt);
    /// @notice Too late for a veto: the round became final at `finalAt`.
    error TelemetryOracle_RoundFinal(uint24 round, uint256 finalAt);
    /// @notice The proof leads from this node's record to `computedRoot`, which is not the round's.
    error TelemetryOracle_ForgedProof(uint24 round, NodeId node, bytes23 computedRoot);
    /// @notice Records and proof lead to `computedRoot`, which is not the round's: a record is not of the round, or
    /// the records are no whole branch of its tree.
    error TelemetryOracle_ForgedBranch(uint24 round, bytes23 computedRoot);

    /* REPORTING */

    /// @notice Takes a report that k reporters signed. Anyone may transmit it.
    /// @dev Signed is the EIP-712 message `Report(bytes32 configDigest,uint24 round,bytes23 root,bytes32
    /// evidenceHash,bytes32 recordsHash)` of the domain ("Wellhead TelemetryOracle", "1"); recordsHash =
    /// keccak256(records).
    /// @param round Above `latestRound`; its window must have ended.
    /// @param root First 23 bytes of the Merkle root over all nodes' records; see RecordTree.
    /// @param evidenceHash Over what the reporters saw: keccak256 of, for every reporter whose observations counted,
    /// ascending, its address (20 bytes), the keccak256 of its raw evidence (32) and its commitment (32), the hash of the
    /// observations that it revealed. Whoever asks each of them for both can so check all of it against the chain, and
    /// how far each was from what is reported (see IReporterScores). Not judged here.
    /// @param records Records to push, 36 bytes each: node id (4), packed record (32); ids strictly ascending.
    /// Each must end with the window and follow the pushed record that it replaces (see NodeRecords), unless
    /// that one's round was vetoed. They are not proved against `root`: reporters compare before they sign.
    /// Reporters owe one history per node: whatever `latestRecord` says, a record must follow the node's record in
    /// the newest unvetoed round, of which they keep all. The contract has forgotten it if a veto came between.
    /// @param signatures k EIP-2098 compact signatures, by ascending signer. Errors: see Quorum.
    function report(
        uint24 round,
        bytes23 root,
        bytes32 evidenceHash,
        bytes calldata records,
        bytes calldata signatures
    ) external;

    /// @notice Pushes further records of an unvetoed round, final or not, proved against its root all at once. Anyone
    /// may: no signature is needed, so what is too much for one transaction is split without asking reporters.
    /// @dev A node keeps a pushed record that stands and is as new: so no record is pushed twice, nobody makes a
    /// push fail by pushing a part of it before, and one that comes late does no harm. Otherwise the rules of `report`.
    /// @param records As in `report`; together all leaves below one branch of the tree: 2^h leaves, the first one's
    /// place a multiple of 2^h, or as many as there are from such a place to the end.
    /// @param proof Merkle path from that branch to the root; empty for the whole tree.
    function push(uint24 round, bytes calldata records, bytes32[] calldata proof) external;

    /// @notice Declares a reported round void. Guardian only, and only before the round is final.
    function veto(uint24 round, string calldata reason) external;

    /// @notice Puts a proven record of an unvetoed round, final or not, in the place of the pushed one. Anyone may.
    /// Where the pushed record's round was vetoed, any proven record may take its place; otherwise only one that
    /// follows it. So the pushed records converge on the last good ones.
    function restore(NodeId node, Reading calldata reading) external;

    /* ADMINISTRATION */

    /// @notice Replaces the reporters; signatures given under the old configuration die with it. Owner only.
    /// @param reporters Nonzero, strictly ascending; at least 3 * faulty + 1 and at most 31. Errors: see Quorum.
    /// @param faulty Reporters that may lie, at least 1; 2 * faulty + 1 signatures will be needed.
    function setReporters(address[] calldata reporters, uint8 faulty) external;

    /// @notice Names who may veto; not zero. Owner only.
    function setGuardian(address guardian) external;

    /* RECORDS */

    /// @notice The record of `node` in a round that is final and unvetoed. Reverts otherwise: money may depend on it.
    /// @dev Also reverts if the record is impossible by itself or does not end with the round's window.
    function provenRecord(NodeId node, Reading calldata reading) external view returns (NodeRecord memory);

    /// @notice The pushed record: the newest, not final, for display and the price curve alone. Zero if none was pushed,
    /// if its round was vetoed and nothing has been restored since, or if the ring has forgotten its round and a
    /// later one was vetoed. After a veto it may be any older record that somebody restored.
    function latestRecord(NodeId node) external view returns (NodeRecord memory);

    /* ROUNDS */

    /// @notice Whether money may depend on `round` now: known, unvetoed, its delay passed.
    function isFinal(uint24 round) external view returns (bool);
    /// @notice What is kept of `round`; zeros if it is unknown.
    function roundInfo(uint24 round) external view returns (bytes23 root, uint40 postedAt, bool vetoed);
    /// @notice The newest reported round, vetoed or not; 0 before the first.
    function latestRound() external view returns (uint24);
    /// @notice The highest round that was ever vetoed; 0 if none.
    function lastVetoedRound() external view returns (uint24);
    /// @notice First second after the window of `round`: genesis + round * windowSeconds.
    function windowEndOf(uint24 round) external view returns (uint40);
    /// @notice The last round whose window has ended at `timestamp`; 0 if none.
    function roundEndedBy(uint40 timestamp) external view returns (uint24);

    /* CONFIGURATION */

    /// @notice Reverts unless `signatures` are the quorum of the present reporters for `messageHash`, given as in
    /// `report`: for contracts that let reporters decide something else. They put `configDigest` and an EIP-712
    /// domain of their own under what is signed. Errors: see Quorum.
    function requireQuorum(bytes32 messageHash, bytes calldata signatures) external view;

    function genesis() external view returns (uint40);
    function windowSeconds() external view returns (uint32);
    /// @notice Seconds between a report and its round's being final, in which the guardian may veto.
    function finalityDelaySeconds() external view returns (uint32);
    /// @notice Rounds kept: round r is overwritten by a report of r + ringRounds (or + a multiple of it).
    function ringRounds() external view returns (uint24);
    /// @notice Ascending.
    function reporters() external view returns (address[] memory);
    /// @notice Signatures that a report needs: k = 2f + 1.
    function quorum() external view returns (uint8);
    /// @notice Configurations so far.
    function configCount() external view returns (uint16);
    /// @notice Names the configuration under every signature: chain, contract, configCount, k, f, reporters.
    function configDigest() external view returns (bytes32);
    function guardian() external view returns (address);
}
