// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PlainUSD} from "../../contracts/bench/PlainUSD.sol";
import {INodeRegistry} from "../../contracts/interfaces/INodeRegistry.sol";
import {INodeShare} from "../../contracts/interfaces/INodeShare.sol";
import {INodeShareFactory} from "../../contracts/interfaces/INodeShareFactory.sol";
import {IOffering} from "../../contracts/interfaces/IOffering.sol";
import {NodeRecords} from "../../contracts/libraries/NodeRecords.sol";
import {Offering} from "../../contracts/markets/Offering.sol";
import {NodeRegistry} from "../../contracts/nodes/NodeRegistry.sol";
import {EligibilityList} from "../../contracts/tokens/EligibilityList.sol";
import {NodeShareFactory} from "../../contracts/tokens/NodeShareFactory.sol";
import {NodeRecord, PackedRecord, Reading} from "../../contracts/types/NodeRecord.sol";
import {GpuClass, NodeId} from "../../contracts/types/NodeTypes.sol";
import {OracleStandIn} from "../doubles/OracleStandIn.sol";
import {Property} from "./Property.sol";

/// @notice Plays three sales at once over the real registry, factory and shares, and an oracle stand-in that
/// keeps honest counters. It is owner, guardian, enforcer and everybody's counterpart; ghosts count what moved.
contract OfferingHandler is Property {
    uint256 public constant NODES = 3;
    uint256 private constant HOLDERS = 4;
    uint32 private constant WINDOW = 1 hours;
    uint8 private constant GPUS = 4;
    address private constant OPERATOR = address(0xA0);
    address private constant PAYOUT = address(0xB0);

    /// What the ghosts know of a sale, from balances alone.
    struct Ghost {
        uint256 raised;
        uint256 refunded;
        uint256 withdrawn;
        uint256 sold;
        uint256 burned;
        uint256 retained;
        uint256 covered;
        uint256 up;
        uint256 measuredUntil;
        bool delivered;
        bool failed;
    }

    PlainUSD public usd;
    NodeRegistry public registry;
    NodeShareFactory public factory;
    OracleStandIn public oracle;
    Offering public offering;
    EligibilityList private module;

    mapping(uint256 node => Ghost) private _ghosts;
    mapping(uint256 node => Reading[]) private _readings;
    /// Sent to the offering by people who wanted nothing for it.
    uint256 public donated;

    /// @dev Forge forgets a warp between the calls of a sequence.
    uint256 private _now = 1_800_000_000;

    modifier timed() {
        vm.warp(_now);
        _;
    }

    constructor() timed {
        usd = new PlainUSD();
        (address[] memory attestors, uint256[] memory keys) = _attestors();
        registry = NodeRegistry(
            shipped(
                "NodeRegistry",
                abi.encode(address(this), address(this), address(usd), 1e6, 1 days, attestors, 1)
            )
        );
        factory = NodeShareFactory(
            shipped(
                "NodeShareFactory",
                abi.encode(address(this), registry, address(usd), address(this), address(0xC0), 250)
            )
        );
        oracle = new OracleStandIn(uint40(block.timestamp - 30 days), WINDOW, 1_800, 16_384);
        offering = Offering(
            shipped("Offering", abi.encode(address(this), address(this), registry, factory, oracle))
        );
        registry.setMarket(address(offering), true);
        factory.setIssuer(address(offering), true);
        module = EligibilityList(shipped("EligibilityList", abi.encode(address(this))));
        address[] memory everyone = new address[](HOLDERS + 1);
        for (uint256 i; i < HOLDERS; ++i) {
            everyone[i] = holder(i);
        }
        everyone[HOLDERS] = OPERATOR;
        module.setEligible(everyone, true);
        for (uint256 node = 1; node <= NODES; ++node) {
            _list(node, keys);
        }
    }

    /* ACTIONS */

    function buy(uint256 node, uint256 from, uint256 to, uint256 units, bool dust) external timed {
        node = _node(node);
        IOffering.Sale memory sale = offering.saleOf(_id(node));
        IOffering.Terms memory terms = offering.termsOf(_id(node));
        uint256 left = terms.hardCapUnits - sale.soldUnits;
        if (sale.state != IOffering.State.Open || left == 0) return;
        if (block.timestamp < terms.opensAt || block.timestamp >= terms.closesAt) return;
        units = bound(units, 1, dust && left > 3 ? 3 : left);
        address payer = holder(from);
        uint256 cost = offering.costUp(_id(node), uint64(units));
        usd.mint(payer, cost);
        vm.prank(payer);
        usd.approve(address(offering), cost);
        uint256 before = usd.balanceOf(payer);
        vm.prank(payer);
        offering.buy(_id(node), uint64(units), cost, holder(to));
        _ghosts[node].raised += before - usd.balanceOf(payer);
        _ghosts[node].sold += units;
    }

    function close(uint256 node) external timed {
        node = _node(node);
        IOffering.Sale memory sale = offering.saleOf(_id(node));
        IOffering.Terms memory terms = offering.termsOf(_id(node));
        if (sale.state != IOffering.State.Open) return;
        if (sale.soldUnits < terms.hardCapUnits && block.timestamp < terms.closesAt) return;
        offering.close(_id(node));
        _ghosts[node].retained = share(node).lockedOf(OPERATOR);
        if (offering.stateOf(_id(node)) == IOffering.State.Failed) _ghosts[node].failed = true;
    }

    /// @dev Whole windows up to now, one of them with a random past, the rest as `steady` says.
    function measure(uint256 node, uint256 seen, uint256 served, uint256 steady) external timed {
        node = _node(node);
        Ghost storage ghost = _ghosts[node];
        uint256 windows = (block.timestamp - ghost.measuredUntil) / WINDOW;
        if (windows == 0) return;
        seen = bound(seen, 0, WINDOW);
        ghost.covered += seen;
        ghost.up += bound(served, 0, seen);
        if (steady % 3 != 0) ghost.covered += (windows - 1) * WINDOW;
        if (steady % 3 == 1) ghost.up += (windows - 1) * WINDOW;
        ghost.measuredUntil += windows * WINDOW;
        _report(node);
    }

    /// @dev Any two readings; if they show delivery it happens, if they show failure it happens.
    function decide(uint256 node, uint256 baseSeed, uint256 endSeed, bool confirmFirst, bool fromZero)
        external
        timed
    {
        node = _node(node);
        if (offering.stateOf(_id(node)) != IOffering.State.Delivering) return;
        Reading[] storage readings = _readings[node];
        Reading memory base = readings[baseSeed % readings.length];
        Reading memory end = readings[endSeed % 2 == 0 ? readings.length - 1 : endSeed % readings.length];
        if (fromZero) base = Reading(0, PackedRecord.wrap(0), new bytes32[](0));
        if (confirmFirst) _confirm(node, base, end);
        _failDelivery(node, base, end);
        _confirm(node, base, end);
    }

    /// @dev The reading at the start and the newest: what an operator or a holder would bring.
    function decideNow(uint256 node, bool confirmFirst) external timed {
        node = _node(node);
        if (offering.stateOf(_id(node)) != IOffering.State.Delivering) return;
        uint256 from = offering.saleOf(_id(node)).deliverFrom;
        Reading[] storage readings = _readings[node];
        Reading memory end = readings[readings.length - 1];
        for (uint256 i; i < readings.length; ++i) {
            uint256 windowEnd = NodeRecords.windowEndOf(readings[i].record);
            if (confirmFirst && windowEnd >= from) return _confirm(node, readings[i], end);
            bool last = i + 1 == readings.length || NodeRecords.windowEndOf(readings[i + 1].record) > from;
            if (!confirmFirst && last && windowEnd <= from) return _failDelivery(node, readings[i], end);
        }
    }

    function expire(uint256 node) external timed {
        node = _node(node);
        if (offering.stateOf(_id(node)) != IOffering.State.Delivering) return;
        if (block.timestamp < offering.termsOf(_id(node)).deliverHardLimit + offering.graceSeconds()) return;
        offering.expire(_id(node));
        _ghosts[node].failed = true;
    }

    function refund(uint256 node, uint256 who, uint256 to, uint256 units, bool dust) public timed {
        node = _node(node);
        address account = holder(who);
        uint256 balance = share(node).balanceOf(account) - share(node).getFrozenTokens(account);
        if (offering.stateOf(_id(node)) != IOffering.State.Failed || balance == 0) return;
        units = bound(units, 1, dust && balance > 3 ? 3 : balance);
        uint256 quoted = offering.refundDown(_id(node), uint64(units));
        uint256 supply = share(node).totalSupply();
        uint256 refundable = offering.saleOf(_id(node)).refundableUsd6;
        uint256 before = usd.balanceOf(holder(to));
        vm.prank(account);
        uint256 paid = offering.refund(_id(node), uint64(units), holder(to));
        equal(paid, quoted, "refund as quoted");
        equal(usd.balanceOf(holder(to)) - before, paid, "refund arrives");
        atMost(paid * supply, refundable * units, "no more than the part due");
        _ghosts[node].refunded += paid;
        _ghosts[node].burned += units;
    }

    function withdraw(uint256 node) public timed {
        node = _node(node);
        IOffering.Sale memory sale = offering.saleOf(_id(node));
        if (sale.releasedUsd6 == sale.withdrawnUsd6) return;
        uint256 before = usd.balanceOf(PAYOUT);
        vm.prank(OPERATOR);
        offering.withdraw(_id(node), PAYOUT);
        _ghosts[node].withdrawn += usd.balanceOf(PAYOUT) - before;
    }

    function transferShares(uint256 node, uint256 from, uint256 to, uint256 units) external timed {
        node = _node(node);
        INodeShare token = share(node);
        address sender = holder(from);
        uint256 balance = token.balanceOf(sender) - token.getFrozenTokens(sender);
        if (token.phase() != INodeShare.Phase.Live || balance == 0) return;
        vm.prank(sender);
        token.transfer(holder(to), bound(units, 0, balance));
    }

    /// @dev The enforcer freezes part of a holder's shares, or thaws them.
    function freeze(uint256 node, uint256 who, uint256 units) external timed {
        node = _node(node);
        address account = holder(who);
        share(node).setFrozenTokens(account, bound(units, 0, share(node).balanceOf(account)));
    }

    /// @dev Income must be no matter of the sale's money.
    function earn(uint256 node, uint256 amount) external timed {
        node = _node(node);
        usd.mint(address(share(node)), bound(amount, 0, 1e12));
        share(node).sync();
    }

    function donate(uint256 amount) external timed {
        amount = bound(amount, 0, 1e12);
        usd.mint(address(offering), amount);
        donated += amount;
    }

    function pause(bool paused) external timed {
        offering.setPaused(paused);
        offering.setPaused(false);
        registry.setMarket(address(offering), !paused);
    }

    function pass(uint256 kind, uint256 howLong) external {
        uint256[5] memory most = [uint256(1), 6 * WINDOW, 2 days, 5 days, 3 * 365 days];
        uint256 most_ = most[kind % 20 < 18 ? kind % 4 : 4];
        _now += bound(howLong, 1, most_);
    }

    /// @dev Everything here must be refused, at any time.
    function attack(uint256 node, uint256 who) external timed {
        node = _node(node);
        address account = holder(who);
        uint64 tooMany = uint64(share(node).balanceOf(account) + 1);
        IOffering.State state = offering.stateOf(_id(node));
        vm.startPrank(account);
        _refused(abi.encodeCall(offering.withdraw, (_id(node), account)), "a stranger withdraws");
        _refused(abi.encodeCall(offering.refund, (_id(node), tooMany, account)), "more than one has");
        _refused(abi.encodeCall(offering.buy, (_id(node), 1, 0, account)), "for nothing");
        if (state != IOffering.State.Failed) {
            _refused(abi.encodeCall(offering.refund, (_id(node), 1, account)), "refund without failure");
        }
        vm.stopPrank();
        if (state == IOffering.State.Open || state == IOffering.State.Delivering) {
            vm.prank(OPERATOR);
            (bool retired,) = address(registry).call(abi.encodeCall(registry.retire, (_id(node))));
            holds(!retired, "retired under a sale");
            vm.startPrank(OPERATOR);
            uint256 locked = share(node).lockedOf(OPERATOR);
            if (locked != 0) {
                (bool moved,) =
                    address(share(node)).call(abi.encodeCall(share(node).transfer, (account, locked)));
                holds(!moved, "retained shares moved");
            }
            vm.stopPrank();
        }
    }

    /* THE END OF A RUN */

    /// @dev Everyone takes out what is theirs: all of it must go.
    function settleAll() external timed {
        offering.setPaused(true);
        for (uint256 node = 1; node <= NODES; ++node) {
            withdraw(node - 1);
            if (offering.stateOf(_id(node)) != IOffering.State.Failed) continue;
            for (uint256 i; i < HOLDERS; ++i) {
                share(node).setFrozenTokens(holder(i), 0);
                refund(node - 1, i, i, type(uint64).max, false);
                uint256 rest = share(node).balanceOf(holder(i));
                if (rest != 0) refund(node - 1, i, i, rest, false);
            }
            equal(share(node).totalSupply(), 0, "shares left after the refunds");
            equal(offering.saleOf(_id(node)).refundableUsd6, 0, "refundable left after the refunds");
        }
    }

    /* READING */

    function ghost(uint256 node) external view returns (Ghost memory) {
        return _ghosts[node];
    }

    function share(uint256 node) public view returns (INodeShare) {
        return INodeShare(factory.shareOf(_id(node)));
    }

    function holder(uint256 seed) public pure returns (address) {
        return address(uint160(0x1000 + seed % HOLDERS));
    }

    /* INTERNAL */

    function _confirm(uint256 node, Reading memory base, Reading memory end) private {
        try offering.confirmDelivery(_id(node), base, end) {
            holds(!_ghosts[node].failed && !_ghosts[node].delivered, "decided twice");
            _ghosts[node].delivered = true;
        } catch {}
    }

    function _failDelivery(uint256 node, Reading memory base, Reading memory end) private {
        try offering.failDelivery(_id(node), base, end) {
            holds(!_ghosts[node].failed && !_ghosts[node].delivered, "decided twice");
            _ghosts[node].failed = true;
        } catch {}
    }

    function _refused(bytes memory data, string memory what) private {
        (bool done,) = address(offering).call(data);
        holds(!done, what);
    }

    function _report(uint256 node) private {
        Ghost storage ghost_ = _ghosts[node];
        NodeRecord memory record;
        record.windowEnd = uint40(ghost_.measuredUntil);
        record.coveredSeconds = uint32(ghost_.covered);
        record.upSeconds = uint32(ghost_.up);
        record.gpuCount = GPUS;
        uint24 round = uint24((ghost_.measuredUntil - oracle.genesis()) / WINDOW);
        Reading memory reading = Reading(round, NodeRecords.pack(record), new bytes32[](0));
        oracle.callFinal(_id(node), reading);
        _readings[node].push(reading);
    }

    /// @dev Registers, attests, and opens the sale of node number `node`; each sale has another shape.
    function _list(uint256 node, uint256[] memory keys) private {
        INodeRegistry.NodeSpec memory spec = INodeRegistry.NodeSpec(
            GpuClass.wrap("H100-SXM-80GB"), GPUS, "US-TX", 5_000, 9_900, bytes32(node)
        );
        vm.prank(OPERATOR);
        registry.register(spec, "");
        bytes memory signatures;
        for (uint256 i; i < 3; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[i], registry.attestationDigest(_id(node)));
            signatures = abi.encodePacked(signatures, r, s | bytes32(uint256(v - 27) << 255));
        }
        registry.attest(_id(node), signatures);

        INodeShareFactory.ShareTerms memory shape = INodeShareFactory.ShareTerms(
            "Node", "NODE", 1 days, 1_000, node == 2 ? address(module) : address(0), address(offering), 0
        );
        uint40 opens = uint40(block.timestamp);
        IOffering.Terms memory terms = IOffering.Terms({
            priceUsd6PerShare: node == 1 ? 12_345_678 : node == 2 ? 1 : 3_333_333_333,
            softCapUnits: node == 1 ? 2e6 : 1e6,
            hardCapUnits: node == 1 ? 7e6 + 1 : node == 2 ? (1 << 46) - 7 : 1e12,
            retainedUnits: node == 3 ? 0 : 5e6 + 3,
            opensAt: opens,
            closesAt: opens + 2 days,
            upfrontBps: node == 1 ? 3_333 : node == 2 ? 0 : 5_000,
            deliverySeconds: uint32(node * 1 days),
            deliverBy: opens + 7 days,
            deliverHardLimit: opens + 12 days,
            serviceTermSeconds: 30 days,
            floorPriceUsd6PerGpuHour: 1e6
        });
        vm.startPrank(OPERATOR);
        factory.create(_id(node), shape);
        offering.open(_id(node), terms);
        vm.stopPrank();

        _ghosts[node].measuredUntil = block.timestamp - (block.timestamp - oracle.genesis()) % WINDOW;
        _report(node);
    }

    function _attestors() private pure returns (address[] memory sorted, uint256[] memory keys) {
        sorted = new address[](4);
        keys = new uint256[](4);
        for (uint256 i; i < 4; ++i) {
            keys[i] = i + 1;
            sorted[i] = vm.addr(i + 1);
            for (uint256 j = i; j > 0 && sorted[j] < sorted[j - 1]; --j) {
                (sorted[j], sorted[j - 1]) = (sorted[j - 1], sorted[j]);
                (keys[j], keys[j - 1]) = (keys[j - 1], keys[j]);
            }
        }
    }

    function _node(uint256 seed) private pure returns (uint256) {
        return seed % NODES + 1;
    }

    function _id(uint256 node) private pure returns (NodeId) {
        return NodeId.wrap(uint32(node));
    }
}
