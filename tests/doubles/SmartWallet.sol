// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ECDSA} from "solady/src/utils/ECDSA.sol";

/// @notice Test double: a wallet that speaks EIP-1271 for one key and can call out for it. The signature it
/// wants is one byte of its own followed by the key's 65, so no plain ECDSA check accepts it.
contract SmartWallet {
    bytes4 internal constant VALID = 0x1626ba7e;

    address public immutable key;

    constructor(address key_) {
        key = key_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        if (signature.length != 66 || signature[0] != 0x77) return 0xffffffff;
        return ECDSA.tryRecoverCalldata(digest, signature[1:]) == key ? VALID : bytes4(0xffffffff);
    }

    function execute(address target, bytes calldata data) external returns (bytes memory result) {
        bool done;
        (done, result) = target.call(data);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
    }
}
