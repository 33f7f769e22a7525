// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {EIP712} from "solady/src/utils/EIP712.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

import {Guarded} from "../access/Guarded.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {NodeSpecs} from "../libraries/NodeSpecs.sol";
import {Quorum} from "../libraries/Quorum.sol";
import {NodeId} from "../types/NodeTypes.sol";

/// @notice The promise of every function is in INodeRegistry.
contract NodeRegistry is INodeRegistry, EIP712, Guarded {
    using SafeTransferLib for address;

    /// @dev What changes while a node lives, apart from its spec.
    struct Record {
        // slot 0
        address operator;
        Status status;
        bool suspendedByGuardian;
        uint40 registeredAt;
        uint16 holds;
        // slot 1
        uint64 bondUsd6;
        uint64 withdrawalUsd6;
        uint40 withdrawableAt;
        uint40 committedUntil;
    }

    /* CONSTANTS AND IMMUTABLES */

    uint64 public constant MAX_BOND_USD6_PER_GPU = 1_000_000e6;
    uint32 public constant MIN_BOND_DELAY_SECONDS = 1 days;
    uint32 public constant MAX_BOND_DELAY_SECONDS = 60 days;
    uint256 public constant MAX_SPEC_URI_BYTES = 4_096;

    bytes32 public constant ATTESTATION_TYPEHASH =
        keccak256("Attestation(bytes32 configDigest,uint32 node,bytes32 specDigest)");

    /// @inheritdoc INodeRegistry
    address public immutable asset;
    /// @inheritdoc INodeRegistry
    uint64 public immutable bondUsd6PerGpu;
    /// @inheritdoc INodeRegistry
    uint32 public immutable bondDelaySeconds;

    /* STORAGE */

    /// @inheritdoc INodeRegistry
    uint32 public nodeCount;
    /// @inheritdoc INodeRegistry
    uint8 public quorum;
    uint32 private _attestorSets;
    address private _attestorBlob;

    mapping(NodeId node => Record) private _records;
    mapping(NodeId node => NodeSpec) private _specs;
    /// @inheritdoc INodeRegistry
    mapping(NodeId node => mapping(address market => uint16)) public holdsOf;
    /// @inheritdoc INodeRegistry
    mapping(address market => bool) public isMarket;

    /* CONSTRUCTOR */

    constructor(
        address owner_,
        address guardian_,
        address asset_,
        uint64 bondUsd6PerGpu_,
        uint32 bondDelaySeconds_,
        address[] memory attestors_,
        uint8 faulty
    ) Guarded(owner_, guardian_) {
        require(
            bondUsd6PerGpu_ <= MAX_BOND_USD6_PER_GPU,
            NodeRegistry_BondPerGpuTooHigh(bondUsd6PerGpu_, MAX_BOND_USD6_PER_GPU)
        );
        require(
            bondDelaySeconds_ >= MIN_BOND_DELAY_SECONDS && bondDelaySeconds_ <= MAX_BOND_DELAY_SECONDS,
            NodeRegistry_BondDelayOutOfBounds(
                bondDelaySeconds_, MIN_BOND_DELAY_SECONDS, MAX_BOND_DELAY_SECONDS
            )
        );
        asset = asset_;
        bondUsd6PerGpu = bondUsd6PerGpu_;
        bondDelaySeconds = bondDelaySeconds_;
        _setAttestors(attestors_, faulty);
    }

    /* LIFE CYCLE */

    /// @inheritdoc INodeRegistry
    function register(NodeSpec calldata spec, string calldata specUri)
        external
        whenNotPaused
        returns (NodeId node)
    {
        // Check: every field is within its bounds.
        NodeSpecs.check(spec);
        require(
            bytes(specUri).length <= MAX_SPEC_URI_BYTES,
            NodeRegistry_SpecUriTooLong(bytes(specUri).length, MAX_SPEC_URI_BYTES)
        );

        // Effect: the next number, counted from 1.
        node = NodeId.wrap(++nodeCount);
        Record storage record = _records[node];
        record.operator = msg.sender;
        record.status = Status.Registered;
        record.registeredAt = uint40(block.timestamp); // Safe cast until the year 36812.
        _specs[node] = spec;
        emit RegisterNode(node, msg.sender, spec.specHash, spec, specUri);
    }

    /// @inheritdoc INodeRegistry
    function attest(NodeId node, bytes calldata signatures) external {
        // Check: a quorum of attestors vouches for what is stored here.
        Record storage record = _records[node];
        require(record.status == Status.Registered, NodeRegistry_WrongStatus(node, record.status));
        Quorum.verify(_attestorBlob, quorum, attestationDigest(node), signatures);

        // Effect: the node is attested.
        record.status = Status.Attested;
        emit AttestNode(node, msg.sender, configDigest(), specDigestOf(node));
    }

    /// @inheritdoc INodeRegistry
    function activate(NodeId node) external {
        // Check: the operator's own node, at rest, with its bond behind it.
        Record storage record = _operated(node);
        Status status = record.status;
        require(
            status == Status.Attested || status == Status.Suspended, NodeRegistry_WrongStatus(node, status)
        );
        require(!record.suspendedByGuardian, NodeRegistry_SuspendedByGuardian(node));
        uint64 required = requiredBondUsd6(node);
        require(record.bondUsd6 >= required, NodeRegistry_BondTooLow(node, record.bondUsd6, required));

        // Effect: the node is active.
        record.status = Status.Active;
        emit ActivateNode(node, msg.sender);
    }

    /// @inheritdoc INodeRegistry
    function suspend(NodeId node) external {
        // Check: the guardian comes first, as its suspension binds the operator even where both are one.
        Record storage record = _records[node];
        bool byGuardian = msg.sender == guardian;
        require(byGuardian || msg.sender == record.operator, NodeRegistry_MayNotSuspend(node, msg.sender));
        Status status = record.status;
        bool takesOver = byGuardian && status == Status.Suspended && !record.suspendedByGuardian;
        require(
            status == Status.Attested || status == Status.Active || takesOver,
            NodeRegistry_WrongStatus(node, status)
        );

        // Effect: suspended, and by whom.
        record.status = Status.Suspended;
        record.suspendedByGuardian = byGuardian;
        emit SuspendNode(node, msg.sender, byGuardian);
    }

    /// @inheritdoc INodeRegistry
    function resume(NodeId node) external onlyGuardian {
        // Check: it was the guardian's suspension.
        Record storage record = _records[node];
        require(
            record.status == Status.Suspended && record.suspendedByGuardian,
            NodeRegistry_WrongStatus(node, record.status)
        );

        // Effect: as good as attested; only the operator activates.
        record.status = Status.Attested;
        record.suspendedByGuardian = false;
        emit ResumeNode(node, msg.sender);
    }

    /// @inheritdoc INodeRegistry
    function retire(NodeId node) external {
        // Check: nobody counts on the node any more.
        Record storage record = _operated(node);
        require(record.status != Status.Retired, NodeRegistry_WrongStatus(node, Status.Retired));
        require(record.holds == 0, NodeRegistry_Held(node, record.holds));
        require(block.timestamp >= record.committedUntil, NodeRegistry_Committed(node, record.committedUntil));

        // Effect: final, whoever had suspended it.
        record.status = Status.Retired;
        record.suspendedByGuardian = false;
        emit RetireNode(node, msg.sender);
    }

    /* BOND */

    /// @inheritdoc INodeRegistry
    function depositBond(NodeId node, uint64 amountUsd6) external whenNotPaused {
        // Check: the node exists and goes on.
        Record storage record = _records[node];
        Status status = record.status;
        require(status != Status.None && status != Status.Retired, NodeRegistry_WrongStatus(node, status));

        // Effect: the bond grows.
        record.bondUsd6 += amountUsd6;
        emit DepositBond(node, msg.sender, amountUsd6, record.bondUsd6);

        // Interaction: take the money, and exactly as much as was counted.
        uint256 before = asset.balanceOf(address(this));
        asset.safeTransferFrom(msg.sender, address(this), amountUsd6);
        uint256 received = asset.balanceOf(address(this)) - before;
        require(received == amountUsd6, NodeRegistry_WrongAmountReceived(received, amountUsd6));
    }

    /// @inheritdoc INodeRegistry
    function requestBondWithdrawal(NodeId node, uint64 amountUsd6) external {
        // Check: what must stay behind the node stays.
        Record storage record = _operated(node);
        uint256 required = record.status == Status.Retired ? 0 : requiredBondUsd6(node);
        require(
            record.bondUsd6 >= required + amountUsd6 || amountUsd6 == 0,
            NodeRegistry_BondTooLow(node, record.bondUsd6, required + amountUsd6)
        );

        // Effect: the delay starts, again if there was a request already.
        // Safe cast: a time of this age plus at most 60 days.
        uint40 withdrawableAt = amountUsd6 == 0 ? 0 : uint40(block.timestamp + bondDelaySeconds);
        record.withdrawalUsd6 = amountUsd6;
        record.withdrawableAt = withdrawableAt;
        emit RequestBondWithdrawal(node, msg.sender, amountUsd6, withdrawableAt);
    }

    /// @inheritdoc INodeRegistry
    function withdrawBond(NodeId node, address to) external returns (uint64 amountUsd6) {
        // Check: requested, and long enough ago. What must stay was checked then, and a bond only falls here.
        Record storage record = _operated(node);
        require(to != address(0), NodeRegistry_ZeroReceiver());
        amountUsd6 = record.withdrawalUsd6;
        require(amountUsd6 != 0, NodeRegistry_NoWithdrawalRequested(node));
        require(
            block.timestamp >= record.withdrawableAt,
            NodeRegistry_WithdrawalNotYet(node, record.withdrawableAt)
        );

        // Effect: the request is served.
        record.withdrawalUsd6 = 0;
        record.withdrawableAt = 0;
        record.bondUsd6 -= amountUsd6;
        emit WithdrawBond(node, msg.sender, to, amountUsd6, record.bondUsd6);

        // Interaction: pay.
        asset.safeTransfer(to, amountUsd6);
    }

    /* MARKETS */

    /// @inheritdoc INodeRegistry
    function hold(NodeId node) external {
        // Check: only a node that somebody vouched for, and that is not at rest, takes on obligations.
        require(isMarket[msg.sender], NodeRegistry_NotMarket(node, msg.sender));
        Record storage record = _records[node];
        Status status = record.status;
        require(status == Status.Attested || status == Status.Active, NodeRegistry_WrongStatus(node, status));

        // Effect: one hold more.
        ++holdsOf[node][msg.sender];
        emit HoldNode(node, msg.sender, ++record.holds);
    }

    /// @inheritdoc INodeRegistry
    function release(NodeId node) external {
        // Check: the right to release is the hold itself, so that un-naming a market traps nobody's money.
        uint16 held = holdsOf[node][msg.sender];
        require(held != 0, NodeRegistry_NothingHeld(node, msg.sender));

        // Effect: one hold less.
        holdsOf[node][msg.sender] = held - 1;
        emit ReleaseNode(node, msg.sender, --_records[node].holds);
    }

    /// @inheritdoc INodeRegistry
    function commitUntil(NodeId node, uint40 time) external {
        // Check: named, or with an obligation still open from when it was.
        require(
            isMarket[msg.sender] || holdsOf[node][msg.sender] != 0, NodeRegistry_NotMarket(node, msg.sender)
        );
        Record storage record = _records[node];
        Status status = record.status;
        require(status != Status.None && status != Status.Retired, NodeRegistry_WrongStatus(node, status));

        // Effect: only ever later.
        if (time > record.committedUntil) {
            record.committedUntil = time;
            emit CommitNode(node, msg.sender, time);
        }
    }

    /* OWNER */

    /// @inheritdoc INodeRegistry
    function setMarket(address market, bool named) external onlyOwner {
        isMarket[market] = named;
        emit SetMarket(market, named);
    }

    /// @inheritdoc INodeRegistry
    function setAttestors(address[] calldata attestors_, uint8 faulty) external onlyOwner {
        _setAttestors(attestors_, faulty);
    }

    /* VIEWS */

    /// @inheritdoc INodeRegistry
    function nodeOf(NodeId node) external view returns (Node memory) {
        Record storage record = _records[node];
        return Node({
            operator: record.operator,
            status: record.status,
            spec: _specs[node],
            registeredAt: record.registeredAt,
            bondUsd6: record.bondUsd6,
            committedUntil: record.committedUntil,
            holds: record.holds
        });
    }

    /// @inheritdoc INodeRegistry
    function operatorOf(NodeId node) external view returns (address) {
        return _records[node].operator;
    }

    /// @inheritdoc INodeRegistry
    function statusOf(NodeId node) external view returns (Status) {
        return _records[node].status;
    }

    /// @inheritdoc INodeRegistry
    function isSuspendedByGuardian(NodeId node) external view returns (bool) {
        return _records[node].suspendedByGuardian;
    }

    /// @inheritdoc INodeRegistry
    function requiredBondUsd6(NodeId node) public view returns (uint64) {
        // No overflow: at most 255 times 10^12.
        return bondUsd6PerGpu * _specs[node].gpuCount;
    }

    /// @inheritdoc INodeRegistry
    function bondWithdrawalOf(NodeId node) external view returns (uint64, uint40) {
        return (_records[node].withdrawalUsd6, _records[node].withdrawableAt);
    }

    /// @inheritdoc INodeRegistry
    function specDigestOf(NodeId node) public view returns (bytes32) {
        return NodeSpecs.digest(_records[node].operator, _specs[node]);
    }

    /// @inheritdoc INodeRegistry
    function attestationDigest(NodeId node) public view returns (bytes32) {
        return
            _hashTypedData(
                keccak256(abi.encode(ATTESTATION_TYPEHASH, configDigest(), node, specDigestOf(node)))
            );
    }

    /// @inheritdoc INodeRegistry
    function attestors() external view returns (address[] memory) {
        return Quorum.signersAt(_attestorBlob);
    }

    /// @inheritdoc INodeRegistry
    function configDigest() public view returns (bytes32) {
        return Quorum.digestAt(_attestorBlob);
    }

    /* INTERNAL */

    /// @dev The record of `node`, for its operator. Where there is no node nobody is.
    function _operated(NodeId node) private view returns (Record storage record) {
        record = _records[node];
        require(msg.sender == record.operator, NodeRegistry_NotOperator(node, msg.sender));
    }

    function _setAttestors(address[] memory attestors_, uint8 faulty) private {
        bytes32 digest = Quorum.digestOf(++_attestorSets, faulty, attestors_);
        (_attestorBlob, quorum) = Quorum.write(attestors_, faulty, digest);
        emit SetAttestors(digest, attestors_, faulty);
    }

    function _domainNameAndVersion() internal pure override returns (string memory, string memory) {
        return ("Wellhead NodeRegistry", "1");
    }
}
