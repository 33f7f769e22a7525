// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title A contract whose owner names a guardian, who can pause what brings money in, never what lets it out.
interface IGuarded {
    event SetGuardian(address indexed guardian);
    event SetPaused(address indexed guardian, bool paused);

    error Guarded_NotGuardian(address caller);
    /// @notice The guardian has paused what brings money in.
    error Guarded_Paused();

    /// @notice Owner only. Zero: nobody can pause, and nobody can end a pause.
    function setGuardian(address guardian) external;
    /// @notice Guardian only.
    function setPaused(bool paused) external;

    function guardian() external view returns (address);
    function isPaused() external view returns (bool);
}
