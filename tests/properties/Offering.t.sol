// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IOffering} from "../../contracts/interfaces/IOffering.sol";
import {SaleTerms} from "../../contracts/libraries/SaleTerms.sol";
import {NodeId} from "../../contracts/types/NodeTypes.sol";
import {OfferingHandler} from "./OfferingHandler.sol";
import {HistoryProperty} from "./Property.sol";

/// @notice Invariants 1, 8 and 9 over three sales, real shares and registry, and an honest oracle's stand-in.
contract OfferingInvariants is HistoryProperty {
    OfferingHandler private handler;

    function setUp() public {
        handler = new OfferingHandler();
        _play(address(handler));
        _leaveOut(OfferingHandler.settleAll.selector);
    }

    /// @dev One campaign for all: forge plays a history anew for every invariant function.
    function invariant_sales() public view {
        solvency();
        everyDollarIsSomewhere();
        sharesFollowTheSale();
        nodeIsHeldWhileUndecided();
    }

    /// 1. The offering holds exactly what its sales owe, and what was given to it for nothing.
    function solvency() private view {
        uint256 owed = handler.donated();
        for (uint256 node = 1; node <= handler.NODES(); ++node) {
            OfferingHandler.Ghost memory ghost = handler.ghost(node);
            owed += ghost.raised - ghost.refunded - ghost.withdrawn;
        }
        equal(handler.usd().balanceOf(address(handler.offering())), owed, "balance");
    }

    /// 9. released + refundable + refunded = raised, each as the ghosts saw the money move.
    function everyDollarIsSomewhere() private view {
        for (uint256 node = 1; node <= handler.NODES(); ++node) {
            OfferingHandler.Ghost memory ghost = handler.ghost(node);
            IOffering.Sale memory sale = handler.offering().saleOf(NodeId.wrap(uint32(node)));
            IOffering.Terms memory terms = handler.offering().termsOf(NodeId.wrap(uint32(node)));
            equal(sale.raisedUsd6, ghost.raised, "raised");
            equal(sale.refundedUsd6, ghost.refunded, "refunded");
            equal(sale.withdrawnUsd6, ghost.withdrawn, "withdrawn");
            equal(sale.soldUnits, ghost.sold, "sold");
            equal(
                uint256(sale.releasedUsd6) + sale.refundableUsd6 + sale.refundedUsd6,
                ghost.raised,
                "conserved"
            );
            atLeast(ghost.raised * SaleTerms.SHARE, ghost.sold * terms.priceUsd6PerShare, "at its price");
            if (ghost.delivered) {
                equal(sale.releasedUsd6, ghost.raised, "released when delivered");
            } else if (
                sale.state == IOffering.State.Delivering || ghost.sold >= terms.softCapUnits && ghost.failed
            ) {
                equal(sale.releasedUsd6, ghost.raised * terms.upfrontBps / 10_000, "released at the close");
            } else {
                equal(sale.releasedUsd6, 0, "released before the close");
            }
        }
    }

    /// Shares are what was sold, less what was burned, and the retained ones while there is hope.
    function sharesFollowTheSale() private view {
        for (uint256 node = 1; node <= handler.NODES(); ++node) {
            OfferingHandler.Ghost memory ghost = handler.ghost(node);
            uint256 expected = ghost.sold - ghost.burned + (ghost.failed ? 0 : ghost.retained);
            equal(handler.share(node).totalSupply(), expected, "supply");
        }
    }

    /// The node is held exactly while its sale is undecided, and a sale is decided one way.
    function nodeIsHeldWhileUndecided() private view {
        for (uint256 node = 1; node <= handler.NODES(); ++node) {
            NodeId id = NodeId.wrap(uint32(node));
            OfferingHandler.Ghost memory ghost = handler.ghost(node);
            IOffering.State state = handler.offering().stateOf(id);
            bool undecided = state == IOffering.State.Open || state == IOffering.State.Delivering;
            equal(handler.registry().holdsOf(id, address(handler.offering())), undecided ? 1 : 0, "holds");
            holds(!(ghost.delivered && ghost.failed), "decided both ways");
            holds(ghost.delivered == (state == IOffering.State.Delivered), "delivered");
            holds(ghost.failed == (state == IOffering.State.Failed), "failed");
        }
    }

    /// 8 and 9. Paused or not, whoever has something gets it, and all refunds together leave nothing.
    function afterInvariant() public {
        handler.settleAll();
        solvency();
        everyDollarIsSomewhere();
    }

    /// The invariants are about something: a few actions lead to every end of a sale.
    function test_TheHandlerReachesEveryEnd() public {
        for (uint256 node; node < 3; ++node) {
            handler.buy(node, 0, 0, 6e6, false);
        }
        handler.pass(2, 2 days);
        for (uint256 node; node < 3; ++node) {
            handler.close(node);
        }
        handler.measure(0, 1 hours, 1 hours, 1);
        handler.measure(1, 1 hours, 0, 2);
        handler.pass(3, 5 days);
        handler.measure(0, 1 hours, 1 hours, 1);
        handler.measure(1, 1 hours, 0, 2);
        handler.decideNow(0, true);
        handler.decideNow(1, false);
        handler.pass(19, 40 days);
        handler.expire(2);
        holds(handler.ghost(1).delivered, "delivered");
        holds(handler.ghost(2).failed, "missed");
        holds(handler.ghost(3).failed, "expired");
        handler.transferShares(1, 0, 1, 2e6);
        handler.refund(1, 1, 2, 1e6, false);
        atLeast(handler.ghost(2).refunded, 1, "refunded to whoever holds");
        afterInvariant();
        holds(handler.ghost(1).withdrawn != 0, "withdrawn");
    }
}
