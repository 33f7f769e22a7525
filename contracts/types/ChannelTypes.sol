// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// What a channel is, for good; its EIP-712 digest is the channel's id. Names and order are the x402 scheme's.
struct ChannelConfig {
    /// Funds the channel, and gets back what is not claimed.
    address payer;
    /// Signs the vouchers by ECDSA; zero if `payer` itself does, by ECDSA or EIP-1271.
    address payerAuthorizer;
    /// Gets what is claimed.
    address receiver;
    /// May claim and refund, by call or by signature.
    address receiverAuthorizer;
    address token;
    /// Seconds from asking for a withdrawal to having it.
    uint40 withdrawDelay;
    /// Tells channels apart that agree in all else.
    bytes32 salt;
}

/// What the payer side signs: up to `maxClaimableAmount` of the channel's money in all, ever.
struct Voucher {
    ChannelConfig channel;
    uint128 maxClaimableAmount;
}

/// A signed voucher, and the cumulative amount that the receiver side claims on it.
struct VoucherClaim {
    Voucher voucher;
    bytes signature;
    uint128 totalClaimed;
}
