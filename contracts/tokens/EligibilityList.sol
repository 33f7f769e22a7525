// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "solady/src/auth/Ownable.sol";
import {IEligibility} from "../interfaces/IEligibility.sol";

/// @notice An allow-list: who may hold the shares of every node that names this contract. One slot per account.
/// Roles: the owner writes the list; anyone reads it.
contract EligibilityList is IEligibility, Ownable {
    /// @notice The owner let `account` hold shares, or ended that.
    event EligibilitySet(address indexed account, bool eligible);

    /// @inheritdoc IEligibility
    mapping(address account => bool) public isEligible;

    constructor(address owner) {
        _initializeOwner(owner);
    }

    /// @notice Lists every one of `accounts`, or strikes them off. Owner only.
    function setEligible(address[] calldata accounts, bool eligible) external onlyOwner {
        for (uint256 i = 0; i < accounts.length; ++i) {
            isEligible[accounts[i]] = eligible;
            emit EligibilitySet(accounts[i], eligible);
        }
    }
}
