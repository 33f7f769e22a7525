// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ECDSA} from "solady/src/utils/ECDSA.sol";
import {SSTORE2} from "solady/src/utils/SSTORE2.sol";

/// @notice k-of-n signatures from a set of signers that lives in a code blob, which reads far cheaper than slots.
/// Of n signers up to f may lie: k = 2f + 1 signatures are needed, so more than half of any k are honest, and
/// n >= k + f, so the liars cannot stop the rest by silence. Anything weaker is refused.
/// @dev The blob: a 32-byte digest that names the configuration, then the signers' addresses, ascending.
library Quorum {
    uint256 internal constant MAX_SIGNERS = 31;

    uint256 private constant DIGEST_BYTES = 32;
    uint256 private constant ADDRESS_BYTES = 20;
    uint256 private constant SIGNATURE_BYTES = 64;

    /// @notice n signers cannot bear `faulty` liars: 1 <= faulty and 3 * faulty + 1 <= n <= 31 must hold.
    error Quorum_Weak(uint256 signers, uint256 faulty);
    /// @notice Configured signers must be nonzero and strictly ascending.
    error Quorum_SignersNotAscending(uint256 index, address previous, address signer);
    /// @notice Exactly `requiredBytes` of signatures are wanted: 64 for each of k signers, EIP-2098 compact.
    error Quorum_WrongSignatureLength(uint256 givenBytes, uint256 requiredBytes);
    /// @notice The signature at `index` is none of any key.
    error Quorum_InvalidSignature(uint256 index);
    /// @notice Signatures must come in strictly ascending order of their signers: out of order, or given twice.
    error Quorum_SignaturesNotAscending(uint256 index, address previous, address signer);
    /// @notice `signer` is not in the set. A signature over another message or an old configuration also
    /// recovers to such a stranger.
    error Quorum_ForeignSigner(uint256 index, address signer);

    /* CONFIGURATION */

    /// @notice Names a configuration of this contract on this chain; put it under every signature, so that
    /// the signatures of an old configuration die with it. `configCount` must never repeat.
    function digestOf(uint256 configCount, uint8 faulty, address[] memory signers)
        internal
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encode(block.chainid, address(this), configCount, 2 * uint256(faulty) + 1, faulty, signers)
        );
    }

    /// @notice Stores `signers` behind `digest`; the address of the blob and k, the signatures needed.
    /// Reverts unless the signers are nonzero, strictly ascending and enough for `faulty` liars.
    function write(address[] memory signers, uint8 faulty, bytes32 digest)
        internal
        returns (address pointer, uint8 k)
    {
        // Check: k = 2f + 1 and n >= k + f, that is n >= 3f + 1.
        uint256 count = signers.length;
        require(
            faulty >= 1 && count >= 3 * uint256(faulty) + 1 && count <= MAX_SIGNERS,
            Quorum_Weak(count, faulty)
        );

        bytes memory blob = abi.encodePacked(digest);
        address previous = address(0);
        for (uint256 i; i < count; ++i) {
            address signer = signers[i];
            require(signer > previous, Quorum_SignersNotAscending(i, previous, signer));
            blob = abi.encodePacked(blob, signer);
            previous = signer;
        }

        // Effect: no overflow, as 3f + 1 <= 31 holds here and so k <= 21.
        k = 2 * faulty + 1;
        pointer = SSTORE2.write(blob);
    }

    /// @notice The digest that the set was written with.
    function digestAt(address pointer) internal view returns (bytes32) {
        return bytes32(SSTORE2.read(pointer, 0, DIGEST_BYTES));
    }

    /// @notice The signers of the set, ascending.
    function signersAt(address pointer) internal view returns (address[] memory signers) {
        bytes memory blob = SSTORE2.read(pointer);
        signers = new address[]((blob.length - DIGEST_BYTES) / ADDRESS_BYTES);
        for (uint256 i; i < signers.length; ++i) {
            signers[i] = _memberAt(blob, signers.length - i);
        }
    }

    /* VERIFICATION */

    /// @notice Reverts unless `signatures` are exactly `k` EIP-2098 compact signatures of `messageHash`, in
    /// strictly ascending order of their signers, all of them members of the set at `pointer`.
    /// @dev Both lists ascend, so one merge pass finds every member, and no signer counts twice.
    function verify(address pointer, uint256 k, bytes32 messageHash, bytes calldata signatures)
        internal
        view
    {
        require(
            signatures.length == k * SIGNATURE_BYTES,
            Quorum_WrongSignatureLength(signatures.length, k * SIGNATURE_BYTES)
        );
        bytes memory blob = SSTORE2.read(pointer);
        // Unchecked: small counters, and a blob always holds its digest.
        unchecked {
            uint256 left = (blob.length - DIGEST_BYTES) / ADDRESS_BYTES;
            address previous = address(0);
            for (uint256 i; i < k; ++i) {
                (bytes32 r, bytes32 parityAndS) = _signatureAt(signatures, i);
                address signer = ECDSA.tryRecover(messageHash, r, parityAndS); // zero if nobody signed
                if (signer <= previous) _refuseOrder(i, previous, signer);
                previous = signer;
                while (true) {
                    if (left == 0) revert Quorum_ForeignSigner(i, signer);
                    address member = _memberAt(blob, left--);
                    if (member == signer) break;
                    if (member > signer) revert Quorum_ForeignSigner(i, signer);
                }
            }
        }
    }

    /// @dev Says why `signer` cannot come after `previous`; always reverts.
    function _refuseOrder(uint256 index, address previous, address signer) private pure {
        require(signer != address(0), Quorum_InvalidSignature(index));
        revert Quorum_SignaturesNotAscending(index, previous, signer);
    }

    /// @dev The two words of an EIP-2098 signature; the second has the parity in its top bit. Slicing calldata would
    /// check again, word by word, the length that `verify` has checked once.
    function _signatureAt(bytes calldata signatures, uint256 index)
        private
        pure
        returns (bytes32 r, bytes32 parityAndS)
    {
        assembly ("memory-safe") {
            let place := add(signatures.offset, mul(index, SIGNATURE_BYTES))
            r := calldataload(place)
            parityAndS := calldataload(add(place, 32))
        }
    }

    /// @dev The member with `left` members from it to the end, itself included; 1 <= left <= n. Solidity has no packed
    /// memory arrays: read the word from there on and keep its first 20 bytes.
    function _memberAt(bytes memory blob, uint256 left) private pure returns (address member) {
        assembly ("memory-safe") {
            member := shr(96, mload(sub(add(add(blob, 32), mload(blob)), mul(left, ADDRESS_BYTES))))
        }
    }
}
