// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {EIP712} from "solady/src/utils/EIP712.sol";
import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";
import {SignatureCheckerLib} from "solady/src/utils/SignatureCheckerLib.sol";

import {Guarded} from "../access/Guarded.sol";
import {IComputePool} from "../interfaces/IComputePool.sol";
import {INodeShare} from "../interfaces/INodeShare.sol";
import {INodeShareFactory} from "../interfaces/INodeShareFactory.sol";
import {ITelemetryOracle} from "../interfaces/ITelemetryOracle.sol";
import {NodeRecords} from "../libraries/NodeRecords.sol";
import {PoolReservoir} from "../libraries/PoolReservoir.sol";
import {Reading} from "../types/NodeRecord.sol";
import {NodeId} from "../types/NodeTypes.sol";
import {PoolAccount, PoolFlow, PoolPeriod, PoolTerms, Receipt} from "../types/PoolTypes.sol";
import {PoolMembers} from "./PoolMembers.sol";
import {PoolSchedule} from "./PoolSchedule.sol";

/// @notice See IComputePool. As collecting ends before the next period does, at most one period is open at a time.
contract ComputePool is EIP712, PoolMembers {
    using PoolReservoir for PoolFlow;
    using SafeTransferLib for address;

    /* CONSTANTS */

    /// @inheritdoc IComputePool
    uint256 public constant GAS_FOR_SYNC = 200_000;
    /// A call keeps back a 64th of what is left, and itself costs less than 3,000.
    uint256 private constant GAS_NEEDED = GAS_FOR_SYNC + GAS_FOR_SYNC / 60 + 3_000;

    bytes32 private constant RECEIPT_TYPEHASH =
        keccak256("Receipt(uint32 node,uint32 period,uint64 billedFromUnits,uint64 billedToUnits)");

    /* STORAGE */

    PoolFlow private _flow;
    /// @inheritdoc IComputePool
    address public gateway;
    /// @inheritdoc IComputePool
    uint32 public gatewayCount;

    mapping(uint32 period => PoolPeriod) private _periods;
    mapping(NodeId node => PoolAccount) private _accounts;

    /* CONSTRUCTOR */

    /// @param factory_ Of the members' shares; names the stablecoin and the registry.
    constructor(
        address owner_,
        address guardian_,
        INodeShareFactory factory_,
        ITelemetryOracle oracle_,
        address gateway_,
        PoolTerms memory terms
    ) PoolSchedule(factory_, oracle_, terms) Guarded(owner_, guardian_) {
        _setGateway(gateway_);
    }

    /* GATEWAY */

    /// @inheritdoc IComputePool
    function setGateway(address gateway_) external onlyOwner {
        _setGateway(gateway_);
    }

    function _setGateway(address gateway_) private {
        require(gateway_ != address(0), ComputePool_ZeroGateway());
        gateway = gateway_;
        emit SetGateway(gateway_, ++gatewayCount);
    }

    /* MONEY IN */

    /// @inheritdoc IComputePool
    function sync() external returns (uint256 syncedUsd6) {
        // Check: is there something new, and does it fit?
        PoolFlow memory state = _flow;
        uint256 balance = asset.balanceOf(address(this));
        if (balance <= state.accountedUsd6) return 0;
        syncedUsd6 = FixedPointMathLib.min(balance, type(uint64).max) - state.accountedUsd6;
        if (syncedUsd6 == 0) return 0;

        // Effect: it drains from now on; before the first period it waits for that one to begin.
        state.enter(periodAt(block.timestamp));
        state.absorbUp(syncedUsd6, wholeX64, _restX64());
        _flow = state;
        // Safe cast: at most 2^64 - 1, as said above.
        emit Sync(msg.sender, uint64(syncedUsd6), state.levelUsd6);
    }

    /* WORK */

    /// @inheritdoc IComputePool
    function record(
        Receipt calldata receipt,
        bytes calldata signature,
        Reading calldata base,
        Reading calldata end
    ) external returns (uint64 workUnits) {
        // Check: a member's, in time, billed and served.
        NodeId node = receipt.node;
        uint32 period = receipt.period;
        _requireCollecting(period);
        require(isMemberIn(node, period), ComputePool_NotMemberIn(node, period));
        PoolAccount memory account = _accounts[node];
        uint64 billedUnits = _billedUnits(receipt, signature, account);
        uint64 servedUnits = _servedUnits(node, period, base, end);
        workUnits = billedUnits < servedUnits ? billedUnits : servedUnits;
        uint64 recordedUnits = account.period == period ? account.workUnits : 0;
        require(workUnits > recordedUnits, ComputePool_NothingMore(node, period, workUnits, recordedUnits));

        // Effect: the period's first record says what it releases; what the node earned before is set apart.
        if (_flow.openPeriod != period) _open(period);
        if (account.period != period) {
            _setApart(account);
            account.period = period;
        }
        // Unchecked: at most 2^32 nodes with 64 bits each; the counted part of what the receipt says is billed.
        unchecked {
            _periods[period].leftWorkUnits += workUnits - recordedUnits;
            account.countedToUnits = receipt.billedFromUnits + workUnits;
        }
        account.workUnits = workUnits;
        account.gatewayCount = gatewayCount;
        _accounts[node] = account;
        emit RecordWork(node, period, msg.sender, workUnits, servedUnits, billedUnits);
    }

    /// @inheritdoc IComputePool
    function distribute(uint32 period) external returns (uint64 releasedUsd6) {
        // Check: collecting is over. The state is nobody's fault, so it is no error.
        uint256 opensAt = distributableAt(period);
        require(block.timestamp >= opensAt, ComputePool_StillCollecting(period, opensAt));
        if (period == 0 || _flow.openPeriod != period) return 0;
        // Effect
        return _distribute(period);
    }

    /// @dev `period` is the open one and its collecting is over.
    function _distribute(uint32 period) private returns (uint64 releasedUsd6) {
        PoolPeriod memory book = _periods[period];
        releasedUsd6 = book.leftUsd6;
        _flow.levelUsd6 -= releasedUsd6;
        _flow.openPeriod = 0;
        emit Distribute(period, msg.sender, releasedUsd6, book.leftWorkUnits);
    }

    /// @dev `period` is the last one that has ended, so any other open one has been collected long since.
    function _open(uint32 period) private {
        uint32 before = _flow.openPeriod;
        if (before != 0) _distribute(before);
        PoolFlow memory state = _flow;
        state.enter(period + 1);
        uint64 releasedUsd6 = state.releasedDown(wholeX64);
        _flow.openPeriod = period;
        _periods[period].leftUsd6 = releasedUsd6;
        emit OpenPeriod(period, releasedUsd6);
    }

    /// @dev What the account's work earned, out of its period's books; that period must be distributed.
    function _setApart(PoolAccount memory account) private {
        if (account.workUnits == 0) return;
        PoolPeriod memory book = _periods[account.period];
        uint64 earnedUsd6 = _earnedDown(account, book);
        // Unchecked: parts of what is left; all that is owed is accounted for, in 64 bits.
        unchecked {
            book.leftUsd6 -= earnedUsd6;
            book.leftWorkUnits -= account.workUnits;
            account.owedUsd6 += earnedUsd6;
        }
        account.workUnits = 0;
        _periods[account.period] = book;
    }

    /// @dev Down, so that what is left is enough for the others; the last one gets all of it.
    function _earnedDown(PoolAccount memory account, PoolPeriod memory book) private pure returns (uint64) {
        // Unchecked and cast: its work is part of the period's, which is not zero; the result part of the money.
        unchecked {
            return uint64(uint256(book.leftUsd6) * account.workUnits / book.leftWorkUnits);
        }
    }

    function _billedUnits(Receipt calldata receipt, bytes calldata signature, PoolAccount memory account)
        private
        view
        returns (uint64)
    {
        (uint64 from, uint64 to) = (receipt.billedFromUnits, receipt.billedToUnits);
        require(to >= from, ComputePool_BilledWentBack(receipt.node, from, to));
        // A better record of the same period replaces the one before, from where that began to count.
        if (account.gatewayCount == gatewayCount) {
            uint64 counted = account.countedToUnits;
            if (account.period == receipt.period) counted -= account.workUnits;
            require(from >= counted, ComputePool_BilledTwice(receipt.node, from, counted));
        }
        require(
            SignatureCheckerLib.isValidSignatureNowCalldata(gateway, receiptDigest(receipt), signature),
            ComputePool_InvalidReceipt(receipt.node, gateway)
        );
        return to - from;
    }

    function _servedUnits(NodeId node, uint32 period, Reading calldata base, Reading calldata end)
        private
        view
        returns (uint64)
    {
        (uint256 first, uint256 last) = roundsOf(period);
        require(base.round >= first, ComputePool_RoundOutsidePeriod(base.round, first, last));
        require(end.round <= last, ComputePool_RoundOutsidePeriod(end.round, first, last));
        return
            NodeRecords.difference(oracle.provenRecord(node, base), oracle.provenRecord(node, end)).workUnits;
    }

    /* MONEY OUT */

    /// @inheritdoc IComputePool
    function claim(NodeId node) external returns (uint64 paidUsd6) {
        // Check: something is owed.
        PoolAccount memory account = _accounts[node];
        if (account.period != _flow.openPeriod) _setApart(account);
        paidUsd6 = account.owedUsd6;
        require(paidUsd6 != 0, ComputePool_NothingToClaim(node));

        // Effect
        account.owedUsd6 = 0;
        _accounts[node] = account;
        address share = _memberships[node].share;
        emit Claim(node, share, msg.sender, paidUsd6);

        // Interaction and effect: accounted for until it has left, so that a sync in between cannot take it for income.
        asset.safeTransfer(share, paidUsd6);
        _flow.accountedUsd6 -= paidUsd6;

        // Interaction: as much gas as promised and no more, and its answer is not copied.
        require(gasleft() >= GAS_NEEDED, ComputePool_TooLittleGas(gasleft(), GAS_NEEDED));
        bytes memory data = abi.encodeCall(INodeShare.sync, ());
        bool done;
        assembly ("memory-safe") {
            done := call(GAS_FOR_SYNC, share, 0, add(data, 0x20), mload(data), 0, 0)
        }
        if (!done) emit SyncFailed(node, share);
    }

    /* VIEWS */

    /// @inheritdoc IComputePool
    function claimableUsd6(NodeId node) external view returns (uint64) {
        PoolAccount memory account = _accounts[node];
        if (account.workUnits == 0 || account.period == _flow.openPeriod) return account.owedUsd6;
        return account.owedUsd6 + _earnedDown(account, _periods[account.period]);
    }

    /// @inheritdoc IComputePool
    function unsyncedUsd6() external view returns (uint256) {
        return FixedPointMathLib.zeroFloorSub(asset.balanceOf(address(this)), _flow.accountedUsd6);
    }

    /// @inheritdoc IComputePool
    function flow() external view returns (PoolFlow memory) {
        return _flow;
    }

    /// @inheritdoc IComputePool
    function periodOf(uint32 period) external view returns (PoolPeriod memory) {
        return _periods[period];
    }

    /// @inheritdoc IComputePool
    function accountOf(NodeId node) external view returns (PoolAccount memory) {
        return _accounts[node];
    }

    /// @inheritdoc IComputePool
    function receiptDigest(Receipt calldata receipt) public view returns (bytes32) {
        return _hashTypedData(keccak256(abi.encode(RECEIPT_TYPEHASH, receipt)));
    }

    function _domainNameAndVersion() internal pure override returns (string memory, string memory) {
        return ("Wellhead ComputePool", "1");
    }
}
