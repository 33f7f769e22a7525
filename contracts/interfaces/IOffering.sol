// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeId} from "../types/NodeTypes.sol";
import {Reading} from "../types/NodeRecord.sol";

interface IOffering {
    enum State {
        None,
        Open,
        Delivering,
        Delivered,
        Failed
    }

    /// Immutable once opened. Shares have 6 decimals: 1 share = 10^6 units.
    struct Terms {
        uint64 priceUsd6PerShare;
        uint64 softCapUnits;
        uint64 hardCapUnits;
        /// Minted to the operator, locked, when the sale succeeds, in proportion to what was sold.
        uint64 retainedUnits;
        uint40 opensAt;
        uint40 closesAt;
        /// Released at a successful close; the rest waits for delivery. At most 5,000.
        uint16 upfrontBps;
        /// Up-seconds that must be attested after the close.
        uint32 deliverySeconds;
        uint40 deliverBy;
        /// Unknown seconds move `deliverBy` at most to here; then refund.
        uint40 deliverHardLimit;
        /// How long after delivery the node may not retire.
        uint40 serviceTermSeconds;
        /// The least that a GPU-hour of the node may be leased for during the term.
        uint64 floorPriceUsd6PerGpuHour;
    }

    function open(NodeId node, Terms calldata terms) external;
    /// Pays with the caller's allowance; shares go to `to`.
    function buy(NodeId node, uint64 units, uint256 maxCostUsd6, address to) external returns (uint256 costUsd6);
    function close(NodeId node) external;
    function confirmDelivery(NodeId node, Reading calldata base, Reading calldata end) external;
    function failDelivery(NodeId node, Reading calldata base, Reading calldata end) external;
    function expire(NodeId node) external;
    /// Burns the caller's shares of a failed sale for their part of the unreleased money, rounded down.
    function refund(NodeId node, uint64 units, address to) external returns (uint256 paidUsd6);
    /// The operator's released proceeds.
    function withdraw(NodeId node, address to) external returns (uint256 paidUsd6);

    function costUp(NodeId node, uint64 units) external view returns (uint256 costUsd6);
    function stateOf(NodeId node) external view returns (State);
    function termsOf(NodeId node) external view returns (Terms memory);
}
