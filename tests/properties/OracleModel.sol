// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ITelemetryOracle} from "../../contracts/interfaces/ITelemetryOracle.sol";
import {NodeRecords} from "../../contracts/libraries/NodeRecords.sol";
import {TelemetryOracle} from "../../contracts/nodes/TelemetryOracle.sol";
import {NodeRecord, PackedRecord, Reading} from "../../contracts/types/NodeRecord.sol";
import {NodeId} from "../../contracts/types/NodeTypes.sol";
import {OracleTree} from "./OracleTree.sol";

/// @notice What an oracle must know: every accepted report, veto and restored record; and how honest reporters,
/// who know it too, make the next report. The tree has five leaves, so that one is promoted twice.
abstract contract OracleModel is OracleTree {
    struct Posted {
        uint24 round;
        uint40 postedAt;
        bool vetoed;
        bool badLeaf;
        bytes23 root;
        PackedRecord[5] records;
    }

    struct Pushed {
        uint24 round;
        PackedRecord record;
    }

    struct Draft {
        uint24 round;
        bytes23 root;
        bytes32 evidence;
        bytes entries;
        PackedRecord[5] records;
    }

    uint32 public constant WINDOW = 600;
    uint32 public constant DELAY = 3_000;
    uint24 public constant RING = 64;
    uint256 private constant POOL = 12;

    uint256 public constant START = 1_735_689_600;
    address public constant OWNER = address(0xA11);
    address public constant GUARDIAN = address(0x6A4D);

    TelemetryOracle public oracle;
    uint256 public time = START;
    Posted[] public posted;
    Pushed[5] public latest;
    uint24 public lastVetoed;
    uint24[64] public holder;

    /// Keys by ascending address; signers are named by their place here, so ascending places sign in order.
    uint256[POOL] internal keys;
    address[POOL] internal addresses;
    uint256[] internal members;
    uint8 internal faulty;
    bytes32 internal previousDigest;

    /// Forge may forget a warp between calls, and the optimizer reads the clock once: the model keeps the time.
    modifier atItsTime() {
        vm.warp(time);
        _;
        vm.warp(time);
    }

    constructor() {
        for (uint256 i; i < POOL; ++i) {
            (keys[i], addresses[i]) = (i + 1, vm.addr(i + 1));
            for (uint256 j = i; j > 0 && addresses[j] < addresses[j - 1]; --j) {
                (keys[j], keys[j - 1]) = (keys[j - 1], keys[j]);
                (addresses[j], addresses[j - 1]) = (addresses[j - 1], addresses[j]);
            }
        }
        vm.warp(time);
        _chooseMembers(5);
        oracle = TelemetryOracle(
            shipped(
                "TelemetryOracle",
                abi.encode(time, WINDOW, DELAY, RING, OWNER, GUARDIAN, _reporters(), faulty)
            )
        );
    }

    /* WHAT MUST HOLD */

    function postedCount() external view returns (uint256) {
        return posted.length;
    }

    /// The ring still has the round.
    function _kept(uint24 round) internal view returns (bool) {
        return holder[round % RING] == round;
    }

    function _provable(Posted storage entry) internal view returns (bool) {
        return _kept(entry.round) && !entry.vetoed && time >= entry.postedAt + DELAY;
    }

    /// A pushed record counts: it is above all vetoes, or known to be unvetoed.
    function _stands(uint256 place) internal view returns (bool) {
        uint24 round = latest[place].round;
        if (round == 0) return false;
        if (round > lastVetoed) return true;
        return _kept(round) && !posted[_find(round)].vetoed;
    }

    /// As above while `reported` is taken in, which first takes the slot of the round a ring before it.
    function _standsFor(uint256 place, uint24 reported) internal view returns (bool) {
        uint24 round = latest[place].round;
        return _stands(place) && (round > lastVetoed || round % RING != reported % RING);
    }

    /// The contract proves the record exactly if the model says so, and says why not otherwise.
    function _proves(Posted storage entry, uint256 place) internal {
        bytes4 expected;
        if (!_kept(entry.round)) expected = ITelemetryOracle.TelemetryOracle_UnknownRound.selector;
        else if (entry.vetoed) expected = ITelemetryOracle.TelemetryOracle_RoundVetoed.selector;
        else if (!_provable(entry)) expected = ITelemetryOracle.TelemetryOracle_RoundNotFinal.selector;
        else if (entry.badLeaf && place == HONEST) expected = NodeRecords.NodeRecords_NoGpus.selector;
        bytes memory answer = _expect(
            abi.encodeCall(ITelemetryOracle.provenRecord, (_node(place), _reading(entry, place))), expected
        );
        if (expected != bytes4(0)) return;
        NodeRecord memory proven = abi.decode(answer, (NodeRecord));
        holds(
            PackedRecord.unwrap(NodeRecords.pack(proven)) == PackedRecord.unwrap(entry.records[place]),
            "proven as signed"
        );
    }

    /// Calls the oracle; it must succeed if `expected` is zero, and fail with that error otherwise.
    function _expect(bytes memory call, bytes4 expected) internal returns (bytes memory answer) {
        bool done;
        (done, answer) = address(oracle).call(call);
        if (expected == bytes4(0)) {
            if (!done) {
                assembly ("memory-safe") {
                    revert(add(answer, 32), mload(answer))
                }
            }
        } else {
            holds(!done, "accepted what must be refused");
            if (bytes4(answer) != expected) {
                assembly ("memory-safe") {
                    revert(add(answer, 32), mload(answer))
                }
            }
        }
    }

    /* REPORTS */

    function _reportHonestly(uint256 seed, bool badLeaf) internal {
        (uint24 round, bool ended) = _someRound(seed);
        if (!ended) {
            time = oracle.windowEndOf(round);
            vm.warp(time);
        }
        Draft memory draft = _draft(round, seed, badLeaf);
        bytes32 message = _message(draft, oracle.configDigest());
        bytes memory signatures = _sign(message, _someMembers(seed));
        oracle.report(draft.round, draft.root, draft.evidence, draft.entries, signatures);

        for (uint256 i; i < HONEST; ++i) {
            if (_pushes(seed) >> i & 1 == 1) latest[i] = Pushed(round, draft.records[i]);
        }
        holder[round % RING] = round;
        posted.push(Posted(round, uint40(time), false, badLeaf, draft.root, draft.records));
    }

    /// An empty `expected` leaves the error open: random signers decide it.
    function _refused(Draft memory draft, bytes memory signatures, bytes4 expected) internal {
        bytes memory call = abi.encodeCall(
            ITelemetryOracle.report, (draft.round, draft.root, draft.evidence, draft.entries, signatures)
        );
        if (expected != bytes4(0)) {
            _expect(call, expected);
            return;
        }
        (bool done,) = address(oracle).call(call);
        holds(!done, "accepted without a quorum");
    }

    function _refusedThoughSigned(Draft memory draft, bytes4 expected) internal {
        bytes32 message = _message(draft, oracle.configDigest());
        _refused(draft, _sign(message, _someMembers(draft.round)), expected);
    }

    function _noteVeto(Posted storage entry) internal {
        entry.vetoed = true;
        if (entry.round > lastVetoed) lastVetoed = entry.round;
    }

    /// A round above the latest: the next one, the last that ended, or one that shares the latest's slot.
    function _someRound(uint256 seed) internal view returns (uint24 round, bool ended) {
        uint256 last = oracle.latestRound();
        uint256 open = (time - oracle.genesis()) / WINDOW;
        uint256 chosen = last + 1;
        if (seed % 4 == 1 && open > last) chosen = open;
        if (seed % 4 == 2 && open >= last + RING) chosen = last + RING;
        return (uint24(chosen), chosen <= open);
    }

    /// What honest reporters measured: each record follows the last unvetoed one.
    function _draft(uint24 round, uint256 seed, bool badLeaf) internal view returns (Draft memory draft) {
        draft.round = round;
        uint256 end = oracle.windowEndOf(round);
        for (uint256 i; i < NODES; ++i) {
            draft.records[i] = NodeRecords.pack(_measured(i, end, seed));
        }
        if (badLeaf) {
            draft.records[HONEST] =
                PackedRecord.wrap(PackedRecord.unwrap(draft.records[HONEST]) & ~bytes32(uint256(255)));
        }
        draft.root = _rootOf(draft.records);
        draft.evidence = keccak256(abi.encode(seed, "evidence"));
        draft.entries = _entries(draft.records, _pushes(seed));
    }

    function _measured(uint256 place, uint256 end, uint256 seed)
        private
        view
        returns (NodeRecord memory record)
    {
        record.gpuCount = uint8(1 + 63 * place);
        record.windowEnd = oracle.genesis();
        for (uint256 i = posted.length; i > 0; --i) {
            if (posted[i - 1].vetoed) continue;
            record = NodeRecords.unpack(posted[i - 1].records[place]);
            record.gpuCount = uint8(1 + 63 * place);
            break;
        }
        if (end <= record.windowEnd) return record; // only where a stale round is drafted
        uint256 elapsed = end - record.windowEnd;
        uint256 random = uint256(keccak256(abi.encode(seed, place, end)));
        uint256 covered = random % 3 == 0 ? elapsed : random % (elapsed + 1);
        uint256 up = random % 5 == 0 ? covered : (random >> 32) % (covered + 1);
        uint256 busy = random % 7 == 0 ? up * record.gpuCount : (random >> 64) % (up * record.gpuCount + 1);
        record.windowEnd = uint40(end);
        record.coveredSeconds += uint32(covered);
        record.upSeconds += uint32(up);
        record.busyGpuSeconds += uint40(busy);
        record.energyWh += uint40(random >> 96 & 0xffff);
        record.workUnits += uint64(random >> 128 & 0xffffffff);
    }

    function _pushes(uint256 seed) private pure returns (uint256) {
        return (seed >> 8) % (1 << HONEST);
    }

    function _message(Draft memory draft, bytes32 digest) internal view returns (bytes32) {
        bytes32 typeHash = keccak256(
            "Report(bytes32 configDigest,uint24 round,bytes23 root,bytes32 evidenceHash,bytes32 recordsHash)"
        );
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("Wellhead TelemetryOracle"),
                keccak256("1"),
                block.chainid,
                address(oracle)
            )
        );
        bytes32 report = keccak256(
            abi.encode(typeHash, digest, draft.round, draft.root, draft.evidence, keccak256(draft.entries))
        );
        return keccak256(abi.encodePacked(hex"1901", domain, report));
    }

    /* CHOICES */

    function _reading(Posted storage entry, uint256 place) internal view returns (Reading memory) {
        return Reading(entry.round, entry.records[place], _pathOf(entry.records, place));
    }

    /// One of the last eight rounds mostly, else any.
    function _recent(uint256 seed) internal view returns (uint256) {
        uint256 span = seed % 8 == 0 || posted.length < 8 ? posted.length : 8;
        return posted.length - 1 - (seed >> 8) % span;
    }

    function _find(uint24 round) private view returns (uint256) {
        uint256 i = posted.length - 1;
        while (posted[i].round != round) --i;
        return i;
    }

    /* SIGNERS */

    function _needed() internal view returns (uint256) {
        return 2 * uint256(faulty) + 1;
    }

    /// 4 to 11 of the 12, as many liars as they can bear or fewer.
    function _chooseMembers(uint256 seed) internal {
        uint256 count = 4 + seed % 8;
        members = _around(POOL, (seed >> 8) % POOL, count);
        faulty = uint8(1 + (seed >> 16) % ((count - 1) / 3));
    }

    function _reporters() internal view returns (address[] memory chosen) {
        chosen = new address[](members.length);
        for (uint256 i; i < members.length; ++i) {
            chosen[i] = addresses[members[i]];
        }
    }

    /// As many members as a report needs.
    function _someMembers(uint256 seed) internal view returns (uint256[] memory chosen) {
        chosen = _around(members.length, seed % members.length, _needed());
        for (uint256 i; i < chosen.length; ++i) {
            chosen[i] = members[chosen[i]];
        }
    }

    function _outsider() internal view returns (uint256 place) {
        while (place < members.length && members[place] == place) ++place;
    }

    /// `count` numbers below `size` in a row from `first`, round the end, ascending.
    function _around(uint256 size, uint256 first, uint256 count)
        private
        pure
        returns (uint256[] memory chosen)
    {
        chosen = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            chosen[i] = (first + i) % size;
        }
        _ascend(chosen);
    }

    function _ascend(uint256[] memory numbers) internal pure {
        for (uint256 i = 1; i < numbers.length; ++i) {
            for (uint256 j = i; j > 0 && numbers[j] < numbers[j - 1]; --j) {
                (numbers[j], numbers[j - 1]) = (numbers[j - 1], numbers[j]);
            }
        }
    }

    function _sign(bytes32 message, uint256[] memory signers)
        internal
        view
        returns (bytes memory signatures)
    {
        for (uint256 i; i < signers.length; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[signers[i]], message);
            signatures = abi.encodePacked(signatures, r, uint256(s) | uint256(v - 27) << 255);
        }
    }
}
