// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ReservoirState} from "./ShareTypes.sol";

/// @notice A ReservoirState in one word, first field in the lowest bits:
/// accountedUsd6 64 | updatedAt 32 | pendingX48 80 | indexX48 80.
/// How it changes is the library Reservoir's.
type ReservoirWord is uint256;

using {accountedUsd6, updatedAt, pendingX48, indexX48, account, discount, unpack} for ReservoirWord global;

uint256 constant UPDATED_AT_SHIFT = 64;
uint256 constant PENDING_SHIFT = 96;
uint256 constant INDEX_SHIFT = 176;

function accountedUsd6(ReservoirWord self) pure returns (uint256) {
    return uint64(ReservoirWord.unwrap(self));
}

/// @notice Zero until the clock was started.
function updatedAt(ReservoirWord self) pure returns (uint256) {
    return uint32(ReservoirWord.unwrap(self) >> UPDATED_AT_SHIFT);
}

function pendingX48(ReservoirWord self) pure returns (uint256) {
    return uint80(ReservoirWord.unwrap(self) >> PENDING_SHIFT);
}

/// @notice The index at `updatedAt`.
function indexX48(ReservoirWord self) pure returns (uint256) {
    return ReservoirWord.unwrap(self) >> INDEX_SHIFT;
}

/// @notice `amountUsd6` more is accounted for: at most what is missing to 2^56 - 1.
function account(ReservoirWord self, uint256 amountUsd6) pure returns (ReservoirWord) {
    // Unchecked: the sum stays within the field, so it never carries.
    unchecked {
        return ReservoirWord.wrap(ReservoirWord.unwrap(self) + amountUsd6);
    }
}

/// @notice `amountUsd6` less is accounted for: at most `accountedUsd6`.
function discount(ReservoirWord self, uint256 amountUsd6) pure returns (ReservoirWord) {
    // Unchecked: the difference stays within the field, so it never borrows.
    unchecked {
        return ReservoirWord.wrap(ReservoirWord.unwrap(self) - amountUsd6);
    }
}

/// @dev Each value fits its field, as every caller shows.
function packReservoir(uint256 accounted, uint256 time, uint256 pending, uint256 index)
    pure
    returns (ReservoirWord)
{
    return ReservoirWord.wrap(
        accounted | (time << UPDATED_AT_SHIFT) | (pending << PENDING_SHIFT) | (index << INDEX_SHIFT)
    );
}

function unpack(ReservoirWord self) pure returns (ReservoirState memory) {
    // Casts: each field was read from its own bits.
    return ReservoirState({
        accountedUsd6: uint64(self.accountedUsd6()),
        updatedAt: uint32(self.updatedAt()),
        pendingX48: uint80(self.pendingX48()),
        indexX48: uint80(self.indexX48())
    });
}
