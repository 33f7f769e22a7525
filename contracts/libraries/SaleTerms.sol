// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IOffering} from "../interfaces/IOffering.sol";

/// @notice What the terms of a sale may say, and what follows from them in money. Pure rules.
library SaleTerms {
    /// Share units in one share.
    uint256 internal constant SHARE = 1e6;
    uint256 internal constant BPS = 10_000;

    /// The least supply that a live share may have.
    uint256 internal constant MIN_SOFT_CAP_UNITS = 1e6;
    uint256 internal constant MAX_SUPPLY_UNITS = (1 << 48) - 1;
    /// Ten billion dollars. With at most 2^48 buys, each rounded up by less than a unit, the sum stays below 2^64.
    uint256 internal constant MAX_RAISED_USD6 = 1e16;
    uint256 internal constant MAX_LEAD_SECONDS = 90 days;
    uint256 internal constant MIN_SALE_SECONDS = 1 hours;
    uint256 internal constant MAX_SALE_SECONDS = 180 days;
    uint256 internal constant MAX_UPFRONT_BPS = 5_000;
    uint256 internal constant MIN_DELIVERY_SECONDS = 1 hours;
    uint256 internal constant MIN_SERVICE_TERM_SECONDS = 1 days;
    uint256 internal constant MAX_SERVICE_TERM_SECONDS = 3_650 days;
    uint256 internal constant MAX_FLOOR_USD6_PER_GPU_HOUR = 1_000_000e6;

    /// @notice A term of the sale, the one named, must be from `least` to `most`; times are seconds since the epoch.
    error SaleTerms_OutOfBounds(bytes32 name, uint256 value, uint256 least, uint256 most);

    /// @notice Where and how the oracle measures, and what time it is.
    struct Clock {
        uint256 time;
        uint256 windowSeconds;
        uint256 graceSeconds;
        uint256 provableSeconds;
    }

    /* BOUNDS */

    /// @notice Reverts, naming field, value and bounds, unless a sale on these terms can be held and decided.
    function check(IOffering.Terms calldata terms, Clock memory clock) internal pure {
        // Supply and price.
        _bound("hardCapUnits", terms.hardCapUnits, MIN_SOFT_CAP_UNITS, MAX_SUPPLY_UNITS);
        _bound("softCapUnits", terms.softCapUnits, MIN_SOFT_CAP_UNITS, terms.hardCapUnits);
        _bound("retainedUnits", terms.retainedUnits, 0, MAX_SUPPLY_UNITS - terms.hardCapUnits);
        _bound(
            "priceUsd6PerShare",
            terms.priceUsd6PerShare,
            1,
            MAX_RAISED_USD6 * SHARE / terms.hardCapUnits // No overflow: 10^22.
        );
        _bound("upfrontBps", terms.upfrontBps, 0, MAX_UPFRONT_BPS);

        // Time. A sale may have been due to open a moment ago, when its transaction waited to be mined.
        _bound("opensAt", terms.opensAt, 0, clock.time + MAX_LEAD_SECONDS);
        uint256 start = terms.opensAt > clock.time ? terms.opensAt : clock.time;
        _bound("closesAt", terms.closesAt, start + MIN_SALE_SECONDS, start + MAX_SALE_SECONDS);

        // Delivery. Of the time until `deliverBy` the rule may lose the window in which the sale closes and the
        // one in which the node delivers; a node without a fault must make it. At the other end, the reading
        // from which uptime counts must still be provable when the sale expires.
        uint256 latest = start + clock.provableSeconds;
        uint256 spentSeconds = terms.closesAt + 2 * clock.windowSeconds + clock.graceSeconds;
        _bound(
            "deliverySeconds",
            terms.deliverySeconds,
            MIN_DELIVERY_SECONDS,
            latest > spentSeconds ? latest - spentSeconds : 0
        );
        // No underflow: the line above left room for the delivery before `latest`, grace included.
        _bound(
            "deliverHardLimit",
            terms.deliverHardLimit,
            terms.closesAt + 2 * clock.windowSeconds + terms.deliverySeconds,
            latest - clock.graceSeconds
        );
        _bound(
            "deliverBy",
            terms.deliverBy,
            terms.closesAt + 2 * clock.windowSeconds + terms.deliverySeconds,
            terms.deliverHardLimit
        );

        // Service.
        _bound(
            "serviceTermSeconds", terms.serviceTermSeconds, MIN_SERVICE_TERM_SECONDS, MAX_SERVICE_TERM_SECONDS
        );
        _bound("floorPriceUsd6PerGpuHour", terms.floorPriceUsd6PerGpuHour, 0, MAX_FLOOR_USD6_PER_GPU_HOUR);
    }

    function _bound(bytes32 name, uint256 value, uint256 least, uint256 most) private pure {
        if (value < least || value > most) revert SaleTerms_OutOfBounds(name, value, least, most);
    }

    /* MONEY: within the bounds above no product overflows */

    /// @notice Up, against the buyer: however a purchase is split, no share is had for less than its price.
    function costUp(uint256 units, uint256 priceUsd6PerShare) internal pure returns (uint256) {
        return (units * priceUsd6PerShare + SHARE - 1) / SHARE;
    }

    /// @notice Down, against the operator: the fraction waits for delivery.
    function upfrontDown(uint256 raisedUsd6, uint256 upfrontBps) internal pure returns (uint256) {
        return raisedUsd6 * upfrontBps / BPS;
    }

    /// @notice Down, against the operator: it retains no more of what was sold than the terms say.
    function retainedDown(uint256 retainedUnits, uint256 soldUnits, uint256 hardCapUnits)
        internal
        pure
        returns (uint256)
    {
        return retainedUnits * soldUnits / hardCapUnits;
    }

    /// @notice Down, against the one who is refunded, so that the rest is always enough for the others.
    /// Whoever burns the last share gets all that is left.
    function refundDown(uint256 refundableUsd6, uint256 units, uint256 supplyUnits)
        internal
        pure
        returns (uint256)
    {
        return refundableUsd6 * units / supplyUnits;
    }
}
