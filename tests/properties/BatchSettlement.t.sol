// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PlainUSD} from "../../contracts/bench/PlainUSD.sol";
import {IBatchSettlement} from "../../contracts/interfaces/IBatchSettlement.sol";
import {HistoryProperty} from "./Property.sol";
import {SettlementHandler} from "./SettlementHandler.sol";

/// @notice Adds to the handler what the invariants ask of the settlement.
contract SettlementWitness is SettlementHandler {
    /// 5. A ghost's claims only rise, and never above a ceiling that was signed.
    function checkChannels() external view {
        for (uint256 i; i < CHANNELS; ++i) {
            Ghost memory seen = ghosts[i];
            (uint128 balance, uint128 claimed) = settlement.channels(id[i]);
            equal(balance, seen.deposited - seen.givenBack, "channel's balance");
            equal(claimed, seen.claimed, "channel's claims");
            atMost(claimed, balance, "claimed out of the balance");
            atMost(claimed, seen.highestCeiling, "claimed up to a ceiling");
            (uint128 asked, uint40 askedAt) = settlement.pendingWithdrawals(id[i]);
            equal(asked, seen.asked, "withdrawal");
            equal(askedAt, seen.askedAt, "withdrawal's time");
        }
    }

    /// Receivers are owed what was claimed; and 1, of each dollar exactly what is unclaimed, claimed and unsettled, and
    /// given for nothing.
    function checkMoney() external view {
        for (uint256 token; token < 2; ++token) {
            PlainUSD usd = PlainUSD(tokens[token]);
            uint256[PARTIES] memory claimed;
            uint256 owed = donated[token];
            for (uint256 i = token; i < CHANNELS; i += 2) {
                claimed[i % PARTIES] += ghosts[i].claimed;
                owed += _available(i);
            }
            for (uint256 who; who < PARTIES; ++who) {
                (uint128 total, uint128 settled) = settlement.receivers(_receiver(who), address(usd));
                equal(total, claimed[who], "claimed for the receiver");
                equal(settled, usd.balanceOf(_receiver(who)), "settled to the receiver");
                owed += total - settled;
            }
            equal(usd.balanceOf(address(settlement)), owed, "balance");
        }
    }
}

/// @notice Invariants 1, 5 and 8 of the design over random histories of eight channels. 8 is asserted by the handler around
/// every step, and at the end by everyone leaving.
contract BatchSettlementInvariants is HistoryProperty {
    SettlementWitness private handler;
    IBatchSettlement private settlement;

    function setUp() public {
        handler = new SettlementWitness();
        settlement = handler.settlement();
        _play(address(handler));
        _leaveOut(SettlementHandler.everyoneLeaves.selector);
    }

    /// @dev One campaign for all: forge plays a history anew for every invariant function.
    function invariant_channels() public view {
        handler.checkChannels();
        handler.checkMoney();
    }

    /// 8. All that is left is what was given for nothing.
    function afterInvariant() public {
        handler.everyoneLeaves();
        invariant_channels();
        for (uint256 token; token < 2; ++token) {
            uint256 left = PlainUSD(handler.tokens(token)).balanceOf(address(settlement));
            equal(left, handler.donated(token), "left behind");
        }
    }

    /// The invariants are about something: a few actions lead to every kind of end.
    function test_TheHandlerReachesEveryEnd() public {
        for (uint256 i; i < handler.CHANNELS(); ++i) {
            handler.deposit(i, 1_000);
            handler.claim(i, 400, 100, i);
            handler.initiate(i, 500);
        }
        handler.claimBatch(7, 6);
        handler.replay(3);
        handler.overclaim(0, 5);
        for (uint256 how; how < 18; ++how) {
            handler.depositHostilely(how, 77, 77, 77, how);
        }
        handler.refund(0, 100, true);
        handler.blacklist(0, true);
        handler.blacklist(3, true);
        handler.arm(1, 1, 4);
        handler.donate(0, 5);
        handler.meddle(1, 2);
        handler.pass(2 hours);
        for (uint256 i; i < handler.CHANNELS(); ++i) {
            handler.finalize(i);
            handler.settle(i / 2, i);
        }
        atLeast(handler.givenBack(1), 1, "withdrawn");
        equal(handler.givenBack(4), 0, "blacklisted");
        atLeast(handler.givenBack(0), 100, "refunded");
        invariant_channels();
        afterInvariant();
    }
}
