// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeRecords} from "../../contracts/libraries/NodeRecords.sol";
import {RecordTree} from "../../contracts/libraries/RecordTree.sol";
import {NodeDelta, NodeRecord, PackedRecord} from "../../contracts/types/NodeRecord.sol";
import {NodeId} from "../../contracts/types/NodeTypes.sol";
import {NodeRecordsDouble} from "../doubles/NodeRecordsDouble.sol";
import {Property} from "./Property.sol";

/// @notice The pure rules of records against a naive reading of them, field by field.
contract TelemetryOracleRecordProperties is Property {
    NodeRecordsDouble private rules;

    function setUp() public {
        rules = new NodeRecordsDouble();
    }

    /* LAYOUT */

    function testFuzz_PackingLosesNothing(NodeRecord memory record) public view {
        holds(_same(rules.unpack(rules.pack(record)), record), "unpack(pack(record))");
    }

    function testFuzz_EveryWordIsOneRecord(PackedRecord word) public view {
        equal(_word(rules.pack(rules.unpack(word))), _word(word), "pack(unpack(word))");
    }

    function testFuzz_FieldsStandWhereTheTypeSays(NodeRecord memory record) public view {
        bytes memory joined = abi.encodePacked(
            record.windowEnd,
            record.coveredSeconds,
            record.upSeconds,
            record.busyGpuSeconds,
            record.energyWh,
            record.workUnits,
            record.gpuCount
        );
        equal(_word(rules.pack(record)), uint256(bytes32(joined)), "layout");
    }

    /* ONE RECORD */

    function testFuzz_CheckIsTheNaiveOne(NodeRecord memory record, uint256 seed) public {
        _tame(record, seed);
        bytes memory refusal = _refusalOf(record);
        PackedRecord packed = rules.pack(record);
        if (refusal.length > 0) vm.expectRevert(refusal);
        rules.check(packed);
    }

    /* TWO RECORDS */

    /// Random pairs: nearly always impossible, and told so with the right error.
    function testFuzz_AnyPairIsJudgedAsNaively(NodeRecord memory earlier, NodeRecord memory later) public {
        _judge(earlier, later);
    }

    /// Pairs on either side of each limit: every field grows by its most, or one off it, or shrinks.
    function testFuzz_PairsAtTheLimitsAreJudgedAsNaively(NodeRecord memory earlier, uint256 seed) public {
        NodeRecord memory later = _grow(earlier, seed);
        _spoil(earlier, later, seed);
        _judge(earlier, later);
    }

    /// What may follow is possible by itself when what it follows is: `check` need not run again.
    function testFuzz_PossibleRecordsStayPossible(NodeRecord memory earlier, uint256 seed) public view {
        _tame(earlier, seed | 1 << 255);
        if (_refusalOf(earlier).length > 0) return;
        NodeRecord memory later = _grow(earlier, seed);
        try rules.requireFollows(rules.pack(earlier), rules.pack(later)) {
            rules.check(rules.pack(later));
        } catch {}
    }

    /// Differences over parts add up to the difference over the whole.
    function testFuzz_DifferencesAddUp(NodeRecord memory first, uint256 seed) public view {
        _tame(first, seed | 1 << 255);
        NodeRecord memory second = _grow(first, seed);
        NodeRecord memory third = _grow(second, uint256(keccak256(abi.encode(seed))));
        if (_refusalOf(first, second).length > 0 || _refusalOf(second, third).length > 0) return;
        NodeDelta memory a = rules.difference(first, second);
        NodeDelta memory b = rules.difference(second, third);
        NodeDelta memory whole = rules.difference(first, third);
        equal(a.elapsedSeconds + b.elapsedSeconds, whole.elapsedSeconds, "elapsed");
        equal(a.coveredSeconds + b.coveredSeconds, whole.coveredSeconds, "covered");
        equal(a.upSeconds + b.upSeconds, whole.upSeconds, "up");
        equal(a.busyGpuSeconds + b.busyGpuSeconds, whole.busyGpuSeconds, "busy");
        equal(a.energyWh + b.energyWh, whole.energyWh, "energy");
        equal(a.workUnits + b.workUnits, whole.workUnits, "work");
    }

    /* TREES */

    /// Every leaf of a tree of 1 to 40 is proven, and no other record, node or path is.
    function testFuzz_TreesProveTheirLeavesOnly(uint256 leaves, uint256 seed, uint256 flaw) public view {
        leaves = bound(leaves, 1, 40);
        uint256 chosen = uint256(keccak256(abi.encode(seed, "chosen"))) % leaves;
        (bytes23 root, bytes32[] memory proof) = _tree(leaves, seed, chosen);
        (NodeId node, PackedRecord record) = _leaf(seed, chosen);
        holds(rules.rootFrom(node, record, proof) == root, "a leaf is not proven");

        uint256 bit = 1 << flaw % 256;
        PackedRecord otherRecord = PackedRecord.wrap(bytes32(_word(record) ^ bit));
        holds(rules.rootFrom(node, otherRecord, proof) != root, "another record is proven");
        NodeId otherNode = NodeId.wrap(uint32(NodeId.unwrap(node) ^ 1 << flaw % 32));
        holds(rules.rootFrom(otherNode, record, proof) != root, "another node is proven");
        if (proof.length == 0) return;
        proof[flaw % proof.length] ^= bytes32(bit);
        holds(rules.rootFrom(node, record, proof) != root, "another path is taken");
    }

    /// Every whole branch of such a tree is proven, and no part, no other record and no other path is.
    function testFuzz_TreesProveWholeBranchesOnly(uint256 leaves, uint256 seed, uint256 height, uint256 flaw)
        public
        view
    {
        leaves = bound(leaves, 1, 40);
        height = bound(height, 0, 6);
        uint256 first = (uint256(keccak256(abi.encode(seed, "branch"))) % leaves) >> height << height;
        uint256 end = _min(first + (1 << height), leaves);
        (bytes23 root, bytes32[] memory proof) = _pathAbove(leaves, seed, first, height);
        bytes memory entries = _entriesOf(seed, first, end);
        holds(rules.branchRootFrom(entries, proof) == root, "a branch is not proven");

        if (end - first > 1) {
            bytes memory part = _entriesOf(seed, first + flaw % 2, end - 1 + flaw % 2);
            holds(rules.branchRootFrom(part, proof) != root, "a part passes for the branch");
        }
        bytes memory more = bytes.concat(entries, _entriesOf(seed, leaves, leaves + 1));
        holds(rules.branchRootFrom(more, proof) != root, "a stranger is added");
        entries[flaw % entries.length] ^= bytes1(uint8(1 << seed % 8));
        holds(rules.branchRootFrom(entries, proof) != root, "another record is proven");
        if (proof.length == 0) return;
        entries[flaw % entries.length] ^= bytes1(uint8(1 << seed % 8));
        proof[flaw % proof.length] ^= bytes32(1 << flaw % 256);
        holds(rules.branchRootFrom(entries, proof) != root, "another path is taken");
    }

    /* NAIVE RULES */

    function _judge(NodeRecord memory earlier, NodeRecord memory later) private {
        bytes memory refusal = _refusalOf(earlier, later);
        PackedRecord a = rules.pack(earlier);
        PackedRecord b = rules.pack(later);
        if (refusal.length > 0) vm.expectRevert(refusal);
        rules.requireFollows(a, b);
        if (refusal.length > 0) vm.expectRevert(refusal);
        NodeDelta memory delta = rules.difference(earlier, later);
        if (refusal.length > 0) return;
        equal(delta.elapsedSeconds, later.windowEnd - earlier.windowEnd, "elapsed");
        equal(delta.coveredSeconds, later.coveredSeconds - earlier.coveredSeconds, "covered");
        equal(delta.upSeconds, later.upSeconds - earlier.upSeconds, "up");
        equal(delta.busyGpuSeconds, later.busyGpuSeconds - earlier.busyGpuSeconds, "busy");
        equal(delta.energyWh, later.energyWh - earlier.energyWh, "energy");
        equal(delta.workUnits, later.workUnits - earlier.workUnits, "work");
        equal(delta.gpuCount, later.gpuCount, "gpus");
    }

    function _refusalOf(NodeRecord memory record) private pure returns (bytes memory) {
        if (record.gpuCount == 0) return abi.encodeWithSelector(NodeRecords.NodeRecords_NoGpus.selector);
        return _impossible(record.coveredSeconds, record.upSeconds, record.busyGpuSeconds, record.gpuCount);
    }

    function _refusalOf(NodeRecord memory a, NodeRecord memory b)
        private
        pure
        returns (bytes memory refusal)
    {
        if (b.windowEnd <= a.windowEnd) {
            return abi.encodeWithSelector(
                NodeRecords.NodeRecords_WindowsOverlap.selector, a.windowEnd, b.windowEnd
            );
        }
        if (a.gpuCount != b.gpuCount) {
            return
                abi.encodeWithSelector(
                    NodeRecords.NodeRecords_GpuCountChanged.selector, a.gpuCount, b.gpuCount
                );
        }
        refusal = _back("coveredSeconds", a.coveredSeconds, b.coveredSeconds);
        if (refusal.length == 0) refusal = _back("upSeconds", a.upSeconds, b.upSeconds);
        if (refusal.length == 0) refusal = _back("busyGpuSeconds", a.busyGpuSeconds, b.busyGpuSeconds);
        if (refusal.length == 0) refusal = _back("energyWh", a.energyWh, b.energyWh);
        if (refusal.length == 0) refusal = _back("workUnits", a.workUnits, b.workUnits);
        if (refusal.length > 0) return refusal;
        uint256 elapsed = b.windowEnd - a.windowEnd;
        uint256 covered = b.coveredSeconds - a.coveredSeconds;
        if (covered > elapsed) {
            return
                abi.encodeWithSelector(NodeRecords.NodeRecords_CoveredExceedsTime.selector, covered, elapsed);
        }
        return
            _impossible(covered, b.upSeconds - a.upSeconds, b.busyGpuSeconds - a.busyGpuSeconds, b.gpuCount);
    }

    function _impossible(uint256 covered, uint256 up, uint256 busy, uint256 gpus)
        private
        pure
        returns (bytes memory)
    {
        if (up > covered) {
            return abi.encodeWithSelector(NodeRecords.NodeRecords_UpExceedsCovered.selector, up, covered);
        }
        if (busy > up * gpus) {
            return abi.encodeWithSelector(NodeRecords.NodeRecords_BusyExceedsUp.selector, busy, up * gpus);
        }
        return "";
    }

    function _back(bytes32 counter, uint256 earlier, uint256 later) private pure returns (bytes memory) {
        if (later >= earlier) return "";
        return
            abi.encodeWithSelector(NodeRecords.NodeRecords_CounterWentBack.selector, counter, earlier, later);
    }

    /* MATERIAL */

    /// Brings a random record near the limits of a possible one; with the top bit of `seed`, below them.
    function _tame(NodeRecord memory record, uint256 seed) private pure {
        uint256 slack = seed >> 255 == 1 ? 0 : 1;
        record.upSeconds =
            uint32(bound(record.upSeconds, 0, _min(record.coveredSeconds + slack, 2 ** 32 - 1)));
        uint256 most = uint256(record.upSeconds) * record.gpuCount + slack;
        record.busyGpuSeconds = uint40(bound(record.busyGpuSeconds, most / 2, _min(most, 2 ** 40 - 1)));
    }

    /// A record that may follow, unless a field is full: it then stands still.
    function _grow(NodeRecord memory from, uint256 seed) private pure returns (NodeRecord memory to) {
        uint256[6] memory random;
        for (uint256 i; i < 6; ++i) {
            random[i] = uint256(keccak256(abi.encode(seed, i)));
        }
        uint256 elapsed = bound(random[0], 1, 400 days);
        uint256 covered = random[1] % 4 == 0 ? elapsed : random[1] % 4 == 1 ? 0 : random[1] % (elapsed + 1);
        uint256 up = random[2] % 4 == 0 ? covered : random[2] % (covered + 1);
        uint256 busiest = up * from.gpuCount;
        uint256 busy = random[3] % 4 == 0 ? busiest : random[3] % (busiest + 1);
        to.windowEnd = uint40(_min(from.windowEnd + elapsed, 2 ** 40 - 1));
        to.coveredSeconds = uint32(_min(from.coveredSeconds + covered, 2 ** 32 - 1));
        to.upSeconds = uint32(_min(from.upSeconds + up, 2 ** 32 - 1));
        to.busyGpuSeconds = uint40(_min(from.busyGpuSeconds + busy, 2 ** 40 - 1));
        to.energyWh = uint40(_min(from.energyWh + random[4] % 2 ** 20, 2 ** 40 - 1));
        to.workUnits = uint64(_min(from.workUnits + random[5] % 2 ** 40, 2 ** 64 - 1));
        to.gpuCount = from.gpuCount;
    }

    /// Half of the pairs stay; in the others one field of `later` steps over its limit.
    function _spoil(NodeRecord memory earlier, NodeRecord memory later, uint256 seed) private pure {
        uint256 kind = uint256(keccak256(abi.encode(seed, "spoil"))) % 20;
        unchecked {
            if (kind == 0) later.windowEnd = earlier.windowEnd;
            if (kind == 1) later.windowEnd = earlier.windowEnd - 1;
            if (kind == 2) later.coveredSeconds = earlier.coveredSeconds - 1;
            if (kind == 3) {
                later.coveredSeconds =
                    earlier.coveredSeconds + uint32(later.windowEnd - earlier.windowEnd) + 1;
            }
            if (kind == 4) later.upSeconds = earlier.upSeconds - 1;
            if (kind == 5) {
                later.upSeconds = earlier.upSeconds + later.coveredSeconds - earlier.coveredSeconds + 1;
            }
            if (kind == 6) later.busyGpuSeconds = earlier.busyGpuSeconds - 1;
            if (kind == 7) {
                uint256 up = later.upSeconds - earlier.upSeconds;
                later.busyGpuSeconds = uint40(earlier.busyGpuSeconds + up * later.gpuCount + 1);
            }
            if (kind == 8) later.energyWh = earlier.energyWh - 1;
            if (kind == 9) later.workUnits = earlier.workUnits - 1;
        }
        if (kind == 10) later.gpuCount ^= uint8(1 << seed % 8);
    }

    function _leaf(uint256 seed, uint256 place) private pure returns (NodeId node, PackedRecord record) {
        bytes32 random = keccak256(abi.encode(seed, place));
        return (NodeId.wrap(uint32(uint256(random))), PackedRecord.wrap(keccak256(abi.encode(random))));
    }

    /// The root over `leaves` random leaves, odd nodes promoted, and the path of the leaf at `chosen`.
    function _tree(uint256 leaves, uint256 seed, uint256 chosen)
        private
        pure
        returns (bytes23 root, bytes32[] memory proof)
    {
        bytes32[] memory level = new bytes32[](leaves);
        for (uint256 i; i < leaves; ++i) {
            (NodeId node, PackedRecord record) = _leaf(seed, i);
            level[i] = RecordTree.leafOf(node, record);
        }
        bytes32[] memory path = new bytes32[](8);
        uint256 length;
        uint256 width = leaves;
        while (width > 1) {
            if ((chosen ^ 1) < width) path[length++] = level[chosen ^ 1];
            for (uint256 i; i < width; i += 2) {
                (bytes32 a, bytes32 b) = (level[i], i + 1 < width ? level[i + 1] : bytes32(0));
                if (i + 1 == width) level[i / 2] = a;
                else level[i / 2] = a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
            }
            width = (width + 1) / 2;
            chosen /= 2;
        }
        proof = new bytes32[](length);
        for (uint256 i; i < length; ++i) {
            proof[i] = path[i];
        }
        root = bytes23(level[0]);
    }

    /// The path of the branch of `height` whose first leaf is at `first`: that of the leaf from there on.
    function _pathAbove(uint256 leaves, uint256 seed, uint256 first, uint256 height)
        private
        pure
        returns (bytes23 root, bytes32[] memory above)
    {
        bytes32[] memory path;
        (root, path) = _tree(leaves, seed, first);
        uint256 below;
        for (uint256 level; level < height; ++level) {
            if ((first >> level ^ 1) < leaves) ++below;
            leaves = (leaves + 1) / 2;
        }
        above = new bytes32[](path.length - below);
        for (uint256 i; i < above.length; ++i) {
            above[i] = path[below + i];
        }
    }

    function _entriesOf(uint256 seed, uint256 first, uint256 end)
        private
        pure
        returns (bytes memory entries)
    {
        for (uint256 i = first; i < end; ++i) {
            (NodeId node, PackedRecord record) = _leaf(seed, i);
            entries = abi.encodePacked(entries, NodeId.unwrap(node), PackedRecord.unwrap(record));
        }
    }

    function _word(PackedRecord record) private pure returns (uint256) {
        return uint256(PackedRecord.unwrap(record));
    }

    function _same(NodeRecord memory a, NodeRecord memory b) private pure returns (bool) {
        return keccak256(abi.encode(a)) == keccak256(abi.encode(b));
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
