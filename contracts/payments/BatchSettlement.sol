// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ReentrancyGuard} from "solady/src/utils/ReentrancyGuard.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

import {IBatchSettlement} from "../interfaces/IBatchSettlement.sol";
import {IDepositCollector} from "../interfaces/IDepositCollector.sol";
import {ChannelHashes} from "../libraries/ChannelHashes.sol";
import {StrictSignatures} from "../libraries/StrictSignatures.sol";
import {ChannelConfig, VoucherClaim} from "../types/ChannelTypes.sol";

/// @notice See IBatchSettlement. It has neither constructor nor immutables, so that a local chain can put its code at
/// the scheme's canonical address.
contract BatchSettlement is IBatchSettlement, ReentrancyGuard {
    using SafeTransferLib for address;

    /// @inheritdoc IBatchSettlement
    uint40 public constant MIN_WITHDRAW_DELAY = 15 minutes;
    /// @inheritdoc IBatchSettlement
    uint40 public constant MAX_WITHDRAW_DELAY = 30 days;

    struct Channel {
        uint128 balance;
        uint128 totalClaimed;
    }

    struct Withdrawal {
        uint128 amount;
        uint40 initiatedAt;
    }

    struct Receiver {
        uint128 totalClaimed;
        uint128 totalSettled;
    }

    /// @dev What rows in a row add for one receiver and token: its slot is written once for all of them.
    struct Tally {
        address receiver;
        address token;
        uint128 added;
    }

    /// @inheritdoc IBatchSettlement
    mapping(bytes32 channelId => Channel) public channels;
    /// @inheritdoc IBatchSettlement
    mapping(bytes32 channelId => Withdrawal) public pendingWithdrawals;
    /// @inheritdoc IBatchSettlement
    mapping(bytes32 channelId => uint256) public refundNonce;
    /// @inheritdoc IBatchSettlement
    mapping(address receiver => mapping(address token => Receiver)) public receivers;

    /* DEPOSIT */

    /// @inheritdoc IBatchSettlement
    function deposit(
        ChannelConfig calldata config,
        uint128 amount,
        address collector,
        bytes calldata collectorData
    ) external nonReentrant {
        // Check: a channel that can be claimed from and withdrawn from, and something to put in.
        if (config.payer == address(0)) revert BatchSettlement_ZeroAddress("payer");
        if (config.receiver == address(0)) revert BatchSettlement_ZeroAddress("receiver");
        if (config.receiverAuthorizer == address(0)) {
            revert BatchSettlement_ZeroAddress("receiverAuthorizer");
        }
        if (config.token == address(0)) revert BatchSettlement_ZeroAddress("token");
        if (config.withdrawDelay < MIN_WITHDRAW_DELAY || config.withdrawDelay > MAX_WITHDRAW_DELAY) {
            revert BatchSettlement_DelayOutOfBounds(
                config.withdrawDelay, MIN_WITHDRAW_DELAY, MAX_WITHDRAW_DELAY
            );
        }
        if (amount == 0) revert BatchSettlement_ZeroAmount();
        if (collector.code.length == 0) revert BatchSettlement_CollectorWithoutCode(collector);
        bytes32 channelId = getChannelId(config);
        Channel storage channel = channels[channelId];
        uint128 balance = channel.balance;
        if (amount > type(uint128).max - balance) revert BatchSettlement_DepositOverflow(balance, amount);

        // Effect: the channel holds more. The lock keeps everyone from spending it before it is here.
        balance += amount;
        channel.balance = balance;
        if (balance == amount && channel.totalClaimed == 0) emit ChannelCreated(channelId, config);
        emit Deposited(channelId, msg.sender, amount, balance);

        // Interaction: whoever collects, exactly the deposit must arrive.
        uint256 before = config.token.balanceOf(address(this));
        IDepositCollector(collector).collect(config.payer, config.token, amount, channelId, collectorData);
        uint256 present = config.token.balanceOf(address(this));
        uint256 collected = present > before ? present - before : 0;
        if (collected != amount) revert BatchSettlement_WrongAmountCollected(collected, amount);
    }

    /* CLAIM AND SETTLE */

    /// @inheritdoc IBatchSettlement
    function claim(VoucherClaim[] calldata voucherClaims) external {
        if (voucherClaims.length == 0) revert BatchSettlement_EmptyBatch();
        bytes32 domain = _domain();
        // slither-disable-next-line uninitialized-local
        Tally memory tally;
        for (uint256 i; i < voucherClaims.length; ++i) {
            VoucherClaim calldata row = voucherClaims[i];
            bytes32 channelId = ChannelHashes.channelId(domain, row.voucher.channel);
            _requireReceiverSide(channelId, row.voucher.channel);
            _claim(domain, channelId, row, tally);
        }
        _count(tally);
    }

    /// @inheritdoc IBatchSettlement
    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature)
        external
    {
        // Effect, of which nothing stays unless one authorizer signed all rows: each is read once, and checked with the rest.
        if (voucherClaims.length == 0) revert BatchSettlement_EmptyBatch();
        bytes32 domain = _domain();
        address authorizer = voucherClaims[0].voucher.channel.receiverAuthorizer;
        bytes32[] memory entries = new bytes32[](voucherClaims.length);
        Tally memory tally;
        for (uint256 i; i < voucherClaims.length; ++i) {
            VoucherClaim calldata row = voucherClaims[i];
            bytes32 channelId = ChannelHashes.channelId(domain, row.voucher.channel);
            address found = row.voucher.channel.receiverAuthorizer;
            if (found != authorizer) revert BatchSettlement_OtherAuthorizer(channelId, authorizer, found);
            bytes32 entry =
                ChannelHashes.claimEntry(channelId, row.voucher.maxClaimableAmount, row.totalClaimed);
            // entries[i], which has a place for each i of the loop.
            assembly ("memory-safe") {
                mstore(add(add(entries, 0x20), shl(5, i)), entry)
            }
            _claim(domain, channelId, row, tally);
        }
        _count(tally);

        // Check
        bytes32 digest = ChannelHashes.claimBatch(domain, entries);
        if (!StrictSignatures.isValid(authorizer, digest, authorizerSignature)) {
            revert BatchSettlement_InvalidSignature(bytes32(0), authorizer);
        }
    }

    /// @inheritdoc IBatchSettlement
    function settle(address receiver, address token) external nonReadReentrant {
        // Check: something new was claimed.
        Receiver storage account = receivers[receiver][token];
        uint128 totalClaimed = account.totalClaimed;
        uint128 amount = totalClaimed - account.totalSettled;
        if (amount == 0) return;

        // Effect: it is sent.
        account.totalSettled = totalClaimed;
        emit Settled(receiver, token, msg.sender, amount);

        // Interaction
        token.safeTransfer(receiver, amount);
    }

    /// @dev Effects only: a signature by EIP-1271 is asked for by a static call.
    function _claim(bytes32 domain, bytes32 channelId, VoucherClaim calldata row, Tally memory tally)
        private
    {
        // Check: more than before, up to what was signed, out of what is there.
        Channel storage channel = channels[channelId];
        (uint128 balance, uint128 before) = (channel.balance, channel.totalClaimed);
        uint128 totalClaimed = row.totalClaimed;
        if (totalClaimed <= before) return;
        ChannelConfig calldata config = row.voucher.channel;
        uint128 ceiling = row.voucher.maxClaimableAmount;
        if (totalClaimed > ceiling) {
            revert BatchSettlement_ClaimAboveCeiling(channelId, totalClaimed, ceiling);
        }
        if (totalClaimed > balance) {
            revert BatchSettlement_ClaimAboveBalance(channelId, totalClaimed, balance);
        }
        bytes32 digest = ChannelHashes.voucher(domain, channelId, ceiling);
        address signer = config.payerAuthorizer;
        bool signed;
        if (signer != address(0)) {
            signed = StrictSignatures.recover(digest, row.signature) == signer;
        } else {
            signer = config.payer;
            signed = StrictSignatures.isValid(signer, digest, row.signature);
        }
        if (!signed) revert BatchSettlement_InvalidSignature(channelId, signer);

        // Effect
        // Both fields of the slot, which was read above.
        uint256 word = uint256(totalClaimed) << 128 | balance;
        assembly ("memory-safe") {
            sstore(channel.slot, word)
        }
        if (config.receiver != tally.receiver || config.token != tally.token) {
            _count(tally);
            (tally.receiver, tally.token, tally.added) = (config.receiver, config.token, 0);
        }
        uint128 added;
        // Unchecked: just compared.
        unchecked {
            added = totalClaimed - before;
        }
        tally.added += added;
        emit Claimed(channelId, msg.sender, added, totalClaimed);
    }

    function _count(Tally memory tally) private {
        if (tally.added != 0) receivers[tally.receiver][tally.token].totalClaimed += tally.added;
    }

    /* REFUND */

    /// @inheritdoc IBatchSettlement
    function refund(ChannelConfig calldata config, uint128 amount) external nonReadReentrant {
        bytes32 channelId = getChannelId(config);
        _requireReceiverSide(channelId, config);
        _refund(channelId, config, amount);
    }

    /// @inheritdoc IBatchSettlement
    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external nonReadReentrant {
        bytes32 channelId = getChannelId(config);
        uint256 expected = refundNonce[channelId];
        if (nonce != expected) revert BatchSettlement_WrongRefundNonce(channelId, nonce, expected);
        bytes32 digest = getRefundDigest(channelId, nonce, amount);
        if (!StrictSignatures.isValid(config.receiverAuthorizer, digest, receiverAuthorizerSignature)) {
            revert BatchSettlement_InvalidSignature(channelId, config.receiverAuthorizer);
        }
        _refund(channelId, config, amount);
    }

    function _refund(bytes32 channelId, ChannelConfig calldata config, uint128 amount) private {
        // Check
        if (amount == 0) revert BatchSettlement_ZeroAmount();

        // Effect: the nonce is spent whatever is left to give back; the pending withdrawal asks for that much less.
        ++refundNonce[channelId];
        Channel storage channel = channels[channelId];
        uint128 available = channel.balance - channel.totalClaimed;
        if (amount > available) amount = available;
        if (amount == 0) return;
        Withdrawal storage pending = pendingWithdrawals[channelId];
        uint128 asked = pending.amount;
        if (amount < asked) pending.amount = asked - amount;
        else if (asked != 0) delete pendingWithdrawals[channelId];
        emit Refunded(channelId, msg.sender, amount);

        _giveBack(channelId, config, amount);
    }

    /* WITHDRAW */

    /// @inheritdoc IBatchSettlement
    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external nonReadReentrant {
        // Check: by the payer side, once, for what is there.
        bytes32 channelId = getChannelId(config);
        _requirePayerSide(channelId, config);
        if (amount == 0) revert BatchSettlement_ZeroAmount();
        Withdrawal storage pending = pendingWithdrawals[channelId];
        if (pending.initiatedAt != 0) {
            revert BatchSettlement_WithdrawalPending(channelId, pending.initiatedAt);
        }
        Channel memory channel = channels[channelId];
        uint128 available = channel.balance - channel.totalClaimed;
        if (amount > available) {
            revert BatchSettlement_WithdrawalAboveAvailable(channelId, amount, available);
        }

        // Effect. Safe casts: 2^40 seconds end in the year 36,812; the delay was bounded with the first deposit.
        (pending.amount, pending.initiatedAt) = (amount, uint40(block.timestamp));
        emit WithdrawInitiated(channelId, amount, uint40(block.timestamp) + config.withdrawDelay);
    }

    /// @inheritdoc IBatchSettlement
    function finalizeWithdraw(ChannelConfig calldata config) external nonReadReentrant {
        // Check: by the payer side, in time.
        bytes32 channelId = getChannelId(config);
        _requirePayerSide(channelId, config);
        Withdrawal memory pending = pendingWithdrawals[channelId];
        if (pending.initiatedAt == 0) revert BatchSettlement_NoWithdrawalPending(channelId);
        uint256 finalizeAfter = uint256(pending.initiatedAt) + config.withdrawDelay;
        if (block.timestamp < finalizeAfter) {
            revert BatchSettlement_WithdrawalTooEarly(channelId, block.timestamp, finalizeAfter);
        }

        // Effect: what was claimed meanwhile is the receiver's.
        Channel storage channel = channels[channelId];
        uint128 available = channel.balance - channel.totalClaimed;
        uint128 amount = pending.amount < available ? pending.amount : available;
        delete pendingWithdrawals[channelId];
        emit WithdrawFinalized(channelId, msg.sender, amount);

        _giveBack(channelId, config, amount);
    }

    /// @dev `amount` is at most what is not claimed.
    function _giveBack(bytes32 channelId, ChannelConfig calldata config, uint128 amount) private {
        // Effect
        Channel storage channel = channels[channelId];
        uint128 balance = channel.balance - amount;
        channel.balance = balance;
        if (balance == 0) emit ChannelClosed(channelId, config); // then nothing was ever claimed either

        // Interaction
        if (amount != 0) config.token.safeTransfer(config.payer, amount);
    }

    /* SEVERAL AT ONCE */

    /// @inheritdoc IBatchSettlement
    function multicall(bytes[] calldata data) external returns (bytes[] memory results) {
        results = new bytes[](data.length);
        for (uint256 i; i < data.length; ++i) {
            // This contract's own functions, and in the caller's name: each checks what it would check alone.
            // slither-disable-next-line delegatecall-loop,calls-loop,low-level-calls
            (bool done, bytes memory result) = address(this).delegatecall(data[i]);
            if (!done) {
                assembly ("memory-safe") {
                    revert(add(result, 32), mload(result))
                }
            }
            results[i] = result;
        }
    }

    /* VIEWS */

    /// @inheritdoc IBatchSettlement
    function getChannelId(ChannelConfig calldata config) public view returns (bytes32) {
        return ChannelHashes.channelId(_domain(), config);
    }

    /// @inheritdoc IBatchSettlement
    function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount) external view returns (bytes32) {
        return ChannelHashes.voucher(_domain(), channelId, maxClaimableAmount);
    }

    /// @inheritdoc IBatchSettlement
    function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount) public view returns (bytes32) {
        return ChannelHashes.refund(_domain(), channelId, nonce, amount);
    }

    /// @inheritdoc IBatchSettlement
    function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims) external view returns (bytes32) {
        bytes32 domain = _domain();
        bytes32[] memory entries = new bytes32[](voucherClaims.length);
        for (uint256 i; i < voucherClaims.length; ++i) {
            VoucherClaim calldata row = voucherClaims[i];
            bytes32 channelId = ChannelHashes.channelId(domain, row.voucher.channel);
            entries[i] = ChannelHashes.claimEntry(channelId, row.voucher.maxClaimableAmount, row.totalClaimed);
        }
        return ChannelHashes.claimBatch(domain, entries);
    }

    /* INTERNAL */

    function _domain() private view returns (bytes32) {
        return ChannelHashes.separator(address(this));
    }

    function _requireReceiverSide(bytes32 channelId, ChannelConfig calldata config) private view {
        if (msg.sender != config.receiverAuthorizer && msg.sender != config.receiver) {
            revert BatchSettlement_NotReceiverSide(channelId, msg.sender);
        }
    }

    function _requirePayerSide(bytes32 channelId, ChannelConfig calldata config) private view {
        if (msg.sender != config.payer && msg.sender != config.payerAuthorizer) {
            revert BatchSettlement_NotPayerSide(channelId, msg.sender);
        }
    }
}
