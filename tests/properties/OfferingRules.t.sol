// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IOffering} from "../../contracts/interfaces/IOffering.sol";
import {Delivery} from "../../contracts/libraries/Delivery.sol";
import {SaleTerms} from "../../contracts/libraries/SaleTerms.sol";
import {NodeRecord} from "../../contracts/types/NodeRecord.sol";
import {Property} from "./Property.sol";

contract RulesBench {
    function check(IOffering.Terms calldata terms, SaleTerms.Clock calldata clock) external pure {
        SaleTerms.check(terms, clock);
    }

    function requireDelivered(Delivery.Rule calldata rule, NodeRecord calldata base, NodeRecord calldata end)
        external
        pure
    {
        Delivery.requireDelivered(rule, base, end);
    }

    function requireMissed(Delivery.Rule calldata rule, NodeRecord calldata base, NodeRecord calldata end)
        external
        pure
    {
        Delivery.requireMissed(rule, base, end);
    }
}

/// @notice The pure rules of a sale: its money, the bounds of its terms, and the decision on delivery.
contract OfferingRules is Property {
    uint256 private constant WINDOW = 3_600;
    uint256 private constant GENESIS = 1_700_000_000;
    uint256 private constant WINDOWS = 9;
    uint8 private constant GPUS = 8;

    RulesBench private bench;

    function setUp() public {
        bench = new RulesBench();
    }

    /* MONEY */

    /// Splitting a purchase never pays, and costs less than a unit per part more.
    function testFuzz_CostIsFairHoweverSplit(uint256 price, uint256 units, uint256 part) public pure {
        price = bound(price, 1, SaleTerms.MAX_RAISED_USD6);
        units = bound(units, 1, SaleTerms.MAX_SUPPLY_UNITS);
        part = bound(part, 0, units);
        uint256 whole = SaleTerms.costUp(units, price);
        uint256 split = SaleTerms.costUp(part, price) + SaleTerms.costUp(units - part, price);
        atLeast(split, whole, "split purchase");
        atMost(split, whole + 1, "split purchase");
        atLeast(whole * SaleTerms.SHARE, units * price, "no less than the price");
    }

    /// 9. Whatever the order and size of refunds, no one gets more than the part due, and the last share
    /// burned empties what is refundable.
    function testFuzz_RefundsEmptyExactly(uint256 refundable, uint256[8] memory holdings) public pure {
        refundable = bound(refundable, 0, type(uint64).max);
        uint256 supply;
        for (uint256 i; i < holdings.length; ++i) {
            holdings[i] = bound(holdings[i], 1, i % 2 == 0 ? 3 : SaleTerms.MAX_SUPPLY_UNITS / 8);
            supply += holdings[i];
        }
        for (uint256 i; i < holdings.length; ++i) {
            uint256 paid = SaleTerms.refundDown(refundable, holdings[i], supply);
            atMost(paid * supply, refundable * holdings[i], "no more than the part due");
            refundable -= paid;
            supply -= holdings[i];
        }
        equal(refundable, 0, "left when every share is burned");
    }

    function testFuzz_PartsStayParts(uint256 raised, uint256 bps, uint256 retained, uint256 sold, uint256 cap)
        public
        pure
    {
        raised = bound(raised, 0, type(uint64).max);
        bps = bound(bps, 0, SaleTerms.MAX_UPFRONT_BPS);
        atMost(SaleTerms.upfrontDown(raised, bps), raised / 2, "upfront");
        cap = bound(cap, 1, SaleTerms.MAX_SUPPLY_UNITS);
        sold = bound(sold, 0, cap);
        retained = bound(retained, 0, SaleTerms.MAX_SUPPLY_UNITS - cap);
        atMost(SaleTerms.retainedDown(retained, sold, cap), retained, "retained");
        equal(SaleTerms.retainedDown(retained, cap, cap), retained, "retained of a sold-out sale");
    }

    /* TERMS */

    /// Whatever terms are accepted: sums fit their slots, a node without a fault can show its delivery before
    /// the sale is due, and the first reading is still provable when the sale expires.
    function testFuzz_AcceptedTermsCanBeKept(IOffering.Terms memory terms, uint256 window, uint256 ring)
        public
        view
    {
        SaleTerms.Clock memory clock;
        clock.time = GENESIS + 1_000_000;
        clock.windowSeconds = bound(window, 60, 12 hours);
        clock.graceSeconds = 3 days + bound(ring, 60, 7 days);
        clock.provableSeconds = clock.windowSeconds * bound(ring, 64, 65_536);
        _steer(terms, clock);
        try bench.check(terms, clock) {}
        catch {
            return;
        }
        uint256 start = terms.opensAt > clock.time ? terms.opensAt : clock.time;
        atMost(
            SaleTerms.costUp(terms.hardCapUnits, terms.priceUsd6PerShare) + terms.hardCapUnits,
            type(uint64).max,
            "raised"
        );
        atMost(uint256(terms.hardCapUnits) + terms.retainedUnits, SaleTerms.MAX_SUPPLY_UNITS, "supply");
        uint256 from = Delivery.windowEndUp(terms.closesAt, GENESIS, clock.windowSeconds);
        uint256 shown = Delivery.windowEndUp(from + terms.deliverySeconds, GENESIS, clock.windowSeconds);
        atMost(shown, terms.deliverBy, "a perfect node's reading");
        atMost(terms.deliverBy, terms.deliverHardLimit, "due before the limit");
        atMost(
            uint256(terms.deliverHardLimit) + clock.graceSeconds, start + clock.provableSeconds, "provable"
        );
    }

    /// Sample terms are accepted, so the property above is not about nothing.
    function test_SampleTermsAreAccepted() public view {
        IOffering.Terms memory terms;
        SaleTerms.Clock memory clock =
            SaleTerms.Clock(GENESIS + 1_000_000, 1 hours, 3 days + 1 hours, 4_096 hours);
        terms.opensAt = uint40(clock.time);
        terms.closesAt = terms.opensAt + 7 days;
        terms.deliverySeconds = 100 hours;
        terms.deliverBy = terms.closesAt + 10 days;
        terms.deliverHardLimit = terms.deliverBy + 14 days;
        _steer(terms, clock);
        bench.check(terms, clock);
    }

    /// @dev Brings random terms near the bounds, else hardly any would be accepted.
    function _steer(IOffering.Terms memory terms, SaleTerms.Clock memory clock) private pure {
        terms.hardCapUnits = uint64(bound(terms.hardCapUnits, 1e6, SaleTerms.MAX_SUPPLY_UNITS));
        terms.softCapUnits = uint64(bound(terms.softCapUnits, 1e6, terms.hardCapUnits));
        terms.retainedUnits =
            uint64(bound(terms.retainedUnits, 0, SaleTerms.MAX_SUPPLY_UNITS - terms.hardCapUnits));
        terms.priceUsd6PerShare = uint64(
            bound(terms.priceUsd6PerShare, 1, SaleTerms.MAX_RAISED_USD6 * 1e6 / terms.hardCapUnits + 1)
        );
        terms.upfrontBps = uint16(bound(terms.upfrontBps, 0, 5_000));
        terms.opensAt = uint40(bound(terms.opensAt, clock.time - 1 days, clock.time + 91 days));
        uint256 start = terms.opensAt > clock.time ? terms.opensAt : clock.time;
        terms.closesAt = uint40(bound(terms.closesAt, start + 1 hours, start + 90 days));
        terms.deliverySeconds = uint32(bound(terms.deliverySeconds, 1 hours, 60 days));
        uint256 least = uint256(terms.closesAt) + terms.deliverySeconds + 2 * clock.windowSeconds;
        uint256 room = terms.deliverBy % 2 == 0 ? 60 days : clock.windowSeconds;
        terms.deliverBy = uint40(bound(terms.deliverBy, least - 2 * clock.windowSeconds, least + room));
        terms.deliverHardLimit =
            uint40(bound(terms.deliverHardLimit, terms.deliverBy, uint256(terms.deliverBy) + 60 days));
        terms.serviceTermSeconds = uint40(bound(terms.serviceTermSeconds, 1 days, 3_650 days));
        terms.floorPriceUsd6PerGpuHour = uint64(bound(terms.floorPriceUsd6PerGpuHour, 0, 1e12));
    }

    /* DELIVERY */

    /// No honest history ever shows both, over every pair of its records, the zero record among the bases;
    /// windows may be missing, unknown in part, or down in part.
    function testFuzz_NeverBothDeliveredAndMissed(uint256 seed, uint256 from, uint256 required, uint256 slack)
        public
        view
    {
        NodeRecord[] memory records = _history(seed, true);
        uint256 registered = uint256(keccak256(abi.encode(seed, "registered"))) % (2 * WINDOW);
        Delivery.Rule memory rule = _rule(registered, from, required, slack);
        NodeRecord memory zero = Delivery.zeroRecord(GENESIS + registered, GENESIS, WINDOW, GPUS);
        // The first record that honest reporters can have of it is of the window in which it was registered.
        uint256 first = (zero.windowEnd - GENESIS) / WINDOW;
        _discount(records, first);

        bool delivered;
        bool missed;
        for (uint256 e = first; e < WINDOWS; ++e) {
            if (records[e].windowEnd == 0) continue;
            if (_misses(rule, zero, records[e])) missed = true;
            for (uint256 b = first; b < e; ++b) {
                if (records[b].windowEnd == 0) continue;
                if (_delivers(rule, records[b], records[e])) delivered = true;
                if (_misses(rule, records[b], records[e])) missed = true;
            }
        }
        holds(!(delivered && missed), "both delivered and missed");
    }

    /// With every window reported and known, and the last needed second before the due window, one of the two
    /// can be shown as soon as the time is over.
    function testFuzz_WithoutGapsItIsDecided(uint256 seed, uint256 from, uint256 required, uint256 slack)
        public
        view
    {
        NodeRecord[] memory records = _history(seed, false);
        Delivery.Rule memory rule = _rule(WINDOW, from, required, slack);
        uint256 base = (rule.from - GENESIS) / WINDOW;
        NodeRecord memory start = records[base - 1];
        bool delivered;
        bool missed;
        bool inDueWindow;
        for (uint256 e = base; e < WINDOWS; ++e) {
            NodeRecord memory end = records[e];
            if (_delivers(rule, start, end)) delivered = true;
            if (_misses(rule, start, end)) missed = true;
            bool due = end.windowEnd > rule.deliverBy && end.windowEnd < rule.deliverBy + WINDOW;
            if (due && end.upSeconds - start.upSeconds >= rule.requiredSeconds) inDueWindow = true;
        }
        bool over = GENESIS + WINDOWS * WINDOW >= rule.deliverBy;
        if (over && !inDueWindow) holds(delivered || missed, "decided");
        holds(!(delivered && missed), "both delivered and missed");
    }

    /// An earlier base never weakens a confirmation.
    function testFuzz_EarlierBaseIsNoWorse(uint256 seed, uint256 from, uint256 required, uint256 slack)
        public
        view
    {
        NodeRecord[] memory records = _history(seed, true);
        Delivery.Rule memory rule = _rule(0, from, required, slack);
        for (uint256 e = 2; e < WINDOWS; ++e) {
            bool later;
            for (uint256 b = e; b > 0; --b) {
                NodeRecord memory base = records[b - 1];
                if (records[e].windowEnd == 0 || base.windowEnd == 0 || base.windowEnd < rule.from) continue;
                bool now_ = _delivers(rule, base, records[e]);
                holds(now_ || !later, "a later base showed it, an earlier one not");
                later = now_;
            }
        }
    }

    /// @dev Absolute counters after each of WINDOWS windows from the genesis; a missing report has no end.
    function _history(uint256 seed, bool gaps) private pure returns (NodeRecord[] memory records) {
        records = new NodeRecord[](WINDOWS);
        uint256 covered;
        uint256 up;
        for (uint256 i; i < WINDOWS; ++i) {
            uint256 word = uint256(keccak256(abi.encode(seed, i)));
            uint256 seen = gaps && word % 4 == 0 ? (word >> 8) % (WINDOW + 1) : WINDOW;
            uint256 served = (word >> 4) % 3 == 0 ? (word >> 64) % (seen + 1) : seen;
            covered += seen;
            up += served;
            if (gaps && (word >> 128) % 5 == 0) continue;
            records[i].windowEnd = uint40(GENESIS + (i + 1) * WINDOW);
            records[i].coveredSeconds = uint32(covered);
            records[i].upSeconds = uint32(up);
            records[i].gpuCount = GPUS;
        }
    }

    /// @dev The node is measured from window `first` on: take away what came before. Where its report is
    /// missing no record shows what came before, so none of that is in doubt.
    function _discount(NodeRecord[] memory records, uint256 first) private pure {
        if (first == 0) return;
        NodeRecord memory before = records[first - 1];
        for (uint256 i = first; i < WINDOWS; ++i) {
            if (records[i].windowEnd == 0) continue;
            if (before.windowEnd == 0) {
                // Unknown, so give it the least that is possible.
                records[i].windowEnd = 0;
                continue;
            }
            records[i].coveredSeconds -= before.coveredSeconds;
            records[i].upSeconds -= before.upSeconds;
        }
    }

    function _rule(uint256 registered, uint256 from, uint256 required, uint256 slack)
        private
        pure
        returns (Delivery.Rule memory rule)
    {
        uint256 closed = GENESIS + bound(from, registered, registered + 4 * WINDOW);
        rule.from = Delivery.windowEndUp(closed, GENESIS, WINDOW);
        rule.requiredSeconds = bound(required, 1, 4 * WINDOW);
        rule.deliverBy = rule.from + rule.requiredSeconds + bound(slack, 0, 3 * WINDOW);
        rule.hardLimit = rule.deliverBy + bound(slack, 0, 9 * WINDOW);
    }

    function _delivers(Delivery.Rule memory rule, NodeRecord memory base, NodeRecord memory end)
        private
        view
        returns (bool)
    {
        try bench.requireDelivered(rule, base, end) {
            return true;
        } catch {
            return false;
        }
    }

    function _misses(Delivery.Rule memory rule, NodeRecord memory base, NodeRecord memory end)
        private
        view
        returns (bool)
    {
        try bench.requireMissed(rule, base, end) {
            return true;
        } catch {
            return false;
        }
    }
}
