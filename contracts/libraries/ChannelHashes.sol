// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ChannelConfig} from "../types/ChannelTypes.sol";

/// @notice The EIP-712 digests of the x402 scheme `batch-settlement`. Pure rules.
library ChannelHashes {
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME_HASH = keccak256("x402 Batch Settlement");
    bytes32 private constant VERSION_HASH = keccak256("1");
    bytes32 private constant CHANNEL_CONFIG_TYPEHASH = keccak256(
        "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
    );
    bytes32 private constant VOUCHER_TYPEHASH =
        keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)");
    bytes32 private constant REFUND_TYPEHASH =
        keccak256("Refund(bytes32 channelId,uint256 nonce,uint128 amount)");
    bytes32 private constant CLAIM_ENTRY_TYPEHASH =
        keccak256("ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)");
    bytes32 private constant CLAIM_BATCH_TYPEHASH = keccak256(
        "ClaimBatch(ClaimEntry[] claims)ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
    );

    /// @notice The domain separator of `settlement` on this chain.
    function separator(address settlement) internal view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH, block.chainid, settlement));
    }

    /// @notice A channel's id is the whole digest of its configuration: no two chains or contracts share one.
    function channelId(bytes32 domain, ChannelConfig calldata config) internal pure returns (bytes32) {
        bytes32 structHash;
        bytes32 typehash = CHANNEL_CONFIG_TYPEHASH;
        // The struct's seven words lie in calldata as EIP-712 wants them. Encoding them field by field would check each for
        // bits beyond its type; here such a word makes the id of a channel that every typed read of the field refuses.
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typehash)
            calldatacopy(add(free, 0x20), config, 0xe0)
            structHash := keccak256(free, 0x100)
        }
        return _digest(domain, structHash);
    }

    function voucher(bytes32 domain, bytes32 channel, uint128 ceiling) internal pure returns (bytes32) {
        bytes32 structHash;
        bytes32 typehash = VOUCHER_TYPEHASH;
        // As abi.encode would, but in memory that is used again for the next row.
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typehash)
            mstore(add(free, 0x20), channel)
            mstore(add(free, 0x40), shr(128, shl(128, ceiling)))
            structHash := keccak256(free, 0x60)
        }
        return _digest(domain, structHash);
    }

    function refund(bytes32 domain, bytes32 channel, uint256 nonce, uint128 amount)
        internal
        pure
        returns (bytes32)
    {
        return _digest(domain, keccak256(abi.encode(REFUND_TYPEHASH, channel, nonce, amount)));
    }

    /// @notice One row of a batch of claims.
    function claimEntry(bytes32 channel, uint128 ceiling, uint128 totalClaimed)
        internal
        pure
        returns (bytes32 entry)
    {
        bytes32 typehash = CLAIM_ENTRY_TYPEHASH;
        // As abi.encode would, but in memory that is used again for the next row.
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typehash)
            mstore(add(free, 0x20), channel)
            mstore(add(free, 0x40), shr(128, shl(128, ceiling)))
            mstore(add(free, 0x60), shr(128, shl(128, totalClaimed)))
            entry := keccak256(free, 0x80)
        }
    }

    function claimBatch(bytes32 domain, bytes32[] memory entries) internal pure returns (bytes32) {
        bytes32 hashed;
        // The array's words where they lie, as abi.encodePacked would copy them.
        assembly ("memory-safe") {
            hashed := keccak256(add(entries, 0x20), shl(5, mload(entries)))
        }
        return _digest(domain, keccak256(abi.encode(CLAIM_BATCH_TYPEHASH, hashed)));
    }

    /// @dev keccak256(0x1901 | domain | structHash), in scratch space and the two bytes of the free pointer's word that
    /// are put back to the zeros they always are.
    function _digest(bytes32 domain, bytes32 structHash) private pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            mstore(0x00, hex"1901")
            mstore(0x02, domain)
            mstore(0x22, structHash)
            digest := keccak256(0x00, 0x42)
            mstore(0x22, 0)
        }
    }
}
