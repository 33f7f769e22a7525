// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {INodeShare} from "../interfaces/INodeShare.sol";
import {IOffering} from "../interfaces/IOffering.sol";
import {Delivery} from "./Delivery.sol";

/// @notice How an Offering stores a sale, in five slots, and how it is read back.
library SaleBook {
    /// @notice Sums need 64 bits: see SaleTerms.MAX_RAISED_USD6. Units need 48.
    struct Book {
        // slot 0: what a buy reads only
        INodeShare share;
        uint40 opensAt;
        uint40 closesAt;
        uint16 upfrontBps;
        // slot 1: what a buy writes
        IOffering.State state;
        uint64 priceUsd6PerShare;
        uint48 hardCapUnits;
        uint48 soldUnits;
        uint64 raisedUsd6;
        // slot 2: how the sale is decided
        uint48 softCapUnits;
        uint48 retainedUnits;
        uint32 deliverySeconds;
        uint40 deliverBy;
        uint40 deliverHardLimit;
        uint40 serviceTermSeconds;
        // slot 3: where the money went. What was raised and neither released nor refunded is refundable.
        uint64 floorPriceUsd6PerGpuHour;
        uint64 releasedUsd6;
        uint64 refundedUsd6;
        uint64 withdrawnUsd6;
        // slot 4
        uint40 closedAt;
        uint40 deliverFrom;
    }

    /// @notice The terms, for good. Safe casts: SaleTerms.check has found all units together to be less than 2^48.
    function open(Book storage book, INodeShare share, IOffering.Terms calldata terms_) internal {
        book.share = share;
        book.opensAt = terms_.opensAt;
        book.closesAt = terms_.closesAt;
        book.upfrontBps = terms_.upfrontBps;
        book.state = IOffering.State.Open;
        book.priceUsd6PerShare = terms_.priceUsd6PerShare;
        book.hardCapUnits = uint48(terms_.hardCapUnits);
        book.softCapUnits = uint48(terms_.softCapUnits);
        book.retainedUnits = uint48(terms_.retainedUnits);
        book.deliverySeconds = terms_.deliverySeconds;
        book.deliverBy = terms_.deliverBy;
        book.deliverHardLimit = terms_.deliverHardLimit;
        book.serviceTermSeconds = terms_.serviceTermSeconds;
        book.floorPriceUsd6PerGpuHour = terms_.floorPriceUsd6PerGpuHour;
    }

    /// @notice The terms as they were given.
    function terms(Book storage book) internal view returns (IOffering.Terms memory) {
        return IOffering.Terms({
            priceUsd6PerShare: book.priceUsd6PerShare,
            softCapUnits: book.softCapUnits,
            hardCapUnits: book.hardCapUnits,
            retainedUnits: book.retainedUnits,
            opensAt: book.opensAt,
            closesAt: book.closesAt,
            upfrontBps: book.upfrontBps,
            deliverySeconds: book.deliverySeconds,
            deliverBy: book.deliverBy,
            deliverHardLimit: book.deliverHardLimit,
            serviceTermSeconds: book.serviceTermSeconds,
            floorPriceUsd6PerGpuHour: book.floorPriceUsd6PerGpuHour
        });
    }

    /// @notice Where the sale stands.
    function sale(Book storage book) internal view returns (IOffering.Sale memory) {
        return IOffering.Sale({
            state: book.state,
            share: book.share,
            soldUnits: book.soldUnits,
            raisedUsd6: book.raisedUsd6,
            releasedUsd6: book.releasedUsd6,
            refundableUsd6: refundableUsd6(book),
            refundedUsd6: book.refundedUsd6,
            withdrawnUsd6: book.withdrawnUsd6,
            closedAt: book.closedAt,
            deliverFrom: book.deliverFrom
        });
    }

    /// @notice What a delivery is measured by.
    function rule(Book storage book) internal view returns (Delivery.Rule memory) {
        return Delivery.Rule({
            from: book.deliverFrom,
            requiredSeconds: book.deliverySeconds,
            deliverBy: book.deliverBy,
            hardLimit: book.deliverHardLimit
        });
    }

    /// @notice What was raised and neither released nor refunded.
    function refundableUsd6(Book storage book) internal view returns (uint64) {
        return book.raisedUsd6 - book.releasedUsd6 - book.refundedUsd6;
    }
}
