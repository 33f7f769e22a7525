// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PoolReservoir} from "../../contracts/libraries/PoolReservoir.sol";
import {ExpDecay} from "../../contracts/libraries/ExpDecay.sol";
import {ComputePool} from "../../contracts/payments/ComputePool.sol";
import {NodeId} from "../../contracts/types/NodeTypes.sol";
import {PoolAccount, PoolFlow, PoolPeriod} from "../../contracts/types/PoolTypes.sol";
import {ComputePoolHandler} from "./ComputePoolHandler.sol";
import {HistoryProperty, Property} from "./Property.sol";

/// @notice Invariants 1, 2 and 8 over a pool whose members come and go, one with a share that reverts.
contract ComputePoolInvariants is HistoryProperty {
    ComputePoolHandler private handler;

    function setUp() public {
        handler = new ComputePoolHandler();
        _play(address(handler));
        _leaveOut(ComputePoolHandler.settleAll.selector);
    }

    /// @dev One campaign for all: forge plays a history anew for every invariant function.
    function invariant_pool() public view {
        everyDollarIsSomewhere();
        everyMemberHasItsPart();
    }

    /// 1 and 2. received = paid + accounted + unsynced, and accounted = level + set apart + still in the books of
    /// periods, which hold the work of those that are still in them.
    function everyDollarIsSomewhere() private view {
        ComputePool pool = handler.pool();
        PoolFlow memory flow = pool.flow();
        PoolAccount[] memory accounts = handler.accounts();
        uint256 paid = handler.paid();
        uint256 owed;
        for (uint256 i; i < accounts.length; ++i) {
            owed += accounts[i].owedUsd6;
            (uint256 work, bool first) = workIn(accounts, i);
            if (work == 0 || !first) continue;
            PoolPeriod memory book = pool.periodOf(accounts[i].period);
            equal(book.leftWorkUnits, work, "work in the books");
            if (accounts[i].period != flow.openPeriod) owed += book.leftUsd6;
        }
        uint256 balance = handler.usd().balanceOf(address(pool));
        atLeast(balance, flow.accountedUsd6, "solvent");
        equal(paid + balance, handler.received(), "conserved");
        equal(flow.accountedUsd6, flow.levelUsd6 + owed, "accounted");
        atLeast(flow.freshUsd6, flow.unripeUsd6, "unripe is fresh");
        if (flow.openPeriod == 0) return;
        uint256 laterUsd6 = flow.period > flow.openPeriod ? flow.freshUsd6 : 0;
        atLeast(
            flow.levelUsd6, laterUsd6 + handler.releasedUsd6(flow.openPeriod), "there is what it releases"
        );
    }

    /// @dev What the books of this account's period should hold, and whether no account before it is in them.
    function workIn(PoolAccount[] memory accounts, uint256 index)
        private
        pure
        returns (uint256 work, bool first)
    {
        first = true;
        for (uint256 i; i < accounts.length; ++i) {
            if (accounts[i].period != accounts[index].period) continue;
            if (i < index && accounts[i].workUnits != 0) first = false;
            work += accounts[i].workUnits;
        }
        if (accounts[index].workUnits == 0) work = 0;
    }

    /// Each has its part of every distributed period, rounded down, and less than one unit per other member more;
    /// what was counted of it was served, and billed.
    function everyMemberHasItsPart() private view {
        ComputePoolHandler.Part[] memory parts = handler.parts();
        uint256 slack = handler.periodCount() * (parts.length - 1);
        for (uint256 i; i < parts.length; ++i) {
            atLeast(parts[i].hasUsd6, parts[i].dueUsd6, "its part");
            atMost(parts[i].hasUsd6, parts[i].dueUsd6 + slack, "not more than its part");
            atMost(parts[i].counted, parts[i].served, "it served");
            atMost(parts[i].counted, parts[i].billed, "it was billed");
        }
    }

    /// 8. Paused or not, one share blacklisted, another reverting: whoever else has something gets it. What is left in
    /// the books is less than a unit for each whose share of a period is less than one, and has nothing to claim.
    function afterInvariant() public {
        handler.settleAll(2);
        everyDollarIsSomewhere();
        everyMemberHasItsPart();
        atMost(left(), stuck() + dust(), "nothing is left but what is stuck");
        if (stuck() != 0) handler.claim(1);
        handler.settleAll(2);
        atMost(left(), stuck() + dust(), "nothing is left");
    }

    function stuck() private view returns (uint256) {
        return handler.pool().claimableUsd6(NodeId.wrap(2));
    }

    /// @dev Accounted for, and neither in the level nor paid.
    function left() private view returns (uint256) {
        PoolFlow memory flow = handler.pool().flow();
        return flow.accountedUsd6 - flow.levelUsd6;
    }

    function dust() private view returns (uint256 units) {
        PoolAccount[] memory accounts = handler.accounts();
        for (uint256 i; i < accounts.length; ++i) {
            if (accounts[i].workUnits != 0) ++units;
        }
    }

    /// The invariants are about something: a few actions lead to every kind of state.
    function test_TheHandlerReachesEveryKindOfState() public {
        handler.pay(1e9, 1);
        handler.workTogether(1, 5e6, 5e6);
        handler.pass(2, 2 days);
        handler.distribute(0, true);
        handler.claim(4);
        atLeast(handler.usd().balanceOf(handler.shareOf(5)), 1e6, "paid, though its share reverts");
        handler.comeOrGo(0, 0);
        handler.comeOrGo(1, 0);
        handler.rotate();
        handler.workTogether(2, 5e6, 5e6);
        handler.workTogether(3, 7e6, 7e6);
        handler.workTogether(4, 7e6, 7e6);
        atLeast(handler.recorded(1, handler.periods(handler.periodCount() - 1)), 1, "joined");
        equal(handler.recorded(2, handler.periods(handler.periodCount() - 1)), 0, "left");
        this.invariant_pool();
        afterInvariant();
    }
}

/// @notice What a period releases, by arithmetic alone.
contract PoolReservoirRules is Property {
    using PoolReservoir for PoolFlow;

    uint256 private constant PERIOD = 1 days;

    /// One arrival or many that add up to it, at one moment: the same but a unit for each.
    function testFuzz_CuttingAnArrivalChangesOnlyDust(uint64 level, uint64 amount, uint8 pieces, uint256 rest)
        public
        pure
    {
        amount = uint64(bound(amount, 1, 1e15));
        uint256 count = bound(pieces, 1, 20);
        uint256 whole = ExpDecay.releasedX64Down(PERIOD, 7 days);
        rest = ExpDecay.releasedX64Down(bound(rest, 0, PERIOD), 7 days);
        PoolFlow memory once = _flow(uint64(bound(level, 0, 1e15)));
        PoolFlow memory cut = _flow(once.levelUsd6);
        once.absorbUp(amount, whole, rest);
        for (uint256 i; i < count; ++i) {
            cut.absorbUp(amount / count + (i == 0 ? amount % count : 0), whole, rest);
        }
        once.enter(2);
        cut.enter(2);
        atMost(cut.releasedDown(whole), once.releasedDown(whole), "cutting gains nothing");
        atLeast(cut.releasedDown(whole) + count, once.releasedDown(whole), "and costs dust");
    }

    /// Of an arrival never more is released than of one that came earlier, and never more than drains of it.
    function testFuzz_LaterIsLess(uint64 amount, uint256 early, uint256 late) public pure {
        amount = uint64(bound(amount, 1, type(uint64).max));
        early = bound(early, 0, PERIOD);
        late = bound(late, early, PERIOD);
        uint256 of_early = _releasedOf(amount, early);
        atLeast(of_early, _releasedOf(amount, late), "later is less");
        uint256 drained = (uint256(amount) * ExpDecay.releasedX64Down(PERIOD - early, 7 days)) >> 64;
        atMost(of_early, drained, "no more than drains");
        atLeast(of_early + 1, drained, "and a unit less at most");
    }

    /// Nothing of what came after the period is released for it.
    function testFuzz_TheNextPeriodsMoneyIsNotTouched(uint64 level, uint64 fresh) public pure {
        uint256 whole = ExpDecay.releasedX64Down(PERIOD, 7 days);
        PoolFlow memory flow = _flow(uint64(bound(level, 0, type(uint64).max / 2)));
        flow.enter(2);
        uint256 alone = flow.releasedDown(whole);
        flow.absorbUp(bound(fresh, 0, type(uint64).max / 2), whole, 0);
        equal(flow.releasedDown(whole), alone, "as before");
    }

    function _releasedOf(uint64 amount, uint256 after_) private pure returns (uint256) {
        uint256 whole = ExpDecay.releasedX64Down(PERIOD, 7 days);
        PoolFlow memory flow = _flow(0);
        flow.absorbUp(amount, whole, ExpDecay.releasedX64Down(PERIOD - after_, 7 days));
        flow.enter(2);
        return flow.releasedDown(whole);
    }

    function _flow(uint64 level) private pure returns (PoolFlow memory) {
        return PoolFlow(level, level, 0, 1, 0, 0, 0);
    }
}
