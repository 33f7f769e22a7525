// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "solady/src/auth/Ownable.sol";
import {EIP712} from "solady/src/utils/EIP712.sol";
import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";

import {ITelemetryOracle} from "../interfaces/ITelemetryOracle.sol";
import {NodeRecords} from "../libraries/NodeRecords.sol";
import {Quorum} from "../libraries/Quorum.sol";
import {ENTRY_BYTES, RecordTree} from "../libraries/RecordTree.sol";
import {NodeRecord, PackedRecord, Reading} from "../types/NodeRecord.sol";
import {NodeId} from "../types/NodeTypes.sol";

/// @notice See ITelemetryOracle. A report writes one slot for the state, one of the ring, one per pushed record.
contract TelemetryOracle is ITelemetryOracle, EIP712, Ownable {
    /* CONSTANTS */

    uint256 private constant MIN_WINDOW_SECONDS = 60;
    uint256 private constant MAX_WINDOW_SECONDS = 12 hours; // 2^24 rounds then end before 2^40 seconds
    uint256 private constant MIN_DELAY_SECONDS = 60;
    uint256 private constant MAX_DELAY_SECONDS = 7 days;
    uint256 private constant MIN_RING_ROUNDS = 64;
    uint256 private constant MAX_RING_ROUNDS = 65_536;
    uint256 private constant GENESIS_TOLERANCE_SECONDS = 7 days;

    bytes32 private constant REPORT_TYPEHASH = keccak256(
        "Report(bytes32 configDigest,uint24 round,bytes23 root,bytes32 evidenceHash,bytes32 recordsHash)"
    );

    /* IMMUTABLES */

    /// @inheritdoc ITelemetryOracle
    uint40 public immutable genesis;
    /// @inheritdoc ITelemetryOracle
    uint32 public immutable windowSeconds;
    /// @inheritdoc ITelemetryOracle
    uint32 public immutable finalityDelaySeconds;
    /// @inheritdoc ITelemetryOracle
    uint24 public immutable ringRounds;

    /* STORAGE */

    /// @dev One slot. `reporters` is the code blob of the reporters and the configuration's digest; see Quorum.
    struct State {
        address reporters;
        uint24 latestRound;
        uint24 lastVetoedRound;
        uint16 configCount;
        uint8 quorum;
    }

    /// @dev One slot. `number` tells which round it holds of all that share the slot.
    struct Round {
        bytes23 root;
        uint40 postedAt;
        uint24 number;
        bool vetoed;
    }

    State private _state;
    /// @dev Arrays of every index there can be: a slot is found without hashing, and none is ever out of bounds.
    Round[MAX_RING_ROUNDS] private _rounds;
    PackedRecord[2 ** 32] private _latest;

    /// @inheritdoc ITelemetryOracle
    address public guardian;

    /* CONSTRUCTOR */

    /// @param genesis_ Start of round 1's window, within 7 days of now.
    /// @param windowSeconds_ Length of a window, 60 s to 12 h.
    /// @param finalityDelaySeconds_ Time for a veto, 60 s to 7 days, at most half of what the ring spans.
    /// @param ringRounds_ Rounds kept, 64 to 65,536.
    /// @param owner_ Names reporters and guardian; a timelock on live networks.
    constructor(
        uint40 genesis_,
        uint32 windowSeconds_,
        uint32 finalityDelaySeconds_,
        uint24 ringRounds_,
        address owner_,
        address guardian_,
        address[] memory reporters_,
        uint8 faulty
    ) {
        // Check: every parameter within its bounds; a round must be final long before the ring overwrites it.
        _requireBounds("windowSeconds", windowSeconds_, MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS);
        _requireBounds("ringRounds", ringRounds_, MIN_RING_ROUNDS, MAX_RING_ROUNDS);
        uint256 halfRingSeconds = uint256(windowSeconds_) * ringRounds_ / 2;
        uint256 maxDelaySeconds = FixedPointMathLib.min(halfRingSeconds, MAX_DELAY_SECONDS);
        _requireBounds("finalityDelaySeconds", finalityDelaySeconds_, MIN_DELAY_SECONDS, maxDelaySeconds);
        _requireBounds(
            "genesis",
            genesis_,
            FixedPointMathLib.zeroFloorSub(block.timestamp, GENESIS_TOLERANCE_SECONDS),
            block.timestamp + GENESIS_TOLERANCE_SECONDS
        );
        require(owner_ != address(0), NewOwnerIsZeroAddress());

        // Effect: set the schedule and the roles.
        genesis = genesis_;
        windowSeconds = windowSeconds_;
        finalityDelaySeconds = finalityDelaySeconds_;
        ringRounds = ringRounds_;
        _initializeOwner(owner_);
        _setGuardian(guardian_);
        _setReporters(reporters_, faulty);
    }

    /* REPORTING */

    /// @inheritdoc ITelemetryOracle
    function report(
        uint24 round,
        bytes23 root,
        bytes32 evidenceHash,
        bytes calldata records,
        bytes calldata signatures
    ) external {
        State memory current = _state;

        // Check: a later round than any before, whose window has ended, signed by a quorum.
        require(round > current.latestRound, TelemetryOracle_StaleRound(round, current.latestRound));
        uint40 windowEnd = windowEndOf(round);
        require(
            windowEnd <= block.timestamp, TelemetryOracle_WindowNotEnded(round, windowEnd, block.timestamp)
        );
        bytes32 digest = Quorum.digestAt(current.reporters);
        bytes32 message = _hashTypedData(
            keccak256(abi.encode(REPORT_TYPEHASH, digest, round, root, evidenceHash, keccak256(records)))
        );
        Quorum.verify(current.reporters, current.quorum, message, signatures);

        // Effect: the round takes its slot of the ring; pushed records replace their nodes' last ones.
        _state.latestRound = round;
        // Safe cast: 2^40 seconds end in the year 36,812.
        Round storage slot = _rounds[round % ringRounds];
        (slot.root, slot.postedAt, slot.number, slot.vetoed) = (root, uint40(block.timestamp), round, false);
        _push(records, windowEnd, windowEndOf(current.lastVetoedRound));
        emit Reported(round, root, evidenceHash, msg.sender, records);
    }

    /// @inheritdoc ITelemetryOracle
    function push(uint24 round, bytes calldata records, bytes32[] calldata proof) external {
        // Check: all the leaves below one branch of an unvetoed round's tree.
        require(records.length >= ENTRY_BYTES, TelemetryOracle_MalformedRecords(records.length));
        Round memory posted = _unvetoed(round);
        bytes23 computed = RecordTree.rootFrom(RecordTree.branchOf(records), proof);
        require(computed == posted.root, TelemetryOracle_ForgedBranch(round, computed));

        // Effect: they replace their nodes' last records where those are older.
        _push(records, windowEndOf(round), windowEndOf(_state.lastVetoedRound));
        emit RecordsPushed(round, msg.sender, records);
    }

    /// @inheritdoc ITelemetryOracle
    function veto(uint24 round, string calldata reason) external {
        // Check: the guardian, in time, once.
        require(msg.sender == guardian, TelemetryOracle_NotGuardian(msg.sender));
        Round memory posted = _unvetoed(round);
        uint256 finalAt = _finalAt(posted);
        require(block.timestamp < finalAt, TelemetryOracle_RoundFinal(round, finalAt));

        // Effect: mark the round, and how far up marks may be found.
        _rounds[round % ringRounds].vetoed = true;
        if (round > _state.lastVetoedRound) _state.lastVetoedRound = round;
        emit RoundVetoed(round, msg.sender, reason);
    }

    /// @inheritdoc ITelemetryOracle
    function restore(NodeId node, Reading calldata reading) external {
        // Check: a proven and possible record, in place of a vetoed one, of none, or of one that it follows.
        _requireProven(node, reading, _unvetoed(reading.round));
        PackedRecord held = _latest[NodeId.unwrap(node)];
        if (_stands(held, windowEndOf(_state.lastVetoedRound))) {
            NodeRecords.requireFollows(held, reading.record);
        }

        // Effect: replace the pushed record.
        _latest[NodeId.unwrap(node)] = reading.record;
        emit RecordRestored(node, reading.round, reading.record, msg.sender);
    }

    /* ADMINISTRATION */

    /// @inheritdoc ITelemetryOracle
    function setReporters(address[] calldata reporters_, uint8 faulty) external onlyOwner {
        _setReporters(reporters_, faulty);
    }

    /// @inheritdoc ITelemetryOracle
    function setGuardian(address guardian_) external onlyOwner {
        _setGuardian(guardian_);
    }

    /* RECORDS */

    /// @inheritdoc ITelemetryOracle
    function provenRecord(NodeId node, Reading calldata reading) external view returns (NodeRecord memory) {
        Round memory posted = _unvetoed(reading.round);
        uint256 finalAt = _finalAt(posted);
        require(finalAt <= block.timestamp, TelemetryOracle_RoundNotFinal(reading.round, finalAt));
        _requireProven(node, reading, posted);
        return NodeRecords.unpack(reading.record);
    }

    /// @inheritdoc ITelemetryOracle
    function latestRecord(NodeId node) external view returns (NodeRecord memory record) {
        PackedRecord held = _latest[NodeId.unwrap(node)];
        if (_stands(held, windowEndOf(_state.lastVetoedRound))) record = NodeRecords.unpack(held);
    }

    /* ROUNDS */

    /// @inheritdoc ITelemetryOracle
    function isFinal(uint24 round) external view returns (bool) {
        Round memory posted = _rounds[round % ringRounds];
        return round != 0 && posted.number == round && !posted.vetoed && _finalAt(posted) <= block.timestamp;
    }

    /// @inheritdoc ITelemetryOracle
    function roundInfo(uint24 round) external view returns (bytes23 root, uint40 postedAt, bool vetoed) {
        Round memory posted = _rounds[round % ringRounds];
        if (posted.number == round) return (posted.root, posted.postedAt, posted.vetoed);
    }

    /// @inheritdoc ITelemetryOracle
    function latestRound() external view returns (uint24) {
        return _state.latestRound;
    }

    /// @inheritdoc ITelemetryOracle
    function lastVetoedRound() external view returns (uint24) {
        return _state.lastVetoedRound;
    }

    /// @inheritdoc ITelemetryOracle
    function windowEndOf(uint24 round) public view returns (uint40) {
        // Unchecked: 2^24 rounds of at most 43,200 s are below 2^39.4, and genesis was near the clock.
        unchecked {
            return genesis + uint40(round) * windowSeconds;
        }
    }

    /// @inheritdoc ITelemetryOracle
    function roundEndedBy(uint40 timestamp) external view returns (uint24) {
        if (timestamp < genesis) return 0;
        uint256 round = (timestamp - genesis) / windowSeconds;
        // Safe cast: rounds end at 2^24 - 1.
        return round > type(uint24).max ? type(uint24).max : uint24(round);
    }

    /* CONFIGURATION */

    /// @inheritdoc ITelemetryOracle
    function reporters() external view returns (address[] memory) {
        return Quorum.signersAt(_state.reporters);
    }

    /// @inheritdoc ITelemetryOracle
    function quorum() external view returns (uint8) {
        return _state.quorum;
    }

    /// @inheritdoc ITelemetryOracle
    function configCount() external view returns (uint16) {
        return _state.configCount;
    }

    /// @inheritdoc ITelemetryOracle
    function requireQuorum(bytes32 messageHash, bytes calldata signatures) external view {
        Quorum.verify(_state.reporters, _state.quorum, messageHash, signatures);
    }

    /// @inheritdoc ITelemetryOracle
    function configDigest() external view returns (bytes32) {
        return Quorum.digestAt(_state.reporters);
    }

    /* INTERNAL */

    function _setReporters(address[] memory reporters_, uint8 faulty) private {
        uint16 count = _state.configCount + 1;
        bytes32 digest = Quorum.digestOf(count, faulty, reporters_);

        // Effect: a new blob; the old digest dies, and every signature over it.
        (address blob, uint8 k) = Quorum.write(reporters_, faulty, digest);
        (_state.reporters, _state.quorum, _state.configCount) = (blob, k, count);
        emit ReportersSet(count, digest, k, reporters_);
    }

    function _setGuardian(address guardian_) private {
        require(guardian_ != address(0), TelemetryOracle_ZeroGuardian());
        emit GuardianSet(guardian, guardian_);
        guardian = guardian_;
    }

    /// @dev Writes each entry of `records` to its node's slot: it must follow what stands there, or be possible where
    /// nothing stands.
    function _push(bytes calldata records, uint40 windowEnd, uint40 lastVetoedEnd) private {
        require(records.length % ENTRY_BYTES == 0, TelemetryOracle_MalformedRecords(records.length));
        uint32 previous = 0;
        // Unchecked: offsets stay below the calldata's length.
        unchecked {
            for (uint256 offset; offset < records.length; offset += ENTRY_BYTES) {
                (uint32 node, PackedRecord record) = _entryAt(records, offset);

                // Check: nodes ascend from 1; the record belongs to this round and follows the one it replaces.
                if (node <= previous) {
                    revert TelemetryOracle_NodesNotAscending(NodeId.wrap(previous), NodeId.wrap(node));
                }
                uint40 recordEnd = NodeRecords.windowEndOf(record);
                if (recordEnd != windowEnd) {
                    revert TelemetryOracle_WindowMismatch(NodeId.wrap(node), recordEnd, windowEnd);
                }
                previous = node;
                PackedRecord held = _latest[node];
                if (_stands(held, lastVetoedEnd)) {
                    if (NodeRecords.windowEndOf(held) >= windowEnd) continue; // pushed before, or newer
                    NodeRecords.requireFollows(held, record);
                } else {
                    NodeRecords.check(record);
                }

                // Effect: one slot per node.
                _latest[node] = record;
            }
        }
    }

    /// @dev Whether there is a pushed record of an unvetoed round. No need to ask the ring above the last vetoed.
    function _stands(PackedRecord held, uint40 lastVetoedEnd) private view returns (bool) {
        return NodeRecords.windowEndOf(held) > lastVetoedEnd || _standsInRing(held);
    }

    /// @dev Whether there is a pushed record and its round is known and unvetoed. What the ring has forgotten may
    /// have been vetoed and does not stand: else a vetoed record could keep its node from being pushed for ever.
    function _standsInRing(PackedRecord held) private view returns (bool) {
        uint40 heldEnd = NodeRecords.windowEndOf(held);
        if (heldEnd == 0) return false;
        // Unchecked: the record was pushed with the end of a round's window, so this is that round.
        unchecked {
            uint256 number = (heldEnd - genesis) / windowSeconds;
            Round memory posted = _rounds[number % ringRounds];
            return posted.number == number && !posted.vetoed;
        }
    }

    /// @dev The round's slot; reverts if the round is unknown or vetoed. Round 0 does not exist.
    function _unvetoed(uint24 round) private view returns (Round memory posted) {
        posted = _rounds[round % ringRounds];
        require(round != 0 && posted.number == round, TelemetryOracle_UnknownRound(round));
        require(!posted.vetoed, TelemetryOracle_RoundVetoed(round));
    }

    function _finalAt(Round memory posted) private view returns (uint256) {
        // Unchecked: 40 bits and 32.
        unchecked {
            return uint256(posted.postedAt) + finalityDelaySeconds;
        }
    }

    /// @dev Reverts unless the round's root commits to this record of the node, the record ends with the round's
    /// window and is possible.
    function _requireProven(NodeId node, Reading calldata reading, Round memory posted) private view {
        bytes23 computed = RecordTree.rootFrom(RecordTree.leafOf(node, reading.record), reading.proof);
        require(computed == posted.root, TelemetryOracle_ForgedProof(reading.round, node, computed));
        uint40 windowEnd = windowEndOf(reading.round);
        uint40 recordEnd = NodeRecords.windowEndOf(reading.record);
        require(recordEnd == windowEnd, TelemetryOracle_WindowMismatch(node, recordEnd, windowEnd));
        NodeRecords.check(reading.record);
    }

    /// @dev Slices of calldata would check bounds twice per entry; `_push` has checked them all at once.
    function _entryAt(bytes calldata records, uint256 offset)
        private
        pure
        returns (uint32 node, PackedRecord record)
    {
        assembly ("memory-safe") {
            let place := add(records.offset, offset)
            node := shr(224, calldataload(place))
            record := calldataload(add(place, 4))
        }
    }

    function _requireBounds(bytes32 parameter, uint256 given, uint256 lowest, uint256 highest) private pure {
        require(
            lowest <= given && given <= highest,
            TelemetryOracle_OutOfBounds(parameter, given, lowest, highest)
        );
    }

    function _domainNameAndVersion() internal pure override returns (string memory, string memory) {
        return ("Wellhead TelemetryOracle", "1");
    }
}
