// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {INodeRegistry} from "./INodeRegistry.sol";
import {INodeShare} from "./INodeShare.sol";
import {INodeShareFactory} from "./INodeShareFactory.sol";
import {ITelemetryOracle} from "./ITelemetryOracle.sol";
import {NodeId} from "../types/NodeTypes.sol";
import {Reading} from "../types/NodeRecord.sol";

/// @title The primary sale of a node's shares: fixed price, soft and hard cap, delivery before full release.
///
///           close, soft cap reached              confirmDelivery
///  Open ─────────────────────────► Delivering ──────────────────► Delivered
///    │ close, soft cap missed          │ failDelivery, expire
///    └───────────────► Failed ◄────────┘
///
/// @notice Buyers get their shares at once. What is not released to the operator is refunded, after a failure,
/// to whoever then burns sale shares: the right travels with the share, and there is no ledger of buyers.
/// For every sale, always: released + refundable + refunded = raised. Pausing stops `buy` alone.
/// @dev Assumes of the stablecoin: a transfer moves exactly its amount, and balances change by transfers only.
/// Whoever may take it from this contract by other means (a token's own owner) takes from the buyers.
interface IOffering {
    enum State {
        None,
        Open,
        Delivering,
        Delivered,
        Failed
    }

    /// Immutable once opened. Shares have 6 decimals: 1 share = 10^6 units. Bounds: SaleTerms.
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

    /// Where a sale stands; all sums in atomic stablecoin units.
    struct Sale {
        State state;
        INodeShare share;
        uint64 soldUnits;
        uint64 raisedUsd6;
        /// To the operator's credit, withdrawn or not.
        uint64 releasedUsd6;
        /// Not released and not refunded: what the sale shares would be refunded now if the sale failed.
        uint64 refundableUsd6;
        uint64 refundedUsd6;
        /// The part of `releasedUsd6` that the operator has taken.
        uint64 withdrawnUsd6;
        /// When the sale closed, at the latest `closesAt`; 0 while open.
        uint40 closedAt;
        /// End of the first oracle window that does not end before `closedAt`: uptime counts from here.
        uint40 deliverFrom;
    }

    /* EVENTS */

    event OpenSale(NodeId indexed node, address indexed operator, address indexed share, Terms terms);
    event AbandonSale(NodeId indexed node, address indexed operator, address indexed share);
    event BuyShares(
        NodeId indexed node, address indexed buyer, address indexed to, uint64 units, uint256 costUsd6
    );
    /// @param state Delivering or Failed.
    /// @param retainedUnits Minted to the operator; 0 if its share's eligibility module refuses it.
    event CloseSale(
        NodeId indexed node,
        address indexed caller,
        State state,
        uint64 soldUnits,
        uint64 raisedUsd6,
        uint64 upfrontUsd6,
        uint64 retainedUnits,
        uint40 deliverFrom
    );
    /// @param knownTime End of the counted time, less its unknown seconds.
    event ConfirmDelivery(
        NodeId indexed node,
        address indexed caller,
        uint32 upSeconds,
        uint256 knownTime,
        uint64 releasedUsd6,
        uint40 committedUntil
    );
    event FailDelivery(
        NodeId indexed node,
        address indexed caller,
        uint32 upSeconds,
        uint256 knownTime,
        uint64 refundableUsd6,
        uint64 burnedUnits
    );
    event ExpireDelivery(
        NodeId indexed node, address indexed caller, uint64 refundableUsd6, uint64 burnedUnits
    );
    event Refund(
        NodeId indexed node, address indexed holder, address indexed to, uint64 units, uint256 paidUsd6
    );
    event Withdraw(NodeId indexed node, address indexed operator, address indexed to, uint256 paidUsd6);

    /* ERRORS */

    error Offering_NotOperator(NodeId node, address caller);
    error Offering_AlreadyOpened(NodeId node, State state);
    error Offering_NoShare(NodeId node);
    /// @notice The node's share is to be sold by somebody else, or by nobody.
    error Offering_NotIssuer(NodeId node, address issuer);
    error Offering_WrongPhase(NodeId node, INodeShare.Phase phase);
    /// @notice The sale's state does not allow this. 0: there is no sale, 1 open, 2 delivering, 3 delivered, 4 failed.
    error Offering_WrongState(NodeId node, State state);
    error Offering_OutsideSale(NodeId node, uint256 time, uint40 opensAt, uint40 closesAt);
    error Offering_NoUnits(NodeId node);
    error Offering_HardCapExceeded(NodeId node, uint64 units, uint64 leftUnits);
    error Offering_CostAboveLimit(NodeId node, uint256 costUsd6, uint256 maxCostUsd6);
    /// @notice The token moved another amount than it was told to; tokens that take a fee are not supported.
    error Offering_WrongAmountReceived(uint256 receivedUsd6, uint256 expectedUsd6);
    error Offering_StillOpen(NodeId node, uint64 leftUnits, uint40 closesAt);
    error Offering_NotExpired(NodeId node, uint256 expiresAt);
    error Offering_NothingToWithdraw(NodeId node);
    error Offering_ZeroReceiver();

    /* SALE */

    /// @notice Operator only, once per node. The node must be attested and neither suspended nor retired, its
    /// share created for this contract to issue. The node cannot retire until the sale is decided.
    function open(NodeId node, Terms calldata terms) external;

    /// @notice Operator only, in place of `open` and whatever became of the node: there will be no sale. What has
    /// reached the share is the operator's, as after any sale that failed.
    function abandon(NodeId node) external;

    /// @notice Pays with the caller's allowance; shares go to `to`, who must be eligible to hold them.
    /// Anyone, within [opensAt, closesAt) and the hard cap, unless paused.
    /// @param maxCostUsd6 The caller's limit for `costUsd6`.
    /// @return costUsd6 `costUp(node, units)`.
    function buy(NodeId node, uint64 units, uint256 maxCostUsd6, address to)
        external
        returns (uint256 costUsd6);

    /// @notice Anyone, from `closesAt` on or once the hard cap is sold. With the soft cap reached the shares go
    /// live, the operator gets its retained shares, locked, and the upfront part, both rounded down; else
    /// everything is refundable. A late call costs nobody anything: the sale counts as closed at `closesAt`.
    function close(NodeId node) external;

    /* DELIVERY: decided by two readings that the oracle holds final; anyone may bring them */

    /// @notice Shows that the node was up for `deliverySeconds` in time: between `base`, at or after
    /// `deliverFrom`, and `end`, at `deliverBy` plus the unknown seconds in between and at `deliverHardLimit` at
    /// the latest. Releases the rest to the operator, unlocks its retained shares and starts the service term.
    function confirmDelivery(NodeId node, Reading calldata base, Reading calldata end) external;

    /// @notice Shows that it was not: less than `deliverySeconds` up between `base`, at or before `deliverFrom`,
    /// and `end`, by when `deliverBy` has passed even without the unknown seconds. Burns the retained shares
    /// and opens refunds. An all-zero `base` stands for the window in which the node was registered.
    function failDelivery(NodeId node, Reading calldata base, Reading calldata end) external;

    /// @notice What is still undecided `graceSeconds` after `deliverHardLimit` counts as not delivered.
    function expire(NodeId node) external;

    /* MONEY OUT */

    /// @notice After a failure: burns `units` of the caller's shares for their part of the refundable money,
    /// rounded down; the last share to be burned empties it. Frozen shares cannot be burned. Income that is not yet
    /// released goes to the shares that remain: whoever waits a few time constants before burning forfeits none.
    function refund(NodeId node, uint64 units, address to) external returns (uint256 paidUsd6);

    /// @notice Operator only: all that is released and not yet withdrawn.
    function withdraw(NodeId node, address to) external returns (uint256 paidUsd6);

    /* VIEWS */

    /// @notice What `units` cost, rounded up against the buyer, so that no share is had for less than its price.
    function costUp(NodeId node, uint64 units) external view returns (uint256 costUsd6);
    /// @notice What burning `units` would pay now, rounded down; 0 unless the sale has failed.
    function refundDown(NodeId node, uint64 units) external view returns (uint256 paidUsd6);
    function stateOf(NodeId node) external view returns (State);
    function termsOf(NodeId node) external view returns (Terms memory);
    function saleOf(NodeId node) external view returns (Sale memory);
    /// @notice The floor price of the terms alone; 0 where there was no sale.
    function floorPriceUsd6PerGpuHour(NodeId node) external view returns (uint64);

    function registry() external view returns (INodeRegistry);
    function factory() external view returns (INodeShareFactory);
    function oracle() external view returns (ITelemetryOracle);
    function asset() external view returns (address);
    /// @notice Time after `deliverHardLimit` in which a last reading can become final and be brought.
    function graceSeconds() external view returns (uint32);
    /// @notice How long the oracle can prove a reading. From its opening to its expiry no sale may last longer.
    function provableSeconds() external view returns (uint40);
}
