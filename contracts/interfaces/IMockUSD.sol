// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC3009} from "./IERC3009.sol";

/// @notice The stablecoin of local chains and testnets, shaped like USDC. On live networks a real USDC takes
/// its place: nothing of ours may call `faucet`, or anything else that USDC lacks, outside of tests and tools.
/// @dev 6 decimals; amounts are atomic. ERC-20, EIP-2612 and ownership come from Solady and carry Solady's
/// errors (`InsufficientBalance`, `InsufficientAllowance`, `Unauthorized`). A paused token moves nothing and
/// approves nothing; a blacklisted account, the token itself among them, neither sends, receives, spends nor approves.
/// Unlike USDC's, an allowance of 2^256 - 1 is never used up.
interface IMockUSD is IERC3009 {
    /// @notice The caller may not mint, or no longer.
    error MockUSD_NotMinter(address caller);
    /// @notice Only the master minter configures minters.
    error MockUSD_NotMasterMinter(address caller);
    /// @notice Only the pauser pauses.
    error MockUSD_NotPauser(address caller);
    /// @notice Only the blacklister blacklists.
    error MockUSD_NotBlacklister(address caller);
    /// @notice `account` is blacklisted by the dollar's issuer: it neither sends, receives nor approves.
    error MockUSD_Blacklisted(address account);
    /// @notice The dollar is paused by its issuer: nothing moves.
    error MockUSD_Paused();
    /// @notice The zero address can hold neither dollars nor a role, nor be blacklisted.
    error MockUSD_ZeroAddress();
    /// @notice A minter mints at most its allowance.
    error MockUSD_MinterAllowanceExceeded(address minter, uint256 allowance, uint256 amount);
    /// @notice Only `to` itself can bring an authorization to receive.
    error MockUSD_NotReceiver(address caller, address to);
    /// @notice The authorization becomes valid only after `validAfter`.
    error MockUSD_AuthorizationNotYetValid(uint256 validAfter);
    /// @notice The authorization was valid only before `validBefore`.
    error MockUSD_AuthorizationExpired(uint256 validBefore);
    /// @notice The authorization was carried out or canceled before.
    error MockUSD_AuthorizationUsedOrCanceled(address authorizer, bytes32 nonce);
    /// @notice The signature is not `signer`'s over these terms, or is the malleable twin of one.
    error MockUSD_InvalidSignature(address signer);
    /// @notice The permit was valid only until `deadline`.
    error MockUSD_PermitExpired(uint256 deadline);
    /// @notice The faucet gives to each account once per interval, to this one again at `availableAt`.
    error MockUSD_FaucetTooSoon(address to, uint256 availableAt);
    /// @notice The faucet has given its daily amount; it refills at `availableAt`.
    error MockUSD_FaucetEmpty(uint256 availableAt);

    event Mint(address indexed minter, address indexed to, uint256 amount);
    event Burn(address indexed burner, uint256 amount);
    event FaucetDrawn(address indexed caller, address indexed to, uint256 amount);
    event MinterConfigured(address indexed minter, uint256 minterAllowedAmount);
    event MinterRemoved(address indexed oldMinter);
    event MasterMinterChanged(address indexed newMasterMinter);
    event Blacklisted(address indexed account);
    event UnBlacklisted(address indexed account);
    event BlacklisterChanged(address indexed newBlacklister);
    event Pause();
    event Unpause();
    event PauserChanged(address indexed newAddress);

    // Faucet -----------------------------------------------------------------------------------------
    /// @notice Mints FAUCET_USD6 to `to`: once per FAUCET_INTERVAL_SECONDS and receiver, and not more than
    /// FAUCET_DAILY_USD6 to all receivers together per day of UTC. Anyone may call. Larger amounts come from
    /// a minter.
    function faucet(address to) external;
    /// @notice What one draw gives: 1,000 dollars.
    function FAUCET_USD6() external view returns (uint256);
    /// @notice The time between two draws of one receiver: a day.
    function FAUCET_INTERVAL_SECONDS() external view returns (uint256);
    /// @notice What all draws of a day of UTC give together: 1,000,000 dollars.
    function FAUCET_DAILY_USD6() external view returns (uint256);

    // Minters ----------------------------------------------------------------------------------------
    /// @notice Mints to `to` and lowers the caller's minter allowance. Minters only.
    function mint(address to, uint256 amount) external returns (bool);
    /// @notice Burns from the caller's balance. Minters only.
    function burn(uint256 amount) external;
    /// @notice Makes `minter` a minter with `minterAllowedAmount` to mint. Master minter only.
    function configureMinter(address minter, uint256 minterAllowedAmount) external returns (bool);
    /// @notice Ends a minter. Master minter only.
    function removeMinter(address minter) external returns (bool);
    function isMinter(address account) external view returns (bool);
    /// @notice What `minter` may still mint.
    function minterAllowance(address minter) external view returns (uint256);

    // Control ----------------------------------------------------------------------------------------
    /// @notice Blacklister only.
    function blacklist(address account) external;
    /// @notice Blacklister only.
    function unBlacklist(address account) external;
    function isBlacklisted(address account) external view returns (bool);
    /// @notice Pauser only.
    function pause() external;
    /// @notice Pauser only.
    function unpause() external;
    function paused() external view returns (bool);

    // Roles ------------------------------------------------------------------------------------------
    /// @notice Owner only.
    function updateMasterMinter(address newMasterMinter) external;
    /// @notice Owner only.
    function updateBlacklister(address newBlacklister) external;
    /// @notice Owner only.
    function updatePauser(address newPauser) external;
    function masterMinter() external view returns (address);
    function blacklister() external view returns (address);
    function pauser() external view returns (address);

    // Signatures -------------------------------------------------------------------------------------
    /// @notice EIP-2612 with the signature as bytes, so that a smart wallet can sign too. A `deadline` of
    /// the maximal uint256 never passes.
    function permit(address owner, address spender, uint256 value, uint256 deadline, bytes calldata signature)
        external;
    /// @notice The version in the EIP-712 domain.
    function version() external view returns (string memory);
}
