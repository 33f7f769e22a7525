// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PlainUSD} from "../../contracts/bench/PlainUSD.sol";
import {IBatchSettlement} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Property} from "./Property.sol";
import {SettlementHandler} from "./SettlementHandler.sol";

/// @notice Invariants 1, 5 and 8 of the design over random histories of eight channels. 8 is asserted by the handler around
/// every step, and at the end by everyone leaving.
contract BatchSettlementInvariants is Property {
    SettlementHandler private handler;
    IBatchSettlement private settlement;

    function setUp() public {
        handler = new SettlementHandler();
        settlement = handler.settlement();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev Every step of the handler, but not the end of the history.
    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        excluded = new FuzzSelector[](1);
        excluded[0].addr = address(handler);
        excluded[0].selectors = new bytes4[](1);
        excluded[0].selectors[0] = SettlementHandler.everyoneLeaves.selector;
    }

    /// @dev One campaign for all: forge plays a history anew for every invariant function.
    function invariant_channels() public view {
        solvency();
        channelsAreAsTheirGhosts();
        receiversAreOwedWhatWasClaimed();
    }

    /// 1. Of each dollar exactly what is unclaimed, claimed and unsettled, and given for nothing.
    function solvency() private view {
        for (uint256 token; token < 2; ++token) {
            uint256 owed = handler.donated(token);
            for (uint256 i = token; i < handler.CHANNELS(); i += 2) {
                (uint128 balance, uint128 claimed) = settlement.channels(handler.id(i));
                owed += balance - claimed;
            }
            for (uint256 i; i < handler.PARTIES(); ++i) {
                (uint128 total, uint128 settled) =
                    settlement.receivers(handler.receiver(i), handler.tokens(token));
                owed += total - settled;
            }
            equal(PlainUSD(handler.tokens(token)).balanceOf(address(settlement)), owed, "balance");
        }
    }

    /// 5. A ghost's claims only rise, and never above a ceiling that was signed.
    function channelsAreAsTheirGhosts() private view {
        for (uint256 i; i < handler.CHANNELS(); ++i) {
            SettlementHandler.Ghost memory ghost = handler.ghost(i);
            (uint128 balance, uint128 claimed) = settlement.channels(handler.id(i));
            equal(balance, ghost.deposited - ghost.givenBack, "channel's balance");
            equal(claimed, ghost.claimed, "channel's claims");
            atMost(claimed, balance, "claimed out of the balance");
            atMost(claimed, ghost.highestCeiling, "claimed up to a ceiling");
            (uint128 asked, uint40 askedAt) = settlement.pendingWithdrawals(handler.id(i));
            equal(asked, ghost.asked, "withdrawal");
            equal(askedAt, ghost.askedAt, "withdrawal's time");
        }
    }

    function receiversAreOwedWhatWasClaimed() private view {
        for (uint256 token; token < 2; ++token) {
            for (uint256 who; who < handler.PARTIES(); ++who) {
                uint256 claimed;
                for (uint256 i = token; i < handler.CHANNELS(); i += 2) {
                    if (i % handler.PARTIES() == who) claimed += handler.ghost(i).claimed;
                }
                address account = handler.receiver(who);
                (uint128 total, uint128 settled) = settlement.receivers(account, handler.tokens(token));
                equal(total, claimed, "claimed for the receiver");
                equal(settled, PlainUSD(handler.tokens(token)).balanceOf(account), "settled to the receiver");
            }
        }
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
        atLeast(handler.ghost(1).givenBack, 1, "withdrawn");
        equal(handler.ghost(4).givenBack, 0, "blacklisted");
        atLeast(handler.ghost(0).givenBack, 100, "refunded");
        invariant_channels();
        afterInvariant();
    }
}
