// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ExpDecay} from "../../contracts/libraries/ExpDecay.sol";
import {Reservoir} from "../../contracts/libraries/Reservoir.sol";
import {AccountWord} from "../../contracts/types/AccountWord.sol";
import {ReservoirWord} from "../../contracts/types/ReservoirWord.sol";
import {Property} from "./Property.sol";

/// @notice The share's pure rules: the exponential, the reservoir's streaming, an account's accrual.
contract NodeShareReservoirTest is Property {
    using Reservoir for ReservoirWord;

    uint256 private constant MAX = type(uint80).max;

    /// @dev A reservoir in reach: pending + index <= MAX, updated at second 1,000.
    function _reservoir(uint256 accounted, uint256 pending, uint256 index)
        private
        pure
        returns (ReservoirWord)
    {
        return ReservoirWord.wrap(accounted | (1_000 << 64) | (pending << 96) | (index << 176));
    }

    function _tau(uint256 seed) private pure returns (uint256) {
        return bound(seed, 1 hours, 90 days);
    }

    /// @dev Seconds as often as years.
    function _elapsed(uint256 seed) private pure returns (uint256) {
        return (seed >> 8) % (uint256(1) << (seed % 40));
    }

    // Invariant 4: the index is monotone in time -----------------------------------------------------

    function test_release_neverFallsWithTime(uint256 tauSeed, uint256 elapsedSeed, uint256 laterSeed)
        public
        pure
    {
        uint256 tau = _tau(tauSeed);
        uint256 elapsed = _elapsed(elapsedSeed);
        uint256 released = ExpDecay.releasedX64Down(elapsed, tau);
        atMost(released, ExpDecay.releasedX64Down(elapsed + 1, tau), "a second later");
        atMost(released, ExpDecay.releasedX64Down(elapsed + _elapsed(laterSeed), tau), "any time later");
        atMost(released, 1 << 64, "no more than all");
    }

    function test_release_startsAtNothingAndEndsAtAll(uint256 tauSeed, uint256 elapsedSeed) public pure {
        uint256 tau = _tau(tauSeed);
        equal(ExpDecay.releasedX64Down(0, tau), 0, "at once");
        atLeast(ExpDecay.releasedX64Down(1, tau), 1, "after a second");
        equal(ExpDecay.releasedX64Down(64 * tau + _elapsed(elapsedSeed), tau), 1 << 64, "after 64 tau");
    }

    /// @dev e^-(x+y) = e^-x e^-y, up to the roundings of three releases and of x itself.
    function test_release_isExponential(uint256 tauSeed, uint256 firstSeed, uint256 secondSeed) public pure {
        uint256 tau = _tau(tauSeed);
        uint256 first = _elapsed(firstSeed) % (30 * tau);
        uint256 second = _elapsed(secondSeed) % (30 * tau);
        uint256 one = 1 << 64;
        uint256 product =
            ((one - ExpDecay.releasedX64Down(first, tau)) * (one - ExpDecay.releasedX64Down(second, tau)))
                >> 64;
        uint256 whole = one - ExpDecay.releasedX64Down(first + second, tau);
        atMost(whole, product + 4, "not slower");
        atMost(product, whole + 8, "not faster");
    }

    // Invariant 4: splitting a period into steps changes the released total by rounding only -----------

    function test_checkpoint_splitsAPeriodUpToRounding(
        uint256 tauSeed,
        uint256 pending,
        uint256[8] memory stepSeeds
    ) public pure {
        uint256 tau = _tau(tauSeed);
        pending %= MAX + 1;
        ReservoirWord whole = _reservoir(1, pending, 0);
        ReservoirWord stepped = whole;
        uint256 time = 1_000;
        for (uint256 i = 0; i < stepSeeds.length; ++i) {
            uint256 index = stepped.indexX48();
            time += _elapsed(stepSeeds[i]);
            stepped = stepped.checkpoint(time, tau);
            equal(stepped.pendingX48() + stepped.indexX48(), pending, "nothing made or lost");
            equal(stepped.indexAt(time, tau), stepped.indexX48(), "a checkpoint changes no index");
            atMost(index, stepped.indexX48(), "monotone over steps");
        }
        // Each step floors once and is late by less than two units of 2^-64 of what is pending; 2^32 - 1 is
        // where the clock stops, beyond what eight steps reach only as years.
        if (time > type(uint32).max) return;
        uint256 slack = stepSeeds.length * (1 + ((pending * 4) >> 64)) + 1;
        atMost(stepped.indexX48(), whole.indexAt(time, tau) + slack, "not early");
        atMost(whole.indexAt(time, tau), stepped.indexX48() + slack, "not late");
    }

    // Bounds of the fields ---------------------------------------------------------------------------

    function test_absorb_staysInsideTheBound(uint256 pending, uint256 index, uint256 supply, uint256 income)
        public
        pure
    {
        index %= MAX + 1;
        pending %= MAX - index + 1;
        supply = bound(supply, 1, 1 << 48);
        ReservoirWord state = _reservoir(5, pending, index);
        income = bound(income, 0, state.roomUsd6Down(supply));
        ReservoirWord filled = state.absorbDown(income, supply);
        atMost(filled.pendingX48() + filled.indexX48(), MAX, "within the bound");
        equal(filled.indexX48(), index, "index untouched");
        equal(filled.accountedUsd6(), 5, "accounted untouched");
        uint256 spreadX48 = (filled.pendingX48() - pending) * supply;
        atMost(spreadX48, income << 48, "no more than came in");
        atMost(income << 48, spreadX48 + supply, "dust below one unit");
    }

    function test_respread_losesNothingButDust(
        uint256 pending,
        uint256 index,
        uint256 oldSupply,
        uint256 newSupply
    ) public pure {
        index %= MAX + 1;
        pending %= MAX - index + 1;
        oldSupply = bound(oldSupply, 1, 1 << 48);
        newSupply = bound(newSupply, 0, oldSupply);
        uint256 accounted = ((pending * oldSupply) >> 48) + 1;
        if (accounted > type(uint56).max) return;
        (ReservoirWord next, uint256 excess) =
            _reservoir(accounted, pending, index).respreadDown(oldSupply, newSupply);
        atMost(next.pendingX48() + next.indexX48(), MAX, "within the bound");
        equal(next.indexX48(), index, "index untouched");
        equal(next.accountedUsd6() + excess, accounted, "excess is accounted for no more");
        uint256 keptX48 = next.pendingX48() * newSupply + (excess << 48);
        atMost(keptX48, pending * oldSupply, "no more than was pending");
        atMost(pending * oldSupply, keptX48 + (1 << 48) - 1, "dust below one unit");
        if (newSupply == 0) equal(next.pendingX48(), 0, "nobody left to earn it");
    }

    function test_reservoirWord_keepsEachField(uint64 accounted, uint32 time, uint80 pending, uint80 index)
        public
        pure
    {
        ReservoirWord word = ReservoirWord.wrap(
            uint256(accounted) | (uint256(time) << 64) | (uint256(pending) << 96) | (uint256(index) << 176)
        );
        equal(word.unpack().accountedUsd6, accounted, "accounted");
        equal(word.unpack().updatedAt, time, "updatedAt");
        equal(word.unpack().pendingX48, pending, "pending");
        equal(word.unpack().indexX48, index, "index");
    }

    // Accounts ---------------------------------------------------------------------------------------

    /// @dev Accruing in two steps gives what one step gives, or less by the fraction 2^-16 that each drops.
    function test_accrue_roundsDownAndTouchesOnlyItsFields(
        uint256 balance,
        uint256 accrued,
        uint256 index,
        uint256 middle,
        uint256 last,
        uint40 flags
    ) public pure {
        balance = bound(balance, 0, 1 << 48);
        accrued = bound(accrued, 0, type(uint56).max);
        index = bound(index, 0, MAX);
        last = bound(last, index, MAX);
        middle = bound(middle, index, last);
        // What the account earns is part of what is accounted for, at most 2^56 - 1 atomic units.
        if ((balance * (last - index)) >> 48 >= type(uint56).max) return;
        AccountWord account =
            AccountWord.wrap(balance | (accrued << 64) | (index << 136) | (uint256(flags) << 216));
        AccountWord once = account.accrueDown(last);
        AccountWord twice = account.accrueDown(middle).accrueDown(last);
        equal(once.accruedX16(), accrued + ((balance * (last - index)) >> 32), "what it earned");
        atMost(twice.accruedX16(), once.accruedX16(), "steps give no more");
        atMost(once.accruedX16(), twice.accruedX16() + 1, "and one unit of 2^-16 less at most");
        equal(once.unpack().indexX48, last, "index");
        equal(once.balanceUnits(), balance, "balance untouched");
        equal(once.flags(), flags, "flags untouched");
        equal(once.dropWholeUnits().accruedX16(), once.accruedX16() % 65_536, "a claim leaves the fraction");
        equal(once.dropWholeUnits().balanceUnits(), balance, "a claim moves no share");
        equal(once.dropWholeUnits().unpack().indexX48, last, "a claim moves no index");
    }
}
