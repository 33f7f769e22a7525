// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeShare} from "../../contracts/tokens/NodeShare.sol";
import {ReservoirState} from "../../contracts/types/ShareTypes.sol";
import {NodeShareHandler} from "./NodeShareHandler.sol";
import {HistoryProperty} from "./Property.sol";

/// @notice Invariants 1, 2, 3, 4, 8 and 10 of the design over random histories of a live share.
/// 3, 4 and 10 are asserted by the handler around every step.
abstract contract NodeShareInvariants is HistoryProperty {
    NodeShareHandler internal handler;
    NodeShare internal share;

    function _start(NodeShareHandler handler_) internal {
        handler = handler_;
        share = handler.share();
        _play(address(handler));
        _leaveOut(NodeShareHandler.everyoneLeaves.selector);
    }

    /// @dev One campaign for all: forge plays a history anew for every invariant function.
    function invariant_books() public view {
        ReservoirState memory state = share.reservoir();
        solvency(state.accountedUsd6);
        conservation(state);
        fieldsInBounds(state);
    }

    function solvency(uint256 accounted) private view {
        atMost(accounted, handler.usd().balanceOf(address(share)), "1: balance covers what is accounted for");
        atMost(handler.owedUsd6(), accounted, "1: which covers what is owed");
    }

    function conservation(ReservoirState memory state) private view {
        equal(
            handler.received(),
            handler.paid() + state.accountedUsd6 + share.unsyncedUsd6(),
            "2: every unit is found"
        );
        int256 dust = handler.dustX48();
        holds(dust >= 0, "2: dust is never owed");
        atMost(
            uint256(dust),
            ((handler.syncs() + 2 * handler.burns()) << 48) + (handler.accruals() << 32),
            "2: dust within its bound"
        );
    }

    function fieldsInBounds(ReservoirState memory state) private view {
        atMost(uint256(state.pendingX48) + state.indexX48, type(uint80).max, "income per share unit");
        atMost(state.accountedUsd6, type(uint56).max, "accounted");
        equal(handler.heldUnits(), share.totalSupply(), "balances are the supply");
    }

    /// @dev Runs at the end of every history.
    function afterInvariant() public {
        handler.everyoneLeaves();
        invariant_books();
        atMost(handler.owedUsd6(), 0, "8: everyone was paid");
        // What stays accounted for is dust and, per holder, a fraction of a unit.
        uint256 dustUsd6 = uint256(handler.dustX48()) >> 48;
        atMost(share.reservoir().accountedUsd6, dustUsd6 + handler.holderCount() + 1, "nothing else is left");
    }
}

/// @notice A thousand shares, a day's tau.
contract NodeShareUsualInvariants is NodeShareInvariants {
    function setUp() public {
        _start(new NodeShareHandler(1 days, 1_000, 200e6, 1e15));
    }
}

/// @notice One share: fortunes reach the bounds of the index, and burns leave a handful of units.
contract NodeShareTinyInvariants is NodeShareInvariants {
    function setUp() public {
        _start(new NodeShareHandler(1 hours, 0, 0.2e6, 1e15));
    }
}

/// @notice The largest supply and tau: fortunes reach the bound of what is accounted for.
contract NodeShareVastInvariants is NodeShareInvariants {
    function setUp() public {
        _start(new NodeShareHandler(90 days, 8_999, uint64(1 << 48) / 5, 1e24));
    }
}
