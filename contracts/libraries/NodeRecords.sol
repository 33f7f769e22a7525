// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeDelta, NodeRecord, PackedRecord} from "../types/NodeRecord.sol";

/// @notice What a node's record may say, alone and after an earlier one. Pure rules; nothing is rounded.
library NodeRecords {
    uint256 private constant WINDOW_END_SHIFT = 216;
    uint256 private constant COVERED_SHIFT = 184;
    uint256 private constant UP_SHIFT = 152;
    uint256 private constant BUSY_SHIFT = 112;
    uint256 private constant ENERGY_SHIFT = 72;
    uint256 private constant WORK_SHIFT = 8;
    /// @dev The lowest bit of every field but the last.
    uint256 private constant FIELD_ORIGINS = 1 << WINDOW_END_SHIFT | 1 << COVERED_SHIFT | 1 << UP_SHIFT | 1
        << BUSY_SHIFT | 1 << ENERGY_SHIFT | 1 << WORK_SHIFT;

    /// @notice A record must name 1 to 255 GPUs.
    error NodeRecords_NoGpus();
    /// @notice A node cannot be up in seconds that nobody could measure.
    error NodeRecords_UpExceedsCovered(uint256 upSeconds, uint256 coveredSeconds);
    /// @notice GPUs are busy at most while the node is up: `upSeconds` times the GPU count.
    error NodeRecords_BusyExceedsUp(uint256 busyGpuSeconds, uint256 upGpuSeconds);
    /// @notice The later record must end later; its window overlaps the earlier one's.
    error NodeRecords_WindowsOverlap(uint256 earlierEnd, uint256 laterEnd);
    /// @notice More seconds were covered than passed between the records: windows were counted twice.
    error NodeRecords_CoveredExceedsTime(uint256 coveredSeconds, uint256 elapsedSeconds);
    /// @notice Counters only rise. `counter` is the field's name in ASCII.
    error NodeRecords_CounterWentBack(bytes32 counter, uint256 earlier, uint256 later);
    /// @notice A node keeps its GPUs; other hardware is another node.
    error NodeRecords_GpuCountChanged(uint256 earlier, uint256 later);

    /* LAYOUT */

    /// @notice The record in one word.
    function pack(NodeRecord memory record) internal pure returns (PackedRecord) {
        return PackedRecord.wrap(
            bytes32(
                uint256(record.windowEnd) << WINDOW_END_SHIFT | uint256(record.coveredSeconds)
                    << COVERED_SHIFT | uint256(record.upSeconds) << UP_SHIFT | uint256(record.busyGpuSeconds)
                    << BUSY_SHIFT | uint256(record.energyWh) << ENERGY_SHIFT | uint256(record.workUnits)
                    << WORK_SHIFT | record.gpuCount
            )
        );
    }

    /// @notice The record out of its word. Every word is some record; `check` says whether a possible one.
    function unpack(PackedRecord packed) internal pure returns (NodeRecord memory record) {
        uint256 word = uint256(PackedRecord.unwrap(packed));
        // Safe casts here and below: each cuts off the fields above the one it reads.
        record.windowEnd = uint40(word >> WINDOW_END_SHIFT);
        record.coveredSeconds = uint32(word >> COVERED_SHIFT);
        record.upSeconds = uint32(word >> UP_SHIFT);
        record.busyGpuSeconds = uint40(word >> BUSY_SHIFT);
        record.energyWh = uint40(word >> ENERGY_SHIFT);
        record.workUnits = uint64(word >> WORK_SHIFT);
        record.gpuCount = uint8(word);
    }

    /// @notice End of the last window counted, seconds since the epoch.
    function windowEndOf(PackedRecord packed) internal pure returns (uint40) {
        // Safe cast: 40 bits are left.
        return uint40(uint256(PackedRecord.unwrap(packed)) >> WINDOW_END_SHIFT);
    }

    /* RULES */

    /// @notice Reverts unless the record is possible by itself: GPUs, up <= covered, busy <= up * GPUs.
    function check(PackedRecord packed) internal pure {
        uint256 word = uint256(PackedRecord.unwrap(packed));
        uint256 busy = uint40(word >> BUSY_SHIFT);
        require(uint8(word) != 0, NodeRecords_NoGpus());
        _requirePossible(uint32(word >> COVERED_SHIFT), uint32(word >> UP_SHIFT), busy, uint8(word));
    }

    /// @notice Reverts unless `later` can follow `earlier` of the same node: it ends later, no counter went
    /// back, and what was added is possible: covered <= time, up <= covered, busy <= up * GPUs.
    /// @dev By induction `later` passes `check` if `earlier` does: sums of possible parts are possible.
    function requireFollows(PackedRecord earlier, PackedRecord later) internal pure {
        _rise(earlier, later);
    }

    /// @notice What the node did between two of its records. Reverts as `requireFollows` does.
    function difference(NodeRecord memory earlier, NodeRecord memory later)
        internal
        pure
        returns (NodeDelta memory delta)
    {
        NodeRecord memory rise = unpack(PackedRecord.wrap(bytes32(_rise(pack(earlier), pack(later)))));
        delta.elapsedSeconds = rise.windowEnd;
        delta.coveredSeconds = rise.coveredSeconds;
        delta.upSeconds = rise.upSeconds;
        delta.busyGpuSeconds = rise.busyGpuSeconds;
        delta.energyWh = rise.energyWh;
        delta.workUnits = rise.workUnits;
        delta.gpuCount = later.gpuCount;
    }

    /// @dev Field by field `later - earlier`, in the layout of a record, or a refusal. All rules in one branch, for
    /// a report applies them to each of many records. One subtraction of the words subtracts every field if none
    /// borrows from its upper neighbour; a ^ b ^ (b - a) has a bit wherever one was borrowed. What must not be
    /// negative is far below 2^255, so the top bit is its sign.
    function _rise(PackedRecord earlier, PackedRecord later) private pure returns (uint256 rise) {
        uint256 a = uint256(PackedRecord.unwrap(earlier));
        uint256 b = uint256(PackedRecord.unwrap(later));
        // Unchecked: differences wrap on purpose, as said above; the product is 32 bits times 8.
        unchecked {
            rise = b - a;
            uint256 covered = uint32(rise >> COVERED_SHIFT);
            uint256 up = uint32(rise >> UP_SHIFT);
            uint256 elapsed = rise >> WINDOW_END_SHIFT;
            uint256 flaws = (a ^ b ^ rise) & FIELD_ORIGINS | uint8(rise);
            uint256 idle = up * uint8(a) - uint40(rise >> BUSY_SHIFT);
            flaws |= (elapsed - 1 | elapsed - covered | covered - up | idle) >> 255;
            if (flaws != 0 || b < a) _refuse(a, b);
        }
    }

    /// @dev Says what is wrong with `b` after `a`; always reverts.
    function _refuse(uint256 a, uint256 b) private pure {
        uint256 aEnd = a >> WINDOW_END_SHIFT;
        uint256 bEnd = b >> WINDOW_END_SHIFT;
        require(bEnd > aEnd, NodeRecords_WindowsOverlap(aEnd, bEnd));
        require(uint8(a) == uint8(b), NodeRecords_GpuCountChanged(uint8(a), uint8(b)));
        _requireNotBack("coveredSeconds", uint32(a >> COVERED_SHIFT), uint32(b >> COVERED_SHIFT));
        _requireNotBack("upSeconds", uint32(a >> UP_SHIFT), uint32(b >> UP_SHIFT));
        _requireNotBack("busyGpuSeconds", uint40(a >> BUSY_SHIFT), uint40(b >> BUSY_SHIFT));
        _requireNotBack("energyWh", uint40(a >> ENERGY_SHIFT), uint40(b >> ENERGY_SHIFT));
        _requireNotBack("workUnits", uint64(a >> WORK_SHIFT), uint64(b >> WORK_SHIFT));
        uint256 covered = uint32(b >> COVERED_SHIFT) - uint32(a >> COVERED_SHIFT);
        require(covered <= bEnd - aEnd, NodeRecords_CoveredExceedsTime(covered, bEnd - aEnd));
        uint256 up = uint32(b >> UP_SHIFT) - uint32(a >> UP_SHIFT);
        _requirePossible(covered, up, uint40(b >> BUSY_SHIFT) - uint40(a >> BUSY_SHIFT), uint8(a));
        assert(false); // unreachable: `_rise` refuses nothing else
    }

    function _requirePossible(uint256 covered, uint256 up, uint256 busy, uint256 gpus) private pure {
        require(up <= covered, NodeRecords_UpExceedsCovered(up, covered));
        uint256 upGpuSeconds = up * gpus;
        require(busy <= upGpuSeconds, NodeRecords_BusyExceedsUp(busy, upGpuSeconds));
    }

    function _requireNotBack(bytes32 counter, uint256 earlier, uint256 later) private pure {
        require(later >= earlier, NodeRecords_CounterWentBack(counter, earlier, later));
    }
}
