// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {INodeRegistry} from "../../contracts/interfaces/INodeRegistry.sol";
import {ITelemetryOracle} from "../../contracts/interfaces/ITelemetryOracle.sol";
import {INodeShareFactory} from "../../contracts/interfaces/INodeShareFactory.sol";
import {NodeRecords} from "../../contracts/libraries/NodeRecords.sol";
import {ComputePool} from "../../contracts/payments/ComputePool.sol";
import {NodeRecord, Reading} from "../../contracts/types/NodeRecord.sol";
import {GpuClass, NodeId} from "../../contracts/types/NodeTypes.sol";
import {PoolAccount, PoolFlow, PoolMembership, PoolTerms, Receipt} from "../../contracts/types/PoolTypes.sol";
import {BlacklistingDollar} from "../doubles/HostileDollars.sol";
import {HostileReceiver} from "../doubles/HostileReceiver.sol";
import {OracleStandIn} from "../doubles/OracleStandIn.sol";
import {PoolWorldDouble} from "../doubles/PoolWorldDouble.sol";
import {Property} from "./Property.sol";

/// @notice Plays a pool of five nodes: one's share reverts when synced, any may be blacklisted for a time. It is owner,
/// guardian, operator, gateway and everybody's counterpart; ghosts know what was really served and billed.
contract ComputePoolHandler is Property {
    uint32 public constant NODES = 5;
    uint32 private constant WINDOW = 1 hours;
    uint32 private constant STAYING = type(uint32).max;
    GpuClass private constant CLASS = GpuClass.wrap("H100");

    /// What a node really did in a period, and what of it is on record.
    struct Truth {
        uint64 served;
        uint64 billed;
        uint64 billedFrom;
        uint32 gatewayCount;
        uint64 recorded;
    }

    /// A node by the ghosts: what it has or can claim, what it earned, and the work behind that.
    struct Part {
        uint256 hasUsd6;
        uint256 dueUsd6;
        uint256 served;
        uint256 billed;
        uint256 counted;
    }

    BlacklistingDollar public usd;
    PoolWorldDouble private world;
    OracleStandIn private oracle;
    ComputePool public pool;

    /// Sent to the pool, and seen at the nodes' shares.
    uint256 public received;
    /// Periods in which work was recorded, in their order, and what each releases.
    uint32[] public periods;
    mapping(uint32 period => uint256) public releasedUsd6;

    mapping(uint32 node => mapping(uint32 period => Truth)) private _truths;
    /// `dueUsd6` is of the first `_closed` periods, each rounded down; `hasUsd6` is not kept.
    mapping(uint32 node => Part) private _parts;
    uint256 private _closed;
    mapping(uint32 node => uint64) private _counter;
    mapping(uint32 node => address) public shareOf;

    uint256 private _gatewayKey = 0xA11CE;
    uint40 private immutable _genesis;
    /// @dev Forge forgets a warp between the calls of a sequence.
    uint256 private _now = 1_800_000_000;

    modifier timed() {
        vm.warp(_now);
        _;
    }

    constructor() timed {
        usd = new BlacklistingDollar();
        world = new PoolWorldDouble(address(usd));
        _genesis = uint40(block.timestamp - 10 hours - 77);
        oracle = new OracleStandIn(_genesis, WINDOW, 2 hours, 256);
        pool = ComputePool(
            shipped(
                "ComputePool",
                abi.encode(
                    address(this),
                    address(this),
                    INodeShareFactory(address(world)),
                    ITelemetryOracle(address(oracle)),
                    vm.addr(_gatewayKey),
                    PoolTerms(CLASS, 7 days, 24, 20 hours)
                )
            )
        );
        for (uint32 node = 1; node <= NODES; ++node) {
            shareOf[node] = address(uint160(0x5A5A0000) + node);
            if (node == NODES) {
                HostileReceiver hostile = new HostileReceiver();
                hostile.set(HostileReceiver.Mood.Reverting, address(0), "");
                shareOf[node] = address(hostile);
            }
            _list(node, INodeRegistry.Status.Active);
            pool.admit(NodeId.wrap(node));
            if (node > 1) pool.join(NodeId.wrap(node));
        }
        _now = pool.periodEndOf(0);
    }

    /* ACTIONS */

    function pay(uint256 amount, uint256 kind) external timed {
        amount = bound(amount, 1, kind % 3 == 0 ? 10 : 1e12);
        usd.mint(address(pool), amount);
        received += amount;
        if (kind % 5 != 0) sync();
    }

    function sync() public timed {
        uint256 unsynced = pool.unsyncedUsd6();
        uint256 level = pool.flow().levelUsd6;
        equal(pool.sync(), unsynced, "all that is new");
        equal(pool.flow().levelUsd6, level + unsynced, "into the level");
    }

    /// @dev Whole truth or part of it, by anyone, in the collecting time that comes next.
    function work(uint256 seed, uint64 served_, uint64 billed_, uint256 part) external {
        _toCollecting();
        _work(uint32(1 + seed % NODES), served_, billed_, part);
    }

    /// @dev Everybody works in the period under way, so that there is something to divide.
    function workTogether(uint256 seed, uint64 served_, uint64 billed_) external {
        _now = pool.periodEndOf(pool.periodAt(_now));
        vm.warp(_now);
        for (uint32 node = 1; node <= NODES; ++node) {
            uint256 word = uint256(keccak256(abi.encode(seed, node)));
            uint64 more = uint64(word % 1e6);
            _work(node, uint64(bound(served_, 0, 1e12)) + more, uint64(bound(billed_, 0, 1e12)) + more, 0);
        }
    }

    /// @dev Never refused once its time has come, whatever has been done to it before.
    function distribute(uint256 seed, bool open) public timed {
        uint32 now_ = pool.periodAt(block.timestamp);
        uint32 period = open ? pool.flow().openPeriod : uint32(seed % (now_ + 1));
        if (block.timestamp < pool.distributableAt(period)) {
            return _refused(abi.encodeCall(pool.distribute, (period)), "distributed while collecting");
        }
        bool isOpen = period != 0 && pool.flow().openPeriod == period;
        uint256 level = pool.flow().levelUsd6;
        uint256 released = pool.distribute(period);
        equal(released, isOpen ? releasedUsd6[period] : 0, "released");
        equal(pool.flow().levelUsd6, level - released, "out of the level");
    }

    function claim(uint256 seed) public timed {
        uint32 node = uint32(1 + seed % NODES);
        uint256 owed = pool.claimableUsd6(NodeId.wrap(node));
        bytes memory data = abi.encodeCall(pool.claim, (NodeId.wrap(node)));
        if (owed == 0) return _refused(data, "paid for nothing");
        if (usd.blacklisted(shareOf[node])) return _refused(data, "paid to the blacklisted");
        uint256 before = usd.balanceOf(shareOf[node]);
        equal(pool.claim(NodeId.wrap(node)), owed, "claimed as quoted");
        equal(usd.balanceOf(shareOf[node]), before + owed, "arrives");
        equal(pool.claimableUsd6(NodeId.wrap(node)), 0, "once");
    }

    function comeOrGo(uint256 seed, uint256 kind) external timed {
        uint32 node = uint32(1 + seed % NODES);
        NodeId id = NodeId.wrap(node);
        PoolMembership memory membership = pool.membershipOf(id);
        uint32 next = pool.periodAt(block.timestamp) + 1;
        if (membership.endPeriod == STAYING) {
            if (kind % 4 == 0) pool.resign(id);
            if (kind % 4 == 1) pool.dismiss(id);
            if (kind % 4 == 2) {
                _list(node, INodeRegistry.Status.Suspended);
                pool.expel(id);
                _list(node, INodeRegistry.Status.Active);
            }
            if (kind % 4 != 3) equal(pool.membershipOf(id).endPeriod, next, "out with the next period");
            return;
        }
        pool.admit(id);
        bool joins = !pool.isPaused() && (membership.endPeriod == 0 || next > membership.endPeriod + 1);
        if (!joins) return _refused(abi.encodeCall(pool.join, (id)), "joined too early");
        pool.join(id);
        equal(pool.membershipOf(id).firstPeriod, next, "in with the next period");
    }

    function rotate() external timed {
        pool.setGateway(vm.addr(++_gatewayKey));
        for (uint32 node = 1; node <= NODES; ++node) {
            _counter[node] = 0;
        }
    }

    function pause(bool paused) external timed {
        pool.setPaused(paused);
    }

    function blacklist(uint256 seed, bool on) external timed {
        usd.setBlacklisted(shareOf[uint32(1 + seed % NODES)], on);
    }

    function pass(uint256 kind, uint256 howLong) external {
        uint256[4] memory most = [uint256(1), 6 hours, 2 days, 100 days];
        _now += bound(howLong, 1, most[kind % 16 < 12 ? kind % 3 : 3]);
    }

    /// @dev What the gateway's counter was counted up to is not counted again, whatever it signs.
    function billTwice(uint256 seed, uint64 units) external {
        _toCollecting();
        uint32 period = pool.periodAt(block.timestamp) - 1;
        NodeId id = NodeId.wrap(uint32(1 + seed % NODES));
        PoolAccount memory account = pool.accountOf(id);
        uint64 counted = account.countedToUnits - (account.period == period ? account.workUnits : 0);
        if (account.gatewayCount != pool.gatewayCount() || counted == 0) return;
        units = uint64(bound(units, 1, 1e15));
        _refused(_recordCall(Receipt(id, period, counted - 1, counted + units), units), "billed twice");
    }

    /// @dev Everything here must be refused, at any time.
    function attack(uint256 seed, address who) external timed {
        NodeId id = NodeId.wrap(uint32(1 + seed % NODES));
        if (who == address(this)) return;
        vm.startPrank(who);
        _refused(abi.encodeCall(pool.join, (id)), "a stranger joins it");
        _refused(abi.encodeCall(pool.resign, (id)), "a stranger makes it leave");
        _refused(abi.encodeCall(pool.expel, (id)), "a stranger expels it");
        _refused(abi.encodeCall(pool.admit, (id)), "a stranger admits");
        _refused(abi.encodeCall(pool.dismiss, (id)), "a stranger dismisses");
        _refused(abi.encodeCall(pool.setGateway, (who)), "a stranger bills");
        _refused(abi.encodeCall(pool.setPaused, (true)), "a stranger pauses");
        vm.stopPrank();
    }

    /* THE END OF A RUN */

    /// @dev Paused, with one share blacklisted for good: everything else that is owed goes out.
    function settleAll(uint32 stuck) external {
        vm.warp(_now);
        pool.setPaused(true);
        uint32 open = pool.flow().openPeriod;
        if (open != 0 && _now < pool.distributableAt(open)) _now = pool.distributableAt(open);
        distribute(0, true);
        // Again and again: what one leaves by rounding down may come to a unit for another whose turn is over.
        for (uint32 turn; turn < NODES * NODES; ++turn) {
            uint32 node = turn % NODES + 1;
            usd.setBlacklisted(shareOf[node], node == stuck);
            claim(node - 1);
        }
        usd.setBlacklisted(shareOf[stuck], false);
    }

    /* VIEWS */

    function periodCount() external view returns (uint256) {
        return periods.length;
    }

    function recorded(uint32 node, uint32 period) external view returns (uint256) {
        return _truths[node][period].recorded;
    }

    function paid() external view returns (uint256 paidUsd6) {
        for (uint32 node = 1; node <= NODES; ++node) {
            paidUsd6 += usd.balanceOf(shareOf[node]);
        }
    }

    function accounts() external view returns (PoolAccount[] memory all) {
        all = new PoolAccount[](NODES);
        for (uint32 node = 1; node <= NODES; ++node) {
            all[node - 1] = pool.accountOf(NodeId.wrap(node));
        }
    }

    function parts() external view returns (Part[] memory all) {
        all = new Part[](NODES);
        uint32 last = periods.length == _closed ? 0 : periods[periods.length - 1];
        if (last == pool.flow().openPeriod) last = 0;
        for (uint32 node = 1; node <= NODES; ++node) {
            Part memory part = _parts[node];
            part.hasUsd6 = usd.balanceOf(shareOf[node]) + pool.claimableUsd6(NodeId.wrap(node));
            part.dueUsd6 += _earnedDown(node, last);
            all[node - 1] = part;
        }
    }

    /* INTERNAL */

    /// @dev To the next moment in which work may be recorded.
    function _toCollecting() private {
        vm.warp(_now);
        uint32 last = pool.periodAt(_now) - 1;
        if (last == 0 || _now >= pool.distributableAt(last)) _now = pool.periodEndOf(last + 1);
        vm.warp(_now);
    }

    function _work(uint32 node, uint64 served_, uint64 billed_, uint256 part) private {
        uint32 period = pool.periodAt(block.timestamp) - 1;
        Truth storage truth = _truth(node, period, served_, billed_);
        Receipt memory receipt =
            Receipt(NodeId.wrap(node), period, truth.billedFrom, truth.billedFrom + truth.billed);
        uint64 shown = part % 3 == 0 ? truth.served : uint64(part % (uint256(truth.served) + 1));
        uint64 counts = shown < truth.billed ? shown : truth.billed;
        bytes memory data = _recordCall(receipt, shown);
        if (!pool.isMemberIn(NodeId.wrap(node), period)) return _refused(data, "no member's work");
        if (counts <= truth.recorded) return _refused(data, "no more work");
        if (pool.flow().openPeriod != period) _close();
        PoolFlow memory before = pool.flow();
        (bool done, bytes memory result) = address(pool).call(data);
        holds(done, "recorded");
        equal(abi.decode(result, (uint64)), counts, "the smaller of the two");
        _parts[node].counted += counts - truth.recorded;
        truth.recorded = counts;
        if (before.openPeriod == period) return;
        periods.push(period);
        releasedUsd6[period] = pool.periodOf(period).leftUsd6;
        atMost(releasedUsd6[period] * 1_000, uint256(before.levelUsd6) * 134, "no more than 13.4%");
    }

    /// @dev No more work of the newest period can be recorded.
    function _close() private {
        if (periods.length == _closed) return;
        ++_closed;
        for (uint32 node = 1; node <= NODES; ++node) {
            _parts[node].dueUsd6 += _earnedDown(node, periods[periods.length - 1]);
        }
    }

    /// @dev The node's part of what `period` releases.
    function _earnedDown(uint32 node, uint32 period) private view returns (uint256) {
        if (_truths[node][period].recorded == 0) return 0;
        uint256 total;
        for (uint32 other = 1; other <= NODES; ++other) {
            total += _truths[other][period].recorded;
        }
        return releasedUsd6[period] * _truths[node][period].recorded / total;
    }

    /// @dev Made up when it is first asked for; a new gateway says it anew.
    function _truth(uint32 node, uint32 period, uint64 served_, uint64 billed_)
        private
        returns (Truth storage truth)
    {
        truth = _truths[node][period];
        uint32 gateways = pool.gatewayCount();
        if (truth.gatewayCount == 0) {
            truth.served = uint64(bound(served_, 0, 1e15));
            truth.billed = uint64(bound(billed_, 0, 1e15));
            _parts[node].served += truth.served;
            _parts[node].billed += truth.billed;
        }
        if (truth.gatewayCount == gateways) return truth;
        truth.gatewayCount = gateways;
        truth.billedFrom = _counter[node];
        _counter[node] += truth.billed;
    }

    function _recordCall(Receipt memory receipt, uint64 shown) private returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(_gatewayKey, pool.receiptDigest(receipt));
        (uint256 first, uint256 last) = pool.roundsOf(receipt.period);
        return abi.encodeCall(
            pool.record,
            (
                receipt,
                abi.encodePacked(r, s, v),
                _reading(receipt.node, uint24(first), 77),
                _reading(receipt.node, uint24(last), 77 + shown)
            )
        );
    }

    function _reading(NodeId node, uint24 round, uint64 workUnits) private returns (Reading memory reading) {
        uint40 end = _genesis + uint40(round) * WINDOW;
        reading.round = round;
        reading.record = NodeRecords.pack(NodeRecord(end, 0, 0, 0, 0, workUnits, 8));
        oracle.callFinal(node, reading);
    }

    function _list(uint32 node, INodeRegistry.Status status) private {
        world.set(NodeId.wrap(node), address(this), status, CLASS, shareOf[node]);
    }

    function _refused(bytes memory data, string memory what) private {
        (bool done,) = address(pool).call(data);
        holds(!done, what);
    }
}
