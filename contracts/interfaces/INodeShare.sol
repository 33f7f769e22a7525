// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeId} from "../types/NodeTypes.sol";
import {ReservoirState, ShareAccount} from "../types/ShareTypes.sol";
import {IERC7943} from "./IERC7943.sol";

/// @notice The share token of one node: ERC-20 (6 decimals), EIP-2612, ERC-7943, and income to its holders.
///
/// Stablecoins reach it as plain transfers. `sync` moves what is new into a reservoir that drains to whoever
/// holds the shares, exponentially with time constant `tauSeconds`; each account pulls what it has earned.
///
/// Roles: the issuer (a sale) mints, burns, locks and opens; the factory's enforcer freezes and forces
/// transfers; whoever holds shares or income decides on them; everything else anyone may call.
///
/// Assumes of the stablecoin: a transfer moves exactly its amount, and balances change by transfers only. A
/// token that takes fees, fails, blacklists, or calls back costs at most the transfers it spoils; one that
/// takes money out of the share stops syncing until the gap is filled, and the last to claim wait.
interface INodeShare is IERC7943 {
    /// Sale: shares are minted and none moves. Live: income streams. Failed: the sale missed its soft cap.
    enum Phase {
        Sale,
        Live,
        Failed
    }

    // Events -----------------------------------------------------------------------------------------
    event Transfer(address indexed from, address indexed to, uint256 amount);
    event Approval(address indexed owner, address indexed spender, uint256 amount);
    /// @notice Sale -> Live, with the supply that can only fall from here.
    event WentLive(uint256 supplyUnits);
    /// @notice Sale -> Failed.
    event SaleFailed();
    /// @notice `account` has `lockedUnits` more that cannot leave it before `Unlocked` or a burn.
    event Locked(address indexed account, uint256 lockedUnits);
    event Unlocked(address indexed account, uint256 unlockedUnits);
    /// @notice New income: `syncedUsd6` of which the operator and the protocol are credited their cuts.
    event Synced(address indexed caller, uint256 syncedUsd6, uint256 operatorUsd6, uint256 protocolUsd6);
    /// @notice Unreleased income that no share is left to earn, or has room for; it waits to be synced again.
    event Unsynced(uint256 returnedUsd6);
    event Claimed(address indexed caller, address indexed account, address indexed payout, uint256 paidUsd6);
    event OperatorCreditClaimed(address indexed caller, address indexed payout, uint256 paidUsd6);
    event ProtocolCreditClaimed(address indexed caller, address indexed treasury, uint256 paidUsd6);
    event PayoutSet(address indexed account, address indexed payout);

    // Errors -----------------------------------------------------------------------------------------
    error NodeShare_EligibilityWithoutCode(address eligibility);
    error NodeShare_InsufficientAllowance(address owner, address spender, uint256 allowed, uint256 needed);
    error NodeShare_InsufficientBalance(address account, uint256 balance, uint256 needed);
    error NodeShare_InvalidPermit(address owner, address signer);
    error NodeShare_NotEnforcer(address caller);
    error NodeShare_NotIssuer(address caller);
    /// @notice Less than one atomic stablecoin unit has been earned and not yet claimed.
    error NodeShare_NothingToClaim(address account);
    error NodeShare_OperatorCutTooHigh(uint256 operatorCutBps, uint256 maxBps);
    error NodeShare_PermitExpired(uint256 deadline);
    error NodeShare_SupplyOutOfBounds(uint256 supplyUnits, uint256 minUnits, uint256 maxUnits);
    error NodeShare_TauOutOfBounds(uint256 tauSeconds, uint256 minSeconds, uint256 maxSeconds);
    error NodeShare_WrongPhase(Phase phase);
    /// @notice The stablecoin refused to pay; Solady's SafeTransferLib says it in this form.
    error TransferFailed();

    // Terms, fixed at creation -----------------------------------------------------------------------
    function node() external view returns (NodeId);
    /// @notice The stablecoin of the income, 6 decimals.
    function asset() external view returns (address);
    function operator() external view returns (address);
    /// @notice The sale that mints and burns shares; zero when the operator got them all at creation.
    function issuer() external view returns (address);
    /// @notice Who created this share and names its enforcer and treasury.
    function factory() external view returns (address);
    /// @notice The module that says who may hold shares; zero: everyone.
    function eligibility() external view returns (address);
    function tauSeconds() external view returns (uint32);
    function operatorCutBps() external view returns (uint16);
    function protocolCutBps() external view returns (uint16);

    // ERC-20 and EIP-2612 ----------------------------------------------------------------------------
    function name() external view returns (string memory);
    function symbol() external view returns (string memory);
    function decimals() external view returns (uint8);
    function totalSupply() external view returns (uint256);
    function balanceOf(address account) external view returns (uint256);
    function allowance(address owner, address spender) external view returns (uint256);
    function approve(address spender, uint256 amount) external returns (bool);
    /// @notice Moves shares, not the income they have earned so far: that stays with the sender.
    /// Errors: ERC7943CannotTransfer before the share is live, ERC7943CannotSend, ERC7943CannotReceive,
    /// NodeShare_InsufficientBalance, ERC7943InsufficientUnfrozenBalance (frozen or locked by the sale).
    function transfer(address to, uint256 amount) external returns (bool);
    /// @notice As `transfer`, and NodeShare_InsufficientAllowance. An allowance of 2^256 - 1 is never used up.
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    /// @notice Errors: NodeShare_PermitExpired, NodeShare_InvalidPermit.
    function permit(
        address owner,
        address spender,
        uint256 value,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
    function nonces(address owner) external view returns (uint256);
    function DOMAIN_SEPARATOR() external view returns (bytes32);
    function supportsInterface(bytes4 interfaceId) external view returns (bool);

    // Issuer only: every other caller gets NodeShare_NotIssuer ---------------------------------------
    /// @notice Before the share is live only (NodeShare_WrongPhase). Errors: ERC7943CannotReceive,
    /// NodeShare_SupplyOutOfBounds above 2^48 units.
    function mint(address to, uint64 units) external;
    /// @notice As `mint`, for shares that cannot leave `to` before `unlock`: the operator's retained ones.
    function mintLocked(address to, uint64 units) external;
    /// @notice Sale -> Live: supply, 10^6 to 2^48 units, is fixed from here and can only fall.
    /// Errors: NodeShare_WrongPhase, NodeShare_SupplyOutOfBounds.
    function goLive() external;
    /// @notice Sale -> Failed: what reached the share belongs to the operator. Errors: NodeShare_WrongPhase.
    function fail() external;
    /// @notice Burns shares that `from` could move. Their released income stays claimable; what is not yet
    /// released goes to the remaining shares. Errors: NodeShare_InsufficientBalance,
    /// ERC7943InsufficientUnfrozenBalance.
    function burn(address from, uint64 units) external;
    /// @notice Lifts the lock of `mintLocked`; harmless where there is none.
    function unlock(address account) external;
    /// @notice Burns every locked share of `account`, past a freeze, which is lowered by what it covered of them: no
    /// freeze may hold up a refund.
    /// @return units The units burned; zero where none was locked.
    function burnLocked(address account) external returns (uint64 units);

    // Income -----------------------------------------------------------------------------------------
    /// @notice Moves new stablecoins into the reservoir; anyone may call. Never reverts for the state it
    /// finds, but returns 0: during the sale or below one cent. Whole cents only, so that both cuts divide
    /// exactly; the rest waits. After a failed sale, when no share is left, or when the few units that are left
    /// have earned all that an index can say (4,294 dollars a unit), everything becomes the operator's credit.
    /// @return syncedUsd6 What it accounted for.
    function sync() external returns (uint256 syncedUsd6);
    /// @notice Pays what the caller has earned to its payout address. Rounded down: the fraction of an
    /// atomic unit stays accrued. Errors: NodeShare_NothingToClaim.
    function claim() external returns (uint256 paidUsd6);
    /// @notice As `claim`, for `account` and to its payout address only; anyone may call.
    function claimFor(address account) external returns (uint256 paidUsd6);
    /// @notice Pays the operator's credit to the operator's payout address; anyone may call.
    /// Errors: NodeShare_NothingToClaim.
    function claimOperatorCredit() external returns (uint256 paidUsd6);
    /// @notice Pays the protocol's credit to the factory's treasury; anyone may call.
    /// Errors: NodeShare_NothingToClaim.
    function claimProtocolCredit() external returns (uint256 paidUsd6);
    /// @notice Where the caller's income is paid from now on; zero or the caller itself: to the account.
    function setPayout(address payout) external;
    function payoutOf(address account) external view returns (address);

    /// @notice What `account` could claim at the time of the block, rounded down.
    function claimableUsd6(address account) external view returns (uint256);
    /// @notice Stablecoins here that no sync has accounted for.
    function unsyncedUsd6() external view returns (uint256);
    /// @notice Income released per share unit at the time of the block, scaled by 2^48.
    function indexX48() external view returns (uint256);
    /// @notice The stored state from which every other figure of the income follows.
    function reservoir() external view returns (ReservoirState memory);
    function accountOf(address account) external view returns (ShareAccount memory);
    function credits() external view returns (uint256 operatorCreditUsd6, uint256 protocolCreditUsd6);
    function phase() external view returns (Phase);
    /// @notice Units of `account` that the sale has locked.
    function lockedOf(address account) external view returns (uint256 units);
}
