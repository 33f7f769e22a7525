// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Quorum} from "../../contracts/libraries/Quorum.sol";
import {Property} from "./Property.sol";

contract QuorumBench {
    address public pointer;
    uint8 public needed;

    function write(address[] memory signers, uint8 faulty, bytes32 digest) external {
        (pointer, needed) = Quorum.write(signers, faulty, digest);
    }

    function verify(bytes32 messageHash, bytes calldata signatures) external view {
        Quorum.verify(pointer, needed, messageHash, signatures);
    }

    function readSigners() external view returns (address[] memory) {
        return Quorum.signersAt(pointer);
    }

    function readDigest() external view returns (bytes32) {
        return Quorum.digestAt(pointer);
    }

    function digestOf(uint256 configCount, uint8 faulty, address[] memory set)
        external
        view
        returns (bytes32)
    {
        return Quorum.digestOf(configCount, faulty, set);
    }
}

contract QuorumProperties is Property {
    uint256 private constant MAX_SIGNERS = 31;
    bytes32 private constant MESSAGE = keccak256("message");
    bytes32 private constant DIGEST = keccak256("digest");

    QuorumBench private bench;
    QuorumBench private otherBench;
    // By ascending address. Signing is slow, so each key signs once.
    uint256[] private keys;
    address[] private all;
    bytes[] private made;

    function setUp() public {
        (bench, otherBench) = (new QuorumBench(), new QuorumBench());
        for (uint256 key = 1; key <= MAX_SIGNERS; ++key) {
            keys.push(key);
            all.push(vm.addr(key));
            for (uint256 i = all.length - 1; i > 0 && all[i] < all[i - 1]; --i) {
                (all[i], all[i - 1]) = (all[i - 1], all[i]);
                (keys[i], keys[i - 1]) = (keys[i - 1], keys[i]);
            }
        }
        for (uint256 i; i < MAX_SIGNERS; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[i], MESSAGE);
            made.push(abi.encodePacked(r, uint256(s) | uint256(v - 27) << 255));
        }
    }

    /// Any k members in ascending order pass; the set is read back as written.
    function testFuzz_AnyQuorumPasses(uint256 n, uint256 f, uint256 seed) public {
        (n, f) = _configure(n, f);
        bench.verify(MESSAGE, _join(_pick(n, 2 * f + 1, seed)));
        equal(bench.needed(), 2 * f + 1, "k");
        address[] memory signers = bench.readSigners();
        equal(signers.length, n, "n");
        for (uint256 i; i < n; ++i) {
            holds(signers[i] == all[i], "signer read back");
        }
        holds(bench.readDigest() == DIGEST, "digest read back");
    }

    /// One signature too few or too many, or a torn one, never passes.
    function testFuzz_OtherLengthsFail(uint256 n, uint256 f, uint256 seed, uint256 length) public {
        (n, f) = _configure(n, f);
        uint256 k = 2 * f + 1;
        bytes memory signatures = _join(_pick(n, n, seed));
        length = bound(length, 0, signatures.length);
        if (length == k * 64) length -= 64;
        vm.expectRevert(abi.encodeWithSelector(Quorum.Quorum_WrongSignatureLength.selector, length, k * 64));
        bench.verify(MESSAGE, _cut(signatures, length));
    }

    /// Swapping two signatures, or giving one twice, names the place.
    function testFuzz_DisorderFails(uint256 n, uint256 f, uint256 seed, uint256 place, bool twice) public {
        (n, f) = _configure(n, f);
        uint256 k = 2 * f + 1;
        uint256[] memory chosen = _pick(n, k, seed);
        place = bound(place, 1, k - 1);
        (uint256 low, uint256 high) = (chosen[place - 1], chosen[place]);
        (chosen[place - 1], chosen[place]) = twice ? (low, low) : (high, low);
        vm.expectRevert(
            abi.encodeWithSelector(
                Quorum.Quorum_SignaturesNotAscending.selector,
                place,
                all[chosen[place - 1]],
                all[chosen[place]]
            )
        );
        bench.verify(MESSAGE, _join(chosen));
    }

    /// A signer outside the set is named, wherever its address falls.
    function testFuzz_ForeignSignerFails(uint256 f, uint256 seed, uint256 stranger) public {
        f = bound(f, 1, 9);
        uint256 n = 3 * f + 1;
        uint256 k = 2 * f + 1;
        // The set leaves every other address out as far as it can: members at even places first.
        bool[] memory member = new bool[](MAX_SIGNERS);
        address[] memory set = new address[](n);
        uint256 taken;
        for (uint256 i; i < MAX_SIGNERS && taken < n; ++i) {
            if (i % 2 == 0 || MAX_SIGNERS - i <= n - taken) (member[i], set[taken++]) = (true, all[i]);
        }
        bench.write(set, uint8(f), DIGEST);
        stranger = bound(stranger, 0, MAX_SIGNERS - 1);
        vm.assume(!member[stranger]);
        (uint256[] memory chosen, uint256 place) = _among(member, stranger, k, seed);
        vm.expectRevert(abi.encodeWithSelector(Quorum.Quorum_ForeignSigner.selector, place, all[stranger]));
        bench.verify(MESSAGE, _join(chosen));
    }

    /// Signatures of one message do not pass for another.
    function testFuzz_OtherMessageFails(uint256 n, uint256 f, uint256 seed, bytes32 other) public {
        vm.assume(other != MESSAGE);
        (n, f) = _configure(n, f);
        bytes memory signatures = _join(_pick(n, 2 * f + 1, seed));
        (bool passed,) = address(bench).call(abi.encodeCall(QuorumBench.verify, (other, signatures)));
        holds(!passed, "passed for another message");
    }

    /// Garbage that recovers to nobody is named, not taken for the zero address.
    function test_InvalidSignatureFails() public {
        _configure(5, 1);
        bytes memory signatures = new bytes(3 * 64);
        vm.expectRevert(abi.encodeWithSelector(Quorum.Quorum_InvalidSignature.selector, 0));
        bench.verify(MESSAGE, signatures);
    }

    /// Exactly the sets with f >= 1 and 3f + 1 <= n <= 31 can be written.
    function testFuzz_WeakSetsAreRefused(uint256 n, uint8 f) public {
        n = bound(n, 0, 40);
        address[] memory set = new address[](n);
        for (uint256 i; i < n; ++i) {
            set[i] = address(uint160(i + 1));
        }
        if (f == 0 || n > MAX_SIGNERS || n < 3 * uint256(f) + 1) {
            vm.expectRevert(abi.encodeWithSelector(Quorum.Quorum_Weak.selector, n, uint256(f)));
        }
        bench.write(set, f, DIGEST);
    }

    /// A zero, repeated or misplaced signer cannot be configured.
    function testFuzz_MisorderedSetsAreRefused(uint256 n, uint256 place, address intruder) public {
        n = bound(n, 4, MAX_SIGNERS);
        place = bound(place, 0, n - 1);
        address[] memory set = new address[](n);
        for (uint256 i; i < n; ++i) {
            set[i] = all[i];
        }
        address previous = place == 0 ? address(0) : all[place - 1];
        intruder = address(uint160(bound(uint160(intruder), 0, uint160(previous))));
        set[place] = intruder;
        vm.expectRevert(
            abi.encodeWithSelector(Quorum.Quorum_SignersNotAscending.selector, place, previous, intruder)
        );
        bench.write(set, 1, DIGEST);
    }

    /// Every part of a configuration is in its digest.
    function testFuzz_DigestNamesTheConfiguration(uint256 count, uint8 f, uint256 n, uint256 place) public {
        n = bound(n, 4, MAX_SIGNERS);
        address[] memory set = new address[](n);
        for (uint256 i; i < n; ++i) {
            set[i] = all[i];
        }
        bytes32 digest = bench.digestOf(count, f, set);
        unchecked {
            holds(digest != bench.digestOf(count + 1, f, set), "count");
            holds(digest != bench.digestOf(count, f + 1, set), "faulty");
        }
        holds(digest != otherBench.digestOf(count, f, set), "contract");
        vm.chainId(block.chainid + 1);
        holds(digest != bench.digestOf(count, f, set), "chain");
        vm.chainId(block.chainid - 1);
        set[bound(place, 0, n - 1)] = address(1);
        holds(digest != bench.digestOf(count, f, set), "signers");
    }

    /* MATERIAL */

    function _configure(uint256 n, uint256 f) private returns (uint256, uint256) {
        n = bound(n, 4, MAX_SIGNERS);
        f = bound(f, 1, (n - 1) / 3);
        address[] memory set = new address[](n);
        for (uint256 i; i < n; ++i) {
            set[i] = all[i];
        }
        bench.write(set, uint8(f), DIGEST);
        return (n, f);
    }

    /// `count` ascending places below `n`.
    function _pick(uint256 n, uint256 count, uint256 seed) private pure returns (uint256[] memory chosen) {
        chosen = new uint256[](count);
        uint256 filled;
        for (uint256 i; filled < count; ++i) {
            uint256 mustTake = n - i <= count - filled ? 1 : 0;
            if (mustTake == 1 || uint256(keccak256(abi.encode(seed, i))) % n < count) chosen[filled++] = i;
        }
    }

    /// `k` ascending places, of members but for the stranger's; and where among them the stranger's is.
    function _among(bool[] memory member, uint256 stranger, uint256 k, uint256 seed)
        private
        pure
        returns (uint256[] memory chosen, uint256 place)
    {
        bool[] memory used = new bool[](MAX_SIGNERS);
        used[stranger] = true;
        uint256 left = k - 1;
        for (uint256 i; left > 0; ++i) {
            uint256 candidate = (seed % MAX_SIGNERS + i) % MAX_SIGNERS;
            if (member[candidate] && !used[candidate]) (used[candidate], left) = (true, left - 1);
        }
        chosen = new uint256[](k);
        uint256 filled;
        for (uint256 i; i < MAX_SIGNERS; ++i) {
            if (!used[i]) continue;
            if (i == stranger) place = filled;
            chosen[filled++] = i;
        }
    }

    function _join(uint256[] memory places) private view returns (bytes memory signatures) {
        for (uint256 i; i < places.length; ++i) {
            signatures = abi.encodePacked(signatures, made[places[i]]);
        }
    }

    function _cut(bytes memory whole, uint256 length) private pure returns (bytes memory) {
        assembly ("memory-safe") {
            mstore(whole, length)
        }
        return whole;
    }
}
