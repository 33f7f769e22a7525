// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PlainUSD} from "../../contracts/bench/PlainUSD.sol";
import {INodeRegistry} from "../../contracts/interfaces/INodeRegistry.sol";
import {NodeRegistry} from "../../contracts/nodes/NodeRegistry.sol";
import {GpuClass, NodeId} from "../../contracts/types/NodeTypes.sol";
import {HistoryProperty, Property} from "./Property.sol";

/// @notice Operators, markets and a guardian on one registry. Most calls are tried blindly, from anyone; what
/// succeeds is checked against the promise.
contract NodeRegistryHandler is Property {
    uint256 public constant NODES = 3;
    uint256 public constant MARKETS = 2;
    uint64 private constant PER_GPU = 7e6;
    address private constant GUARDIAN = address(0x6A);

    struct Ghost {
        uint256 bond;
        uint256 committedUntil;
        uint256[MARKETS] held;
        bool wasAttested;
        bool retired;
    }

    PlainUSD public usd = new PlainUSD();
    NodeRegistry public registry;
    mapping(uint256 node => Ghost) private _ghosts;
    uint256[] private _keys;

    /// @dev Forge forgets a warp between the calls of a sequence.
    uint256 private _now = 1_800_000_000;

    modifier timed() {
        vm.warp(_now);
        _;
    }

    constructor() timed {
        address[] memory attestors = new address[](4);
        for (uint256 i; i < 4; ++i) {
            attestors[i] = vm.addr(i + 1);
            _keys.push(i + 1);
            for (uint256 j = i; j > 0 && attestors[j] < attestors[j - 1]; --j) {
                (attestors[j], attestors[j - 1]) = (attestors[j - 1], attestors[j]);
                (_keys[j], _keys[j - 1]) = (_keys[j - 1], _keys[j]);
            }
        }
        registry = NodeRegistry(
            shipped(
                "NodeRegistry",
                abi.encode(address(this), GUARDIAN, address(usd), PER_GPU, 7 days, attestors, 1)
            )
        );
        for (uint256 i; i < MARKETS; ++i) {
            registry.setMarket(market(i), true);
        }
        for (uint256 node = 1; node <= NODES; ++node) {
            vm.prank(operator(node));
            registry.register(
                INodeRegistry.NodeSpec(GpuClass.wrap("B200"), uint8(node * 8), "IS", 900, 10_000, "spec"), ""
            );
        }
    }

    /* ACTIONS */

    function attest(uint256 node, uint256 count) external timed {
        node = _node(node);
        count = count % 8 < 5 ? count % 8 : 3;
        bytes memory signatures;
        for (uint256 i; i < count; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(_keys[i], registry.attestationDigest(_id(node)));
            signatures = abi.encodePacked(signatures, r, s | bytes32(uint256(v - 27) << 255));
        }
        INodeRegistry.Status before = registry.statusOf(_id(node));
        (bool done,) = address(registry).call(abi.encodeCall(registry.attest, (_id(node), signatures)));
        if (!done) return;
        equal(count, 3, "attested by another number than k");
        equal(uint256(before), uint256(INodeRegistry.Status.Registered), "attested twice");
        _ghosts[node].wasAttested = true;
    }

    /// @dev activate, suspend, resume or retire, by anyone.
    function step(uint256 node, uint256 who, uint256 what) external timed {
        node = _node(node);
        NodeId id = _id(node);
        address caller = _anyone(who);
        INodeRegistry.Node memory before = registry.nodeOf(id);
        bool byGuardian = registry.isSuspendedByGuardian(id);
        bytes[4] memory calls = [
            abi.encodeCall(registry.activate, (id)),
            abi.encodeCall(registry.suspend, (id)),
            abi.encodeCall(registry.resume, (id)),
            abi.encodeCall(registry.retire, (id))
        ];
        what %= 4;
        vm.prank(caller);
        (bool done,) = address(registry).call(calls[what]);
        if (!done) return;
        INodeRegistry.Status status = registry.statusOf(id);
        holds(!_ghosts[node].retired, "a retired node lives");
        if (what == 0) {
            equal(uint160(caller), uint160(operator(node)), "activated by");
            holds(!byGuardian, "activated against the guardian");
            atLeast(before.bondUsd6, uint256(PER_GPU) * node * 8, "bond of an active node");
        } else if (what == 1) {
            holds(caller == operator(node) || caller == GUARDIAN, "suspended by");
        } else if (what == 2) {
            holds(byGuardian && caller == GUARDIAN, "resumed by");
            equal(uint256(status), uint256(INodeRegistry.Status.Attested), "resumed to");
        } else {
            equal(uint160(caller), uint160(operator(node)), "retired by");
            equal(before.holds, 0, "retired while held");
            atLeast(block.timestamp, _ghosts[node].committedUntil, "retired while committed");
            _ghosts[node].retired = true;
        }
    }

    function depositBond(uint256 node, uint256 who, uint256 amount) external timed {
        node = _node(node);
        if (_ghosts[node].retired) return;
        amount = bound(amount, 0, 400e6);
        address payer = _anyone(who);
        usd.mint(payer, amount);
        vm.startPrank(payer);
        usd.approve(address(registry), amount);
        registry.depositBond(_id(node), uint64(amount));
        vm.stopPrank();
        _ghosts[node].bond += amount;
    }

    function requestBond(uint256 node, uint256 who, uint256 amount) external timed {
        node = _node(node);
        amount = bound(amount, 0, 600e6);
        address caller = _anyone(who);
        vm.prank(caller);
        (bool done,) = address(registry)
            .call(abi.encodeCall(registry.requestBondWithdrawal, (_id(node), uint64(amount))));
        if (!done) return;
        equal(uint160(caller), uint160(operator(node)), "requested by");
        if (amount == 0 || _ghosts[node].retired) return;
        atLeast(_ghosts[node].bond, uint256(PER_GPU) * node * 8 + amount, "requested more than is spare");
    }

    function withdrawBond(uint256 node, uint256 who) external timed {
        node = _node(node);
        address caller = _anyone(who);
        (uint64 requested, uint40 at) = registry.bondWithdrawalOf(_id(node));
        vm.prank(caller);
        (bool done, bytes memory result) =
            address(registry).call(abi.encodeCall(registry.withdrawBond, (_id(node), address(0xDEAD))));
        bool due = caller == operator(node) && requested != 0 && block.timestamp >= at;
        holds(done == due, "withdrawn exactly when due");
        if (!done) return;
        equal(abi.decode(result, (uint64)), requested, "withdrawn");
        _ghosts[node].bond -= requested;
    }

    function hold(uint256 node, uint256 who) external timed {
        node = _node(node);
        (address caller, uint256 number) = _market(who);
        bool allowed = registry.isMarket(caller) && _status(node) >= INodeRegistry.Status.Attested
            && _status(node) <= INodeRegistry.Status.Active;
        vm.prank(caller);
        (bool done,) = address(registry).call(abi.encodeCall(registry.hold, (_id(node))));
        holds(done == allowed, "held exactly when allowed");
        if (done) ++_ghosts[node].held[number];
    }

    function release(uint256 node, uint256 who) external timed {
        node = _node(node);
        (address caller, uint256 number) = _market(who);
        bool allowed = number < MARKETS && _ghosts[node].held[number] != 0;
        vm.prank(caller);
        (bool done,) = address(registry).call(abi.encodeCall(registry.release, (_id(node))));
        holds(done == allowed, "released exactly when held");
        if (done) --_ghosts[node].held[number];
    }

    function commit(uint256 node, uint256 who, uint256 time) external timed {
        node = _node(node);
        (address caller, uint256 number) = _market(who);
        time = bound(time, 0, block.timestamp + 90 days);
        bool allowed = !_ghosts[node].retired
            && (registry.isMarket(caller) || number < MARKETS && _ghosts[node].held[number] != 0);
        vm.prank(caller);
        (bool done,) = address(registry).call(abi.encodeCall(registry.commitUntil, (_id(node), uint40(time))));
        holds(done == allowed, "committed exactly when allowed");
        if (done && time > _ghosts[node].committedUntil) _ghosts[node].committedUntil = time;
    }

    function rename(uint256 number, bool named) external timed {
        registry.setMarket(market(number % MARKETS), named);
    }

    function pass(uint256 howLong) external {
        _now += bound(howLong, 1, 30 days);
    }

    /* READING */

    function ghost(uint256 node) external view returns (Ghost memory) {
        return _ghosts[node];
    }

    function operator(uint256 node) public pure returns (address) {
        return address(uint160(0x100 + node));
    }

    function market(uint256 number) public pure returns (address) {
        return address(uint160(0x200 + number));
    }

    function _anyone(uint256 seed) private pure returns (address) {
        uint256 number = seed % 6;
        return number < NODES ? operator(number + 1) : number < 5 ? GUARDIAN : address(0x300);
    }

    /// @dev Number MARKETS is a stranger.
    function _market(uint256 seed) private pure returns (address, uint256 number) {
        number = seed % 7 == 6 ? MARKETS : seed % MARKETS;
        return (number == MARKETS ? address(0x300) : market(number), number);
    }

    function _status(uint256 node) private view returns (INodeRegistry.Status) {
        return registry.statusOf(_id(node));
    }

    function _node(uint256 seed) private pure returns (uint256) {
        return seed % NODES + 1;
    }

    function _id(uint256 node) private pure returns (NodeId) {
        return NodeId.wrap(uint32(node));
    }
}

contract NodeRegistryInvariants is HistoryProperty {
    NodeRegistryHandler private handler;

    function setUp() public {
        handler = new NodeRegistryHandler();
        _play(address(handler));
    }

    /// @dev One campaign for all: forge plays a history anew for every invariant function.
    function invariant_nodes() public view {
        bondsAreThere();
        statusIsEarned();
        holdsAddUp();
    }

    /// 1. The registry holds exactly the bonds, and pays every request out of them.
    function bondsAreThere() private view {
        uint256 owed;
        for (uint256 node = 1; node <= handler.NODES(); ++node) {
            NodeId id = NodeId.wrap(uint32(node));
            uint256 bond = handler.registry().nodeOf(id).bondUsd6;
            equal(bond, handler.ghost(node).bond, "bond");
            (uint64 requested,) = handler.registry().bondWithdrawalOf(id);
            atMost(requested, bond, "requested");
            owed += bond;
        }
        equal(handler.usd().balanceOf(address(handler.registry())), owed, "balance");
    }

    /// Active nodes have their bond; nothing but a quorum led a node past Registered.
    function statusIsEarned() private view {
        for (uint256 node = 1; node <= handler.NODES(); ++node) {
            NodeId id = NodeId.wrap(uint32(node));
            INodeRegistry.Node memory view_ = handler.registry().nodeOf(id);
            NodeRegistryHandler.Ghost memory ghost = handler.ghost(node);
            if (view_.status == INodeRegistry.Status.Active) {
                atLeast(view_.bondUsd6, handler.registry().requiredBondUsd6(id), "bond of an active node");
            }
            if (!ghost.wasAttested && !ghost.retired) {
                equal(uint256(view_.status), uint256(INodeRegistry.Status.Registered), "unattested");
            }
            holds(ghost.retired == (view_.status == INodeRegistry.Status.Retired), "retired");
            if (handler.registry().isSuspendedByGuardian(id)) {
                equal(uint256(view_.status), uint256(INodeRegistry.Status.Suspended), "suspended");
            }
        }
    }

    /// The node's holds are those of its markets together; commitments only rise.
    function holdsAddUp() private view {
        for (uint256 node = 1; node <= handler.NODES(); ++node) {
            NodeId id = NodeId.wrap(uint32(node));
            NodeRegistryHandler.Ghost memory ghost = handler.ghost(node);
            uint256 sum;
            for (uint256 i; i < handler.MARKETS(); ++i) {
                equal(handler.registry().holdsOf(id, handler.market(i)), ghost.held[i], "holds of a market");
                sum += ghost.held[i];
            }
            equal(handler.registry().nodeOf(id).holds, sum, "holds");
            equal(handler.registry().nodeOf(id).committedUntil, ghost.committedUntil, "committed");
        }
    }

    /// The invariants are about something: a few actions lead through a whole life.
    function test_TheHandlerReachesEveryStatus() public {
        handler.attest(0, 3);
        handler.depositBond(0, 0, 100e6);
        handler.step(0, 0, 0);
        _expect(INodeRegistry.Status.Active);
        handler.requestBond(0, 0, 44e6);
        handler.step(0, 3, 1);
        _expect(INodeRegistry.Status.Suspended);
        handler.step(0, 3, 2);
        _expect(INodeRegistry.Status.Attested);
        handler.hold(0, 0);
        handler.commit(0, 0, type(uint256).max);
        handler.rename(0, false);
        handler.release(0, 0);
        equal(handler.ghost(1).held[0], 0, "held");
        holdsAddUp();
        handler.pass(30 days);
        handler.withdrawBond(0, 0);
        equal(handler.ghost(1).bond, 56e6, "withdrawn");
    }

    function _expect(INodeRegistry.Status status) private view {
        equal(uint256(handler.registry().statusOf(NodeId.wrap(1))), uint256(status), "status");
    }
}
