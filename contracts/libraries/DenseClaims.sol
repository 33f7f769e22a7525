// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IBatchSettlement} from "../interfaces/IBatchSettlement.sol";

/// @notice Reads the dense batches that ISettleRouter describes. Pure rules; their twin is reference/dense_claims.py.
library DenseClaims {
    /// The batch ends within what starts at `offset`: the header, the table of receivers, or a row.
    error DenseClaims_Truncated(uint256 offset);
    /// The last row ends at `offset`, the batch does not.
    error DenseClaims_TrailingBytes(uint256 offset);
    /// Whether to sync is 0 or 1.
    error DenseClaims_UnknownSyncFlag(uint256 offset, uint256 flag);
    /// No row has these flags: the payer authorizer is 0, 1 or 2.
    error DenseClaims_UnknownFlags(uint256 offset, uint256 flags);

    uint256 private constant HEADER = 46;
    uint256 private constant RECEIVER = 23;

    /// @notice Whose claims the batch carries, after checking header and table.
    function receiverCount(bytes calldata batch) internal pure returns (uint256 count) {
        if (batch.length < HEADER) revert DenseClaims_Truncated(0);
        count = uint8(batch[HEADER - 1]);
        if (batch.length < HEADER + count * RECEIVER) revert DenseClaims_Truncated(HEADER);
    }

    /// @notice The `index`-th receiver. Only after `receiverCount`, and below it.
    function receiverAt(bytes calldata batch, uint256 index)
        internal
        pure
        returns (address receiver, bool toSync, uint256 rows)
    {
        uint256 offset = HEADER + index * RECEIVER;
        uint256 word = uint256(bytes32(batch[offset:offset + RECEIVER]));
        uint256 flag = uint8(word >> 88);
        if (flag > 1) revert DenseClaims_UnknownSyncFlag(offset + 20, flag);
        (receiver, toSync, rows) = (address(uint160(word >> 96)), flag == 1, uint16(word >> 72));
    }

    function token(bytes calldata batch) internal pure returns (address) {
        return address(bytes20(batch[20:40]));
    }

    /// @notice The whole of a call `claimWithSignature(VoucherClaim[], bytes)`, as abi.encodeCall would make it.
    function expand(bytes calldata batch, bytes calldata signature)
        internal
        pure
        returns (bytes memory data)
    {
        uint256 receivers = receiverCount(batch);
        uint256 count;
        for (uint256 i; i < receivers; ++i) {
            (,, uint256 rows) = receiverAt(batch, i);
            count += rows;
        }
        bytes4 selector = IBatchSettlement.claimWithSignature.selector;
        uint256 heads; // where the rows' places are noted
        uint256 cursor; // the next row in calldata
        assembly ("memory-safe") {
            data := mload(0x40)
            mstore(add(data, 0x20), selector)
            mstore(add(data, 0x24), 0x40)
            mstore(add(data, 0x64), count)
            heads := add(data, 0x84)
            cursor := add(add(batch.offset, HEADER), mul(receivers, RECEIVER))
        }
        (uint256 head, uint256 out) = (heads, heads + 32 * count); // where the next row's place and the row are written
        for (uint256 i; i < receivers; ++i) {
            (address receiver,, uint256 rows) = receiverAt(batch, i);
            for (uint256 end = head + 32 * rows; head != end;) {
                assembly ("memory-safe") {
                    mstore(head, sub(out, heads))
                    mstore(add(out, 0x40), receiver)
                    head := add(head, 0x20)
                }
                (out, cursor) = _expandRow(batch, cursor, out);
            }
        }
        if (_offset(batch, cursor) != batch.length) revert DenseClaims_TrailingBytes(_offset(batch, cursor));
        assembly ("memory-safe") {
            // The authorizer's signature, the end of the call, and the free pointer behind it.
            mstore(add(data, 0x44), sub(out, add(data, 0x24)))
            mstore(out, signature.length)
            out := add(out, 0x20)
            calldatacopy(out, signature.offset, signature.length)
            out := add(out, signature.length)
            mstore(out, 0) // what pads it
            out := add(out, and(sub(0, signature.length), 31))
            mstore(data, sub(out, add(data, 0x20)))
            mstore(0x40, and(add(out, 0x3f), not(31)))
        }
    }

    /// @dev Writes the row at `row` of the calldata, all but its receiver, as a VoucherClaim to `out`; where the next of both
    /// begin. Past the end of the batch it reads whatever the calldata has there, and then refuses.
    function _expandRow(bytes calldata batch, uint256 row, uint256 out)
        private
        pure
        returns (uint256 nextOut, uint256 cursor)
    {
        uint256 flags;
        assembly ("memory-safe") {
            let first := calldataload(row)
            flags := byte(0, first)
            let payer := shr(96, shl(8, first))
            mstore(out, payer)
            mstore(add(out, 0x20), mul(payer, and(flags, 1)))
            mstore(add(out, 0x60), shr(96, calldataload(batch.offset))) // receiver authorizer
            mstore(add(out, 0x80), shr(96, calldataload(add(batch.offset, 20)))) // token
            mstore(add(out, 0xa0), shr(216, calldataload(add(batch.offset, 40)))) // withdrawal delay
            cursor := add(row, 21)
        }
        if (flags & 2 != 0) {
            if (flags & 1 != 0) revert DenseClaims_UnknownFlags(_offset(batch, row), flags);
            assembly ("memory-safe") {
                mstore(add(out, 0x20), shr(96, calldataload(cursor))) // payer authorizer
                cursor := add(cursor, 20)
            }
        }
        assembly ("memory-safe") {
            let salted := and(flags, 4)
            mstore(add(out, 0xc0), mul(calldataload(cursor), shr(2, salted))) // salt
            cursor := add(cursor, shl(3, salted))
            let bits := add(shr(1, and(flags, 0xf0)), 8) // of an amount
            let unused := sub(256, bits)
            let width := shr(3, bits)
            mstore(add(out, 0x120), shr(unused, calldataload(cursor))) // total claimed
            cursor := add(cursor, width)
            mstore(add(out, 0xe0), shr(unused, calldataload(cursor))) // ceiling
            cursor := add(cursor, width)
            mstore(add(out, 0x100), 0x140) // where in the claim its signature is
            switch and(flags, 8)
            case 0 {
                let s := calldataload(add(cursor, 0x20))
                mstore(add(out, 0x140), 65)
                mstore(add(out, 0x160), calldataload(cursor))
                mstore(add(out, 0x180), shr(1, shl(1, s)))
                mstore(add(out, 0x1a0), shl(248, add(27, shr(255, s))))
                cursor := add(cursor, 0x40)
                nextOut := add(out, 0x1c0)
            }
            default {
                let length := shr(240, calldataload(cursor))
                nextOut := add(add(out, 0x160), and(add(length, 31), not(31)))
                mstore(add(out, 0x140), length)
                mstore(sub(nextOut, 0x20), 0) // what pads it; of an empty one, its length once more
                calldatacopy(add(out, 0x160), add(cursor, 2), length)
                cursor := add(add(cursor, 2), length)
            }
        }
        if (_offset(batch, cursor) > batch.length) revert DenseClaims_Truncated(_offset(batch, row));
    }

    /// @dev A place in the calldata, counted from the batch's first byte.
    function _offset(bytes calldata batch, uint256 cursor) private pure returns (uint256 offset) {
        assembly ("memory-safe") {
            offset := sub(cursor, batch.offset)
        }
    }
}
