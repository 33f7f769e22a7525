// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {INodeRegistry} from "./INodeRegistry.sol";
import {INodeShareFactory} from "./INodeShareFactory.sol";
import {ITelemetryOracle} from "./ITelemetryOracle.sol";
import {Reading} from "../types/NodeRecord.sol";
import {GpuClass, NodeId} from "../types/NodeTypes.sol";
import {PoolAccount, PoolFlow, PoolMembership, PoolPeriod, Receipt} from "../types/PoolTypes.sol";

/// @title Many nodes of one class behind one receiver: a customer needs one channel, and the nodes share by work.
///
///     period p                 collecting p              from here
///     |------------------------|--finality--|------------|- - - - - - - ►
///     work is done, money      anyone records members'   anyone distributes p;
///     comes in                 work of p                 members' shares of it are claimed
///
/// @notice Stablecoins reach the pool as plain transfers, as x402 settles. They drain with time constant
/// `tauSeconds`, period by period, to the members in proportion to the work that was both served (by the oracle's
/// final records) and billed (by the gateway's receipts): the smaller of the two. A period without recorded work
/// releases nothing; the money waits, and its clock stands still. Periods follow each other without gaps; a period is
/// a whole number of the oracle's windows, counted from 1.
///
/// Who can do what harm:
/// - Anyone may record, distribute, sync and claim. Evidence is signed and proven, and a record only ever rises, so
///   nobody can rob a member by recording for it, or by leaving it out: whoever has its evidence may bring it within
///   the collecting time. Money goes to the node's share contract, whoever claims.
/// - A member that serves itself requests is not billed for them, so they do not count. If it buys them, it pays the
///   pool what customers pay. One that is silent, or whose evidence nobody brings in time, earns nothing for that
///   period and stops nobody; its work is not counted later.
/// - The gateway decides who is billed. It can leave a member unpaid by not signing, and can pay one too much only as
///   far as that one served, for whomever. It cannot touch money: a stolen key moves at most the periods until the
///   owner replaces it, each at most 13.4% of the level (a period is at most a seventh of tau).
/// - After a time without work the first to work again gets all that its period releases, however little it did.
/// - The owner admits members and names the gateway: it can direct what is not yet released by choosing both, and can
///   keep it waiting. It can take nothing out, and nothing recorded or released from anyone; for whom it dismisses the
///   period under way still counts.
/// - The guardian can stop nodes from joining, nothing else.
/// - The oracle can have too much or too little counted as served, never more than is billed. Where a boundary's round
///   is missing or vetoed, any two final rounds within the period will do, at the price of the work outside of them;
///   without any, nobody is paid for that period and the money waits. A node whose counters were restarted proves the
///   time before or after.
/// @dev Of the stablecoin it assumes what INodeShare does.
interface IComputePool {
    /* EVENTS */

    event AdmitNode(NodeId indexed node, address indexed owner);
    /// @param endPeriod First period in which the node is no member; 0 if it never joined.
    event DismissNode(NodeId indexed node, address indexed owner, uint32 endPeriod);
    event JoinPool(NodeId indexed node, address indexed operator, address indexed share, uint32 firstPeriod);
    event LeavePool(NodeId indexed node, address indexed operator, uint32 endPeriod);
    event ExpelNode(NodeId indexed node, address indexed caller, uint32 endPeriod);
    /// @param gatewayCount Gateways so far; each has counters of its own.
    event SetGateway(address indexed gateway, uint32 gatewayCount);

    /// @notice New income.
    event Sync(address indexed caller, uint64 syncedUsd6, uint64 levelUsd6);
    /// @notice The first work of a period was recorded: so much it will release.
    event OpenPeriod(uint32 indexed period, uint64 releasedUsd6);
    /// @param workUnits The smaller of the other two; replaces what was recorded before.
    event RecordWork(
        NodeId indexed node,
        uint32 indexed period,
        address indexed caller,
        uint64 workUnits,
        uint64 servedUnits,
        uint64 billedUnits
    );
    event Distribute(uint32 indexed period, address indexed caller, uint64 releasedUsd6, uint96 workUnits);
    event Claim(NodeId indexed node, address indexed share, address indexed caller, uint64 paidUsd6);
    /// @notice The share's `sync` failed; the money is there all the same, and anyone may sync it again.
    event SyncFailed(NodeId indexed node, address indexed share);

    /* ERRORS */

    error ComputePool_TauOutOfBounds(uint256 tauSeconds, uint256 minSeconds, uint256 maxSeconds);
    /// @notice A period must be long enough to collect in, at most a seventh of tau, and twice its length must stay in
    /// the oracle's ring.
    error ComputePool_PeriodOutOfBounds(uint256 periodSeconds, uint256 minSeconds, uint256 maxSeconds);
    error ComputePool_CollectingOutOfBounds(
        uint256 collectingSeconds, uint256 minSeconds, uint256 maxSeconds
    );
    error ComputePool_ZeroGateway();

    error ComputePool_NotAdmitted(NodeId node);
    error ComputePool_NotOperator(NodeId node, address caller);
    error ComputePool_WrongClass(NodeId node, GpuClass gpuClass, GpuClass poolClass);
    error ComputePool_NodeNotActive(NodeId node, INodeRegistry.Status status);
    /// @notice The node is active, so nobody but its operator and the owner can end its membership.
    error ComputePool_NodeActive(NodeId node);
    /// @notice The node has no share to pay to.
    error ComputePool_NoShare(NodeId node);
    error ComputePool_AlreadyMember(NodeId node);
    /// @notice The node may join again one period after `endPeriod`, when its last work has been collected.
    error ComputePool_StillLeaving(NodeId node, uint32 endPeriod);
    error ComputePool_NotMember(NodeId node);
    error ComputePool_NotMemberIn(NodeId node, uint32 period);

    /// @notice Work of `period` is recorded from `from` until before `until`.
    error ComputePool_NotCollecting(uint32 period, uint256 from, uint256 until);
    /// @notice Not signed by the pool's gateway.
    error ComputePool_InvalidReceipt(NodeId node, address gateway);
    /// @notice The gateway's counter cannot fall.
    error ComputePool_BilledWentBack(NodeId node, uint64 billedFromUnits, uint64 billedToUnits);
    /// @notice The receipt would count again what was counted up to `countedToUnits`.
    error ComputePool_BilledTwice(NodeId node, uint64 billedFromUnits, uint64 countedToUnits);
    error ComputePool_RoundOutsidePeriod(uint24 round, uint256 firstRound, uint256 lastRound);
    /// @notice The evidence shows no more work than is recorded already.
    error ComputePool_NothingMore(NodeId node, uint32 period, uint64 workUnits, uint64 recordedUnits);
    /// @notice Work of `period` is still collected; distribute it from `opensAt` on.
    error ComputePool_StillCollecting(uint32 period, uint256 opensAt);
    error ComputePool_NothingToClaim(NodeId node);
    /// @notice Less gas is left than the share's `sync` is promised: it would fail for that alone.
    error ComputePool_TooLittleGas(uint256 left, uint256 needed);

    /* MEMBERS */

    /// @notice Owner only: lets the node's operator join.
    function admit(NodeId node) external;
    /// @notice Owner only: ends membership and admission. The period under way still counts.
    /// Errors: ComputePool_NotAdmitted.
    function dismiss(NodeId node) external;
    /// @notice The node's operator only, unless paused: a member from the next period on. The node must be admitted,
    /// active, of the pool's class and have a share. Errors: ComputePool_NotOperator, _NotAdmitted, _AlreadyMember,
    /// _StillLeaving, _NodeNotActive, _WrongClass, _NoShare.
    function join(NodeId node) external;
    /// @notice The node's operator only: ends membership; the period under way still counts.
    /// Errors: ComputePool_NotOperator, _NotMember.
    function resign(NodeId node) external;
    /// @notice As `resign`, by anyone, for a node that is no longer active in the registry.
    /// Errors: ComputePool_NotMember, _NodeActive.
    function expel(NodeId node) external;
    /// @notice Owner only. Receipts of the former gateway are void from now on; what was recorded by them stays. The
    /// new one's counters start afresh, so it can set right what its predecessor lost. Errors: ComputePool_ZeroGateway.
    function setGateway(address gateway) external;

    /* MONEY IN */

    /// @notice Moves new stablecoins into the reservoir; anyone may call. They count from now on: for the period under
    /// way in proportion to what is left of it. Never reverts for the state it finds, but returns 0.
    function sync() external returns (uint256 syncedUsd6);

    /* WORK */

    /// @notice Records what a member did in the period that is collected now: the smaller of the tokens served between
    /// two final readings within the period and of those billed in it. A better record replaces a worse one. Anyone
    /// may call. Errors: ComputePool_NotCollecting, _NotMemberIn, _InvalidReceipt, _BilledWentBack, _BilledTwice,
    /// _RoundOutsidePeriod, _NothingMore; TelemetryOracle's of `provenRecord`; NodeRecords'.
    /// @param receipt The gateway's for this node and period.
    /// @param signature By the gateway, over the EIP-712 message `Receipt(uint32 node,uint32 period,uint64
    /// billedFromUnits,uint64 billedToUnits)` of the domain ("Wellhead ComputePool", "1"). A contract may be gateway.
    /// @param base Of the round at the period's start, or the first final one after it.
    /// @param end Of the round at the period's end, or the last final one before it.
    function record(
        Receipt calldata receipt,
        bytes calldata signature,
        Reading calldata base,
        Reading calldata end
    ) external returns (uint64 workUnits);

    /// @notice Releases what `period` earned to the work recorded in it. Anyone, from `distributableAt(period)` on; how
    /// much later changes nothing. Returns 0 where there is nothing to do: no work, or distributed already.
    /// Errors: ComputePool_StillCollecting.
    function distribute(uint32 period) external returns (uint64 releasedUsd6);

    /* MONEY OUT */

    /// @notice Pays what the node has earned in distributed periods to its share, and syncs that; anyone may call.
    /// Each share of a period is rounded down of what is left of it, so the last one takes what rounding left over;
    /// which one is last shifts less than one unit per member. A share of less than one unit is nothing to claim: it
    /// stays in the period's books until the node works again. Errors: ComputePool_NothingToClaim, _TooLittleGas.
    function claim(NodeId node) external returns (uint64 paidUsd6);

    /* VIEWS */

    /// @notice What `claim` would pay now.
    function claimableUsd6(NodeId node) external view returns (uint64);
    /// @notice Stablecoins here that no sync has accounted for.
    function unsyncedUsd6() external view returns (uint256);
    function flow() external view returns (PoolFlow memory);
    function periodOf(uint32 period) external view returns (PoolPeriod memory);
    function accountOf(NodeId node) external view returns (PoolAccount memory);
    function membershipOf(NodeId node) external view returns (PoolMembership memory);
    function isMemberIn(NodeId node, uint32 period) external view returns (bool);
    /// @notice What the gateway signs.
    function receiptDigest(Receipt calldata receipt) external view returns (bytes32);

    /// @notice The period of `timestamp`, which begins with its first second; 0 before the first.
    function periodAt(uint256 timestamp) external view returns (uint32);
    /// @notice First second after `period`, and the end of the last window in it.
    function periodEndOf(uint32 period) external view returns (uint256);
    /// @notice The rounds whose windows end at the start and at the end of `period`.
    function roundsOf(uint32 period) external view returns (uint256 baseRound, uint256 endRound);
    /// @notice When the collecting of `period` is over.
    function distributableAt(uint32 period) external view returns (uint256);

    /* TERMS */

    function registry() external view returns (INodeRegistry);
    function factory() external view returns (INodeShareFactory);
    function oracle() external view returns (ITelemetryOracle);
    /// @notice The stablecoin, 6 decimals: the factory's.
    function asset() external view returns (address);
    function gpuClass() external view returns (GpuClass);
    function tauSeconds() external view returns (uint32);
    function periodRounds() external view returns (uint24);
    function periodSeconds() external view returns (uint256);
    function collectingSeconds() external view returns (uint32);
    /// @notice The round with whose window's end period 1 begins: the first that ended after the pool was made.
    function startRound() external view returns (uint24);
    /// @notice The part of the level that drains in a period, scaled by 2^64.
    function wholeX64() external view returns (uint64);
    /// @notice Who signs receipts, a key or a contract.
    function gateway() external view returns (address);
    function gatewayCount() external view returns (uint32);
    /// @notice Gas for the `sync` of a share after a claim.
    function GAS_FOR_SYNC() external view returns (uint256);
}
