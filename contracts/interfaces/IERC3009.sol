// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice EIP-3009, transfers by signed authorization, with the `bytes` forms that USDC 2.2 added for
/// smart wallets. Whoever takes stablecoins by signature depends on this and not on a particular token.
/// @dev Amounts are atomic (6 decimals), times are seconds. An authorization is valid strictly between
/// `validAfter` and `validBefore`, once per (authorizer, nonce); nonces are random, not sequential.
/// The signature is EIP-712 over the token's domain: 65 bytes `r, s, v` with a low `s` from an account
/// without code, anything that EIP-1271 accepts from one with code.
interface IERC3009 {
    /// @notice The authorization was carried out.
    event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);
    /// @notice The authorization can no longer be carried out.
    event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce);

    /// @notice Moves `value` from `from` to `to` with `from`'s signature. Anyone may bring it.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice As above, with the signature as bytes.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;

    /// @notice As `transferWithAuthorization`, but only `to` may bring it: nobody can carry out a deposit
    /// ahead of the contract that is to account for it.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice As above, with the signature as bytes.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;

    /// @notice Makes a nonce unusable with its owner's signature. Anyone may bring it.
    function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice As above, with the signature as bytes.
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes calldata signature) external;

    /// @notice Whether the nonce was used or canceled.
    function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);
}
