// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ChannelConfig, VoucherClaim} from "../types/ChannelTypes.sol";

/// @title Pay per call without a transaction per call: the x402 v2 scheme `batch-settlement` on EVM.
/// @notice A payer deposits once. Each call is then paid by a voucher that touches no chain: a signed ceiling on
/// what the receiver may claim in all. The receiver side claims the newest voucher of many channels at a time, and
/// `settle` moves what all of them brought in one transfer.
///
/// Amounts are atomic units of the channel's token. They are cumulative: replaying a voucher or a claim changes
/// nothing. For every channel totalClaimed <= balance, totalClaimed <= the highest ceiling signed, and totalClaimed
/// only rises. Nothing is rounded, nobody has a privileged role, and nothing can be paused.
///
/// The payer risks one call: the last ceiling less what was honestly charged. The receiver risks what it charged
/// and did not claim within `withdrawDelay` of a withdrawal being asked for.
/// @dev Wire-compatible: names and shapes of functions, events and signed types are the scheme's, so that stock
/// clients, servers and facilitators work with this contract and ours with theirs. Errors are our own and carry values.
/// Of the token it assumes that a transfer moves exactly its amount and that balances change by transfers only.
interface IBatchSettlement {
    /* EVENTS */

    /// @notice A channel without money got some. It happens again to one that was emptied without a claim.
    event ChannelCreated(bytes32 indexed channelId, ChannelConfig config);
    /// @notice A channel without claims was emptied.
    event ChannelClosed(bytes32 indexed channelId, ChannelConfig config);
    event Deposited(bytes32 indexed channelId, address indexed sender, uint128 amount, uint128 newBalance);
    event Claimed(
        bytes32 indexed channelId, address indexed sender, uint128 claimAmount, uint128 newTotalClaimed
    );
    event Settled(address indexed receiver, address indexed token, address indexed sender, uint128 amount);
    event Refunded(bytes32 indexed channelId, address indexed sender, uint128 amount);
    event WithdrawInitiated(bytes32 indexed channelId, uint128 amount, uint40 finalizeAfter);
    event WithdrawFinalized(bytes32 indexed channelId, address indexed sender, uint128 amount);

    /* ERRORS */

    /// @notice A channel needs a payer, a receiver, a receiver authorizer and a token; `field` is the one missing.
    error BatchSettlement_ZeroAddress(bytes32 field);
    error BatchSettlement_DelayOutOfBounds(uint40 withdrawDelay, uint40 least, uint40 most);
    error BatchSettlement_ZeroAmount();
    error BatchSettlement_CollectorWithoutCode(address collector);
    /// @notice The collector's call must raise this contract's balance by exactly the deposit.
    error BatchSettlement_WrongAmountCollected(uint256 collected, uint128 amount);
    /// @notice A channel holds at most 2^128 - 1 in all its life.
    error BatchSettlement_DepositOverflow(uint128 balance, uint128 amount);
    error BatchSettlement_NotReceiverSide(bytes32 channelId, address caller);
    error BatchSettlement_NotPayerSide(bytes32 channelId, address caller);
    /// @notice All claims under one signature must name the same receiver authorizer.
    error BatchSettlement_OtherAuthorizer(bytes32 channelId, address expected, address found);
    error BatchSettlement_EmptyBatch();
    /// @notice Not a signature of `signer`: 65 bytes with a low `s` from an account without code, whatever
    /// EIP-1271 accepts from one with code. `subject` is the channel, or zero for a batch of claims.
    error BatchSettlement_InvalidSignature(bytes32 subject, address signer);
    /// @notice The payer did not sign so high a ceiling.
    error BatchSettlement_ClaimAboveCeiling(bytes32 channelId, uint128 totalClaimed, uint128 ceiling);
    /// @notice The channel never held that much, or the payer withdrew it.
    error BatchSettlement_ClaimAboveBalance(bytes32 channelId, uint128 totalClaimed, uint128 balance);
    error BatchSettlement_WithdrawalPending(bytes32 channelId, uint40 initiatedAt);
    error BatchSettlement_NoWithdrawalPending(bytes32 channelId);
    error BatchSettlement_WithdrawalTooEarly(bytes32 channelId, uint256 time, uint256 finalizeAfter);
    error BatchSettlement_WithdrawalAboveAvailable(bytes32 channelId, uint128 amount, uint128 available);
    error BatchSettlement_WrongRefundNonce(bytes32 channelId, uint256 nonce, uint256 expected);

    /* DEPOSIT */

    /// @notice Adds `amount` to the channel, which comes into being with its first deposit. Anyone may bring it; the
    /// payer's consent is the collector's to check. While a collector works, no money leaves this contract.
    /// @param collector Called with `collect(payer, token, amount, channelId, collectorData)`.
    function deposit(
        ChannelConfig calldata config,
        uint128 amount,
        address collector,
        bytes calldata collectorData
    ) external;

    /* CLAIM AND SETTLE */

    /// @notice Counts each claim's `totalClaimed` as the receiver's. Moves no money. The caller must be receiver or
    /// receiver authorizer of every row; a row that claims no more than before changes nothing.
    function claim(VoucherClaim[] calldata voucherClaims) external;

    /// @notice As `claim`, by anyone with a `ClaimBatch` signature of the receiver authorizer that all rows share.
    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature)
        external;

    /// @notice Sends the receiver all that was claimed for it in this token and not yet sent. By anyone; nothing to
    /// send is no error.
    function settle(address receiver, address token) external;

    /* REFUND */

    /// @notice Gives back up to `amount` of what is not claimed to the payer, by receiver or receiver authorizer. Spends a
    /// refund nonce even if nothing is left to give back; lowers a pending withdrawal by what was given back.
    function refund(ChannelConfig calldata config, uint128 amount) external;

    /// @notice As `refund`, by anyone with a `Refund` signature of the receiver authorizer over the current nonce.
    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external;

    /* WITHDRAW */

    /// @notice Starts the payer side's way out, by payer or payer authorizer: `amount` of what is not claimed. The receiver
    /// side has `withdrawDelay` seconds to claim what it holds vouchers for.
    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external;

    /// @notice After the delay, by payer or payer authorizer: sends the payer what was asked for, or what is left
    /// unclaimed if that is less.
    function finalizeWithdraw(ChannelConfig calldata config) external;

    /* SEVERAL AT ONCE */

    /// @notice Calls of this contract one after the other, in the caller's name; the first that fails fails all.
    function multicall(bytes[] calldata data) external returns (bytes[] memory results);

    /* VIEWS */

    /// @notice `balance` is all that was deposited, less what went back to the payer; claims do not lower it.
    function channels(bytes32 channelId) external view returns (uint128 balance, uint128 totalClaimed);
    /// @notice What the payer side asked for; both zero if nothing is pending.
    function pendingWithdrawals(bytes32 channelId) external view returns (uint128 amount, uint40 initiatedAt);
    /// @notice The nonce that the next signed refund must carry.
    function refundNonce(bytes32 channelId) external view returns (uint256);
    function receivers(address receiver, address token)
        external
        view
        returns (uint128 totalClaimed, uint128 totalSettled);
    function getChannelId(ChannelConfig calldata config) external view returns (bytes32);
    function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount) external view returns (bytes32);
    function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount) external view returns (bytes32);
    function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims) external view returns (bytes32);
    function MIN_WITHDRAW_DELAY() external view returns (uint40);
    function MAX_WITHDRAW_DELAY() external view returns (uint40);
}
