// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

import {Guarded} from "../access/Guarded.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {INodeShare} from "../interfaces/INodeShare.sol";
import {INodeShareFactory} from "../interfaces/INodeShareFactory.sol";
import {IOffering} from "../interfaces/IOffering.sol";
import {ITelemetryOracle} from "../interfaces/ITelemetryOracle.sol";
import {Delivery} from "../libraries/Delivery.sol";
import {SaleBook} from "../libraries/SaleBook.sol";
import {SaleTerms} from "../libraries/SaleTerms.sol";
import {NodeRecord, PackedRecord, Reading} from "../types/NodeRecord.sol";
import {NodeId} from "../types/NodeTypes.sol";

/// @notice See IOffering. Holds the money of all sales, each accounted for by itself.
contract Offering is IOffering, Guarded {
    using SafeTransferLib for address;
    using SaleBook for SaleBook.Book;

    /// @dev Time for a last reading to be reported and brought, once it is final.
    uint32 private constant BRINGING_SECONDS = 3 days;

    /* IMMUTABLES */

    /// @inheritdoc IOffering
    INodeRegistry public immutable registry;
    /// @inheritdoc IOffering
    INodeShareFactory public immutable factory;
    /// @inheritdoc IOffering
    ITelemetryOracle public immutable oracle;
    /// @inheritdoc IOffering
    address public immutable asset;
    /// @inheritdoc IOffering
    uint32 public immutable graceSeconds;
    /// @inheritdoc IOffering
    uint40 public immutable provableSeconds;

    uint40 private immutable _genesis;
    uint32 private immutable _windowSeconds;

    /* STORAGE */

    mapping(NodeId node => SaleBook.Book) private _books;

    /* CONSTRUCTOR */

    constructor(
        address owner_,
        address guardian_,
        INodeRegistry registry_,
        INodeShareFactory factory_,
        ITelemetryOracle oracle_
    ) Guarded(owner_, guardian_) {
        registry = registry_;
        factory = factory_;
        oracle = oracle_;
        asset = factory_.asset();
        // The oracle's schedule never changes, so that no sale depends on asking for it again.
        _genesis = oracle_.genesis();
        _windowSeconds = oracle_.windowSeconds();
        graceSeconds = oracle_.finalityDelaySeconds() + BRINGING_SECONDS;
        // A round is overwritten when the one a ring later is reported. Safe cast: windows of at most 12 hours.
        provableSeconds = uint40(uint256(oracle_.ringRounds()) * _windowSeconds);
    }

    /* SALE */

    /// @inheritdoc IOffering
    function open(NodeId node, Terms calldata terms) external {
        // Check: the operator, with a share that is this contract's to sell, on terms that can be kept.
        (SaleBook.Book storage book, INodeShare share) = _unopened(node);
        SaleTerms.check(
            terms, SaleTerms.Clock(block.timestamp, _windowSeconds, graceSeconds, provableSeconds)
        );

        // Effect: the terms, for good.
        book.open(share, terms);
        emit OpenSale(node, msg.sender, address(share), terms);

        // Interaction: the node stays until the sale is decided; the registry checks its status.
        registry.hold(node);
    }

    /// @inheritdoc IOffering
    function abandon(NodeId node) external {
        // Check: the operator, with a share that is this contract's to sell.
        (SaleBook.Book storage book, INodeShare share) = _unopened(node);

        // Effect: failed before anything was sold; the node was never held.
        book.share = share;
        book.state = State.Failed;
        emit AbandonSale(node, msg.sender, address(share));

        // Interaction
        share.fail();
    }

    /// @inheritdoc IOffering
    function buy(NodeId node, uint64 units, uint256 maxCostUsd6, address to)
        external
        whenNotPaused
        returns (uint256 costUsd6)
    {
        // Check: the sale is on, there is enough left, and the buyer agrees to the cost.
        SaleBook.Book storage book = _inState(node, State.Open);
        require(
            block.timestamp >= book.opensAt && block.timestamp < book.closesAt,
            Offering_OutsideSale(node, block.timestamp, book.opensAt, book.closesAt)
        );
        require(units != 0, Offering_NoUnits(node));
        uint48 soldUnits = book.soldUnits;
        uint48 leftUnits = book.hardCapUnits - soldUnits;
        require(units <= leftUnits, Offering_HardCapExceeded(node, units, leftUnits));
        costUsd6 = SaleTerms.costUp(units, book.priceUsd6PerShare);
        require(costUsd6 <= maxCostUsd6, Offering_CostAboveLimit(node, costUsd6, maxCostUsd6));

        // Effect: sold and raised grow. Safe casts: within the hard cap; within MAX_RAISED_USD6 and 2^48.
        unchecked {
            book.soldUnits = soldUnits + uint48(units);
            book.raisedUsd6 += uint64(costUsd6);
        }
        emit BuyShares(node, msg.sender, to, units, costUsd6);

        // Interaction: take exactly what was counted, and mint; the share refuses whoever may not hold it.
        uint256 before = asset.balanceOf(address(this));
        asset.safeTransferFrom(msg.sender, address(this), costUsd6);
        uint256 received = asset.balanceOf(address(this)) - before;
        require(received == costUsd6, Offering_WrongAmountReceived(received, costUsd6));
        book.share.mint(to, units);
    }

    /// @inheritdoc IOffering
    function close(NodeId node) external {
        // Check: time is up, or nothing is left.
        SaleBook.Book storage book = _inState(node, State.Open);
        uint64 soldUnits = book.soldUnits;
        require(
            soldUnits == book.hardCapUnits || block.timestamp >= book.closesAt,
            Offering_StillOpen(node, book.hardCapUnits - soldUnits, book.closesAt)
        );
        // Safe cast: at most `closesAt`.
        book.closedAt = block.timestamp < book.closesAt ? uint40(block.timestamp) : book.closesAt;
        INodeShare share = book.share;

        if (soldUnits < book.softCapUnits) {
            // Effect: everything is refundable.
            book.state = State.Failed;
            emit CloseSale(node, msg.sender, State.Failed, soldUnits, book.raisedUsd6, 0, 0, 0);
            // Interaction: no income for these shares, and the node is free.
            share.fail();
            registry.release(node);
            return;
        }

        // Effect: the upfront part is the operator's, the rest waits. Safe casts: parts of what was raised and
        // of the retained units; a window end of the oracle's.
        book.state = State.Delivering;
        book.releasedUsd6 = uint64(SaleTerms.upfrontDown(book.raisedUsd6, book.upfrontBps));
        book.deliverFrom = uint40(Delivery.windowEndUp(book.closedAt, _genesis, _windowSeconds));
        uint64 retainedUnits =
            uint64(SaleTerms.retainedDown(book.retainedUnits, soldUnits, book.hardCapUnits));

        // Interaction: an operator that its own share's eligibility module refuses goes without retained shares
        // and cannot keep the sale from closing. No caller can force that by the gas sent: a 64th of what is too
        // little for the one call is too little for the next.
        try share.mintLocked(registry.operatorOf(node), retainedUnits) {}
        catch {
            retainedUnits = 0;
        }
        share.goLive();
        emit CloseSale(
            node,
            msg.sender,
            State.Delivering,
            soldUnits,
            book.raisedUsd6,
            book.releasedUsd6,
            retainedUnits,
            book.deliverFrom
        );
    }

    /* DELIVERY */

    /// @inheritdoc IOffering
    function confirmDelivery(NodeId node, Reading calldata base, Reading calldata end) external {
        // Check: two final readings show it.
        SaleBook.Book storage book = _inState(node, State.Delivering);
        (uint32 upSeconds, uint256 knownTime) = Delivery.requireDelivered(
            book.rule(), oracle.provenRecord(node, base), oracle.provenRecord(node, end)
        );

        // Effect: all that was raised is the operator's. Safe cast: now plus at most ten years.
        uint64 releasedUsd6 = book.raisedUsd6 - book.releasedUsd6;
        uint40 committedUntil = uint40(block.timestamp + book.serviceTermSeconds);
        book.state = State.Delivered;
        book.releasedUsd6 = book.raisedUsd6;
        emit ConfirmDelivery(node, msg.sender, upSeconds, knownTime, releasedUsd6, committedUntil);

        // Interaction: the term begins before the hold ends, and the operator's shares may move.
        registry.commitUntil(node, committedUntil);
        registry.release(node);
        book.share.unlock(registry.operatorOf(node));
    }

    /// @inheritdoc IOffering
    function failDelivery(NodeId node, Reading calldata base, Reading calldata end) external {
        // Check: two final readings show it.
        SaleBook.Book storage book = _inState(node, State.Delivering);
        NodeRecord memory last = oracle.provenRecord(node, end);
        bool fromZero = base.round == 0 && PackedRecord.unwrap(base.record) == 0;
        NodeRecord memory first = fromZero
            ? Delivery.zeroRecord(registry.nodeOf(node).registeredAt, _genesis, _windowSeconds, last.gpuCount)
            : oracle.provenRecord(node, base);
        (uint32 upSeconds, uint256 knownTime) = Delivery.requireMissed(book.rule(), first, last);

        (uint64 refundableUsd6, uint64 burnedUnits) = _fail(node, book);
        emit FailDelivery(node, msg.sender, upSeconds, knownTime, refundableUsd6, burnedUnits);
    }

    /// @inheritdoc IOffering
    function expire(NodeId node) external {
        // Check: long enough for a decision.
        SaleBook.Book storage book = _inState(node, State.Delivering);
        uint256 expiresAt = uint256(book.deliverHardLimit) + graceSeconds;
        require(block.timestamp >= expiresAt, Offering_NotExpired(node, expiresAt));

        (uint64 refundableUsd6, uint64 burnedUnits) = _fail(node, book);
        emit ExpireDelivery(node, msg.sender, refundableUsd6, burnedUnits);
    }

    /// @dev Not delivered. From here on every share that is left is a sale share.
    function _fail(NodeId node, SaleBook.Book storage book)
        private
        returns (uint64 refundableUsd6, uint64 burnedUnits)
    {
        // Effect: refunds are open.
        book.state = State.Failed;
        refundableUsd6 = book.refundableUsd6();

        // Interaction: share and registry are ours and call nobody.
        burnedUnits = book.share.burnLocked(registry.operatorOf(node));
        registry.release(node);
    }

    /* MONEY OUT */

    /// @inheritdoc IOffering
    function refund(NodeId node, uint64 units, address to) external returns (uint256 paidUsd6) {
        // Check: something to burn, somewhere to pay. The share checks that the caller has it, unfrozen.
        SaleBook.Book storage book = _inState(node, State.Failed);
        require(to != address(0), Offering_ZeroReceiver());
        require(units != 0, Offering_NoUnits(node));
        paidUsd6 = refundDown(node, units);

        // Effect. Safe cast: once the burn below has gone through, a part of what was refundable.
        book.refundedUsd6 += uint64(paidUsd6);
        emit Refund(node, msg.sender, to, units, paidUsd6);

        // Interaction: burn, then pay.
        book.share.burn(msg.sender, units);
        asset.safeTransfer(to, paidUsd6);
    }

    /// @inheritdoc IOffering
    function withdraw(NodeId node, address to) external returns (uint256 paidUsd6) {
        // Check: the operator's, and not yet taken.
        require(msg.sender == registry.operatorOf(node), Offering_NotOperator(node, msg.sender));
        require(to != address(0), Offering_ZeroReceiver());
        SaleBook.Book storage book = _books[node];
        paidUsd6 = book.releasedUsd6 - book.withdrawnUsd6;
        require(paidUsd6 != 0, Offering_NothingToWithdraw(node));

        // Effect: taken.
        book.withdrawnUsd6 = book.releasedUsd6;
        emit Withdraw(node, msg.sender, to, paidUsd6);

        // Interaction: pay.
        asset.safeTransfer(to, paidUsd6);
    }

    /* VIEWS */

    /// @inheritdoc IOffering
    function costUp(NodeId node, uint64 units) external view returns (uint256) {
        return SaleTerms.costUp(units, _books[node].priceUsd6PerShare);
    }

    /// @inheritdoc IOffering
    function refundDown(NodeId node, uint64 units) public view returns (uint256) {
        SaleBook.Book storage book = _books[node];
        if (book.state != State.Failed) return 0;
        uint256 supplyUnits = book.share.totalSupply();
        return supplyUnits == 0 ? 0 : SaleTerms.refundDown(book.refundableUsd6(), units, supplyUnits);
    }

    /// @inheritdoc IOffering
    function stateOf(NodeId node) external view returns (State) {
        return _books[node].state;
    }

    /// @inheritdoc IOffering
    function floorPriceUsd6PerGpuHour(NodeId node) external view returns (uint64) {
        return _books[node].floorPriceUsd6PerGpuHour;
    }

    /// @inheritdoc IOffering
    function termsOf(NodeId node) external view returns (Terms memory) {
        return _books[node].terms();
    }

    /// @inheritdoc IOffering
    function saleOf(NodeId node) external view returns (Sale memory) {
        return _books[node].sale();
    }

    /* INTERNAL */

    function _inState(NodeId node, State expected) private view returns (SaleBook.Book storage book) {
        book = _books[node];
        require(book.state == expected, Offering_WrongState(node, book.state));
    }

    /// @dev Reverts unless the caller operates `node` and its share still waits for this contract to sell it.
    function _unopened(NodeId node) private view returns (SaleBook.Book storage book, INodeShare share) {
        require(msg.sender == registry.operatorOf(node), Offering_NotOperator(node, msg.sender));
        book = _books[node];
        require(book.state == State.None, Offering_AlreadyOpened(node, book.state));
        share = INodeShare(factory.shareOf(node));
        require(address(share) != address(0), Offering_NoShare(node));
        require(share.issuer() == address(this), Offering_NotIssuer(node, share.issuer()));
        require(share.phase() == INodeShare.Phase.Sale, Offering_WrongPhase(node, share.phase()));
    }
}
