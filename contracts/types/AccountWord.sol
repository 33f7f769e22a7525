// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ShareAccount} from "./ShareTypes.sol";

/// @notice A ShareAccount in one word, first field in the lowest bits:
/// balanceUnits 64 | accruedX16 72 | indexX48 80 | flags 40.
/// Kept as a word because a struct in memory would cost every transfer some 500 gas.
type AccountWord is uint256;

using {
    balanceUnits,
    accruedX16,
    flags,
    accrueDown,
    add,
    sub,
    dropWholeUnits,
    withFlag,
    unpack
} for AccountWord global;

uint256 constant ACCRUED_SHIFT = 64;
uint256 constant INDEX_SHIFT = 136;
uint256 constant FLAGS_SHIFT = 216;
// The fraction of an atomic stablecoin unit in `accruedX16`.
uint256 constant FRACTION_BITS = 16;

function balanceUnits(AccountWord self) pure returns (uint256) {
    return uint64(AccountWord.unwrap(self));
}

function accruedX16(AccountWord self) pure returns (uint256) {
    return uint72(AccountWord.unwrap(self) >> ACCRUED_SHIFT);
}

function flags(AccountWord self) pure returns (uint256) {
    return AccountWord.unwrap(self) >> FLAGS_SHIFT;
}

/// @notice Adds what the balance has earned since the account's own index and moves that to `indexX48`.
/// Rounded down by less than 2^-16 of an atomic unit, which stays in the reservoir as dust: together the
/// accounts never get more than came in.
/// @param indexX48 Not below the account's own, at most 2^80 - 1.
function accrueDown(AccountWord self, uint256 indexX48) pure returns (AccountWord) {
    // Unchecked: the index never falls; 48 bits times 80. All that one account has accrued is part of
    // `accountedUsd6`, below 2^56, so times 2^16 it stays within its 72 bits and never carries.
    unchecked {
        uint256 word = AccountWord.unwrap(self);
        uint256 earnedX16 = (uint64(word) * (indexX48 - uint80(word >> INDEX_SHIFT))) >> 32;
        uint256 kept = word & ~(uint256(type(uint80).max) << INDEX_SHIFT);
        return AccountWord.wrap((kept | (indexX48 << INDEX_SHIFT)) + (earnedX16 << ACCRUED_SHIFT));
    }
}

/// @notice More shares. All balances together are the supply, at most 2^48, so the field never carries.
function add(AccountWord self, uint256 units) pure returns (AccountWord) {
    unchecked {
        return AccountWord.wrap(AccountWord.unwrap(self) + units);
    }
}

/// @notice Fewer shares; `units` at most the balance, so the field never borrows.
function sub(AccountWord self, uint256 units) pure returns (AccountWord) {
    unchecked {
        return AccountWord.wrap(AccountWord.unwrap(self) - units);
    }
}

/// @notice The account after its whole units were claimed: the fraction stays accrued.
function dropWholeUnits(AccountWord self) pure returns (AccountWord) {
    uint256 wholeUnits = uint256(type(uint72).max >> FRACTION_BITS) << (ACCRUED_SHIFT + FRACTION_BITS);
    return AccountWord.wrap(AccountWord.unwrap(self) & ~wholeUnits);
}

function withFlag(AccountWord self, uint256 flag, bool on) pure returns (AccountWord) {
    uint256 bit = flag << FLAGS_SHIFT;
    uint256 word = AccountWord.unwrap(self);
    return AccountWord.wrap(on ? word | bit : word & ~bit);
}

function unpack(AccountWord self) pure returns (ShareAccount memory) {
    uint256 word = AccountWord.unwrap(self);
    // Casts: each takes its own field.
    return ShareAccount({
        balanceUnits: uint64(word),
        accruedX16: uint72(word >> ACCRUED_SHIFT),
        indexX48: uint80(word >> INDEX_SHIFT),
        flags: uint40(word >> FLAGS_SHIFT)
    });
}
