// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ECDSA} from "solady/src/utils/ECDSA.sol";
import {EIP712} from "solady/src/utils/EIP712.sol";
import {INodeShare} from "../interfaces/INodeShare.sol";

/// @notice Name and symbol; a base of its own because EIP712 reads the name while it is constructed.
abstract contract ShareName is INodeShare {
    /// @inheritdoc INodeShare
    string public name;
    /// @inheritdoc INodeShare
    string public symbol;

    constructor(string memory name_, string memory symbol_) {
        name = name_;
        symbol = symbol_;
    }
}

/// @notice Who may move a holder's shares in its name: ERC-20 allowances and EIP-2612 permits.
abstract contract ShareAllowance is ShareName, EIP712 {
    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    /// @inheritdoc INodeShare
    mapping(address owner => mapping(address spender => uint256)) public allowance;
    /// @inheritdoc INodeShare
    mapping(address owner => uint256) public nonces;

    /// @inheritdoc INodeShare
    function approve(address spender, uint256 amount) external returns (bool) {
        _approve(msg.sender, spender, amount);
        return true;
    }

    /// @inheritdoc INodeShare
    function permit(
        address owner,
        address spender,
        uint256 value,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        // Check: in time, and signed by the owner over its current nonce.
        if (block.timestamp > deadline) revert NodeShare_PermitExpired(deadline);
        bytes32 terms =
            keccak256(abi.encode(PERMIT_TYPEHASH, owner, spender, value, nonces[owner]++, deadline));
        address signer = ECDSA.tryRecover(_hashTypedData(terms), v, r, s);
        if (signer == address(0) || signer != owner) revert NodeShare_InvalidPermit(owner, signer);
        // Effect
        _approve(owner, spender, value);
    }

    /// @inheritdoc INodeShare
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparator();
    }

    function _approve(address owner, address spender, uint256 amount) private {
        allowance[owner][spender] = amount;
        emit Approval(owner, spender, amount);
    }

    function _spendAllowance(address owner, address spender, uint256 amount) internal {
        uint256 allowed = allowance[owner][spender];
        if (allowed == type(uint256).max) return;
        if (allowed < amount) revert NodeShare_InsufficientAllowance(owner, spender, allowed, amount);
        // Unchecked: just compared.
        unchecked {
            allowance[owner][spender] = allowed - amount;
        }
    }

    function _domainNameAndVersion() internal view override returns (string memory, string memory) {
        return (name, "1");
    }
}
