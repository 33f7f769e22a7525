// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "solady/src/tokens/ERC20.sol";
import {SignatureCheckerLib} from "solady/src/utils/SignatureCheckerLib.sol";
import {IERC3009} from "../interfaces/IERC3009.sol";
import {IMockUSD} from "../interfaces/IMockUSD.sol";

/// @notice The part of MockUSD that acts on signatures: EIP-3009 and EIP-2612, for keys and smart wallets.
abstract contract SignedTransfers is IMockUSD, ERC20 {
    /* CONSTANTS */

    bytes32 public constant TRANSFER_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public constant RECEIVE_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public constant CANCEL_AUTHORIZATION_TYPEHASH =
        keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");
    bytes32 public constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    /// @dev secp256k1's order halved: the mirror image of a valid signature has an `s` above it.
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /* STORAGE */

    /// @inheritdoc IERC3009
    mapping(address authorizer => mapping(bytes32 nonce => bool)) public authorizationState;

    /* PERMIT */

    /// @notice EIP-2612. As in USDC, a smart wallet can sign too.
    function permit(
        address owner,
        address spender,
        uint256 value,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) public override {
        _permit(owner, spender, value, deadline, abi.encodePacked(r, s, v));
    }

    /// @inheritdoc IMockUSD
    function permit(address owner, address spender, uint256 value, uint256 deadline, bytes calldata signature)
        external
    {
        _permit(owner, spender, value, deadline, signature);
    }

    /* EIP-3009 */

    /// @inheritdoc IERC3009
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
    ) external {
        _transferSigned(
            TRANSFER_WITH_AUTHORIZATION_TYPEHASH,
            from,
            to,
            value,
            validAfter,
            validBefore,
            nonce,
            abi.encodePacked(r, s, v)
        );
    }

    /// @inheritdoc IERC3009
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        _transferSigned(
            TRANSFER_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce, signature
        );
    }

    /// @inheritdoc IERC3009
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
    ) external {
        // Check: brought by the receiver itself.
        if (msg.sender != to) revert MockUSD_NotReceiver(msg.sender, to);

        // Effect: transfer.
        _transferSigned(
            RECEIVE_WITH_AUTHORIZATION_TYPEHASH,
            from,
            to,
            value,
            validAfter,
            validBefore,
            nonce,
            abi.encodePacked(r, s, v)
        );
    }

    /// @inheritdoc IERC3009
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        // Check: brought by the receiver itself.
        if (msg.sender != to) revert MockUSD_NotReceiver(msg.sender, to);

        // Effect: transfer.
        _transferSigned(
            RECEIVE_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce, signature
        );
    }

    /// @inheritdoc IERC3009
    function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external {
        _cancelAuthorization(authorizer, nonce, abi.encodePacked(r, s, v));
    }

    /// @inheritdoc IERC3009
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes calldata signature) external {
        _cancelAuthorization(authorizer, nonce, signature);
    }

    /* INTERNAL */

    function _permit(address owner, address spender, uint256 value, uint256 deadline, bytes memory signature)
        internal
    {
        // Check: in time, allowed, and signed over the current nonce.
        if (block.timestamp > deadline) revert MockUSD_PermitExpired(deadline);
        _requireMayApprove(owner, spender);
        _requireSignature(
            owner,
            keccak256(abi.encode(PERMIT_TYPEHASH, owner, spender, value, nonces(owner), deadline)),
            signature
        );

        // Effect: spend the nonce and approve.
        _incrementNonce(owner);
        _approve(owner, spender, value);
    }

    function _cancelAuthorization(address authorizer, bytes32 nonce, bytes memory signature) internal {
        // Check: not paused, unspent, signed.
        _requireNotPaused();
        _requireUnspent(authorizer, nonce);
        _requireSignature(
            authorizer, keccak256(abi.encode(CANCEL_AUTHORIZATION_TYPEHASH, authorizer, nonce)), signature
        );

        // Effect: spend the nonce.
        authorizationState[authorizer][nonce] = true;
        emit AuthorizationCanceled(authorizer, nonce);
    }

    function _transferSigned(
        bytes32 typehash,
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes memory signature
    ) internal {
        // Check: in time, unspent, signed.
        if (block.timestamp <= validAfter) revert MockUSD_AuthorizationNotYetValid(validAfter);
        if (block.timestamp >= validBefore) revert MockUSD_AuthorizationExpired(validBefore);
        _requireNonZero(to);
        _requireUnspent(from, nonce);
        _requireSignature(
            from, keccak256(abi.encode(typehash, from, to, value, validAfter, validBefore, nonce)), signature
        );

        // Effect: spend the nonce and transfer.
        authorizationState[from][nonce] = true;
        emit AuthorizationUsed(from, nonce);
        _transfer(from, to, value);
    }

    function _requireUnspent(address authorizer, bytes32 nonce) internal view {
        if (authorizationState[authorizer][nonce]) {
            revert MockUSD_AuthorizationUsedOrCanceled(authorizer, nonce);
        }
    }

    function _requireSignature(address signer, bytes32 structHash, bytes memory signature) internal view {
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", DOMAIN_SEPARATOR(), structHash));
        bool wellFormed = signer.code.length != 0 || _isLowS(signature);
        if (!wellFormed || !SignatureCheckerLib.isValidSignatureNow(signer, digest, signature)) {
            revert MockUSD_InvalidSignature(signer);
        }
    }

    /// @dev Whether `signature` has 65 bytes and the lower of its two possible `s`, so that nobody can turn
    /// it into a second valid one.
    function _isLowS(bytes memory signature) internal pure returns (bool) {
        if (signature.length != 65) return false;
        uint256 s;
        assembly ("memory-safe") {
            s := mload(add(signature, 0x40))
        }
        return s <= HALF_ORDER;
    }

    /* INTERNAL: THE TOKEN'S RULES */

    function _requireNotPaused() internal view virtual;

    function _requireMayApprove(address owner, address spender) internal view virtual;

    function _requireNonZero(address account) internal pure virtual;
}
