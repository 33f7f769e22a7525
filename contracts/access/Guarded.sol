// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "solady/src/auth/Ownable.sol";

import {IGuarded} from "../interfaces/IGuarded.sol";

/// @notice Owner, guardian and the pause; guardian and pause share one slot.
abstract contract Guarded is IGuarded, Ownable {
    /// @inheritdoc IGuarded
    address public guardian;
    /// @inheritdoc IGuarded
    bool public isPaused;

    constructor(address owner_, address guardian_) {
        _initializeOwner(owner_);
        _setGuardian(guardian_);
    }

    modifier onlyGuardian() {
        require(msg.sender == guardian, Guarded_NotGuardian(msg.sender));
        _;
    }

    modifier whenNotPaused() {
        require(!isPaused, Guarded_Paused());
        _;
    }

    /// @inheritdoc IGuarded
    function setGuardian(address guardian_) external onlyOwner {
        _setGuardian(guardian_);
    }

    /// @inheritdoc IGuarded
    function setPaused(bool paused) external onlyGuardian {
        isPaused = paused;
        emit SetPaused(msg.sender, paused);
    }

    function _setGuardian(address guardian_) private {
        guardian = guardian_;
        emit SetGuardian(guardian_);
    }
}
