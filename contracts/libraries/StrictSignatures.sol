// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ECDSA} from "solady/src/utils/ECDSA.sol";
import {SignatureCheckerLib} from "solady/src/utils/SignatureCheckerLib.sol";

/// @notice Signatures in the one form that every implementation of a standard accepts: 65 bytes, low `s`. What
/// passes here and is refused by another implementation on another network would be money lost there.
library StrictSignatures {
    /// Half the order of secp256k1, from which on `s` is the greater of the two that sign the same.
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// @notice Who signed; zero if nobody.
    function recover(bytes32 digest, bytes calldata signature) internal view returns (address) {
        if (signature.length != 65) return address(0);
        uint256 s;
        // Its second word, which 65 bytes have.
        assembly ("memory-safe") {
            s := calldataload(add(signature.offset, 0x20))
        }
        if (s > HALF_ORDER) return address(0);
        return ECDSA.tryRecoverCalldata(digest, signature);
    }

    /// @notice Whether `signer` signed: by EIP-1271 if it has code, else by ECDSA.
    function isValid(address signer, bytes32 digest, bytes calldata signature) internal view returns (bool) {
        if (signer.code.length != 0) {
            return SignatureCheckerLib.isValidERC1271SignatureNowCalldata(signer, digest, signature);
        }
        return signer != address(0) && recover(digest, signature) == signer;
    }
}
