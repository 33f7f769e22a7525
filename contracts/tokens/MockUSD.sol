// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "solady/src/auth/Ownable.sol";
import {ERC20} from "solady/src/tokens/ERC20.sol";
import {IMockUSD} from "../interfaces/IMockUSD.sol";
import {SignedTransfers} from "./SignedTransfers.sol";

/// @notice The stablecoin of local chains and testnets. See IMockUSD.
contract MockUSD is SignedTransfers, Ownable {
    /* CONSTANTS */

    /// @inheritdoc IMockUSD
    uint256 public constant FAUCET_USD6 = 1_000e6;
    /// @inheritdoc IMockUSD
    uint256 public constant FAUCET_INTERVAL_SECONDS = 1 days;
    /// @inheritdoc IMockUSD
    uint256 public constant FAUCET_DAILY_USD6 = 1_000_000e6;

    string private constant NAME = "Mock USD";
    string private constant VERSION = "2";

    /* STORAGE */

    /// @inheritdoc IMockUSD
    address public masterMinter;
    /// @inheritdoc IMockUSD
    address public blacklister;
    /// @inheritdoc IMockUSD
    address public pauser;
    /// @inheritdoc IMockUSD
    bool public paused;

    /// @inheritdoc IMockUSD
    mapping(address account => bool) public isMinter;
    /// @inheritdoc IMockUSD
    mapping(address minter => uint256) public minterAllowance;
    /// @inheritdoc IMockUSD
    mapping(address account => bool) public isBlacklisted;

    mapping(address account => uint256 timestamp) private _faucetDrawnAt;
    mapping(uint256 day => uint256 usd6) private _faucetDrawnUsd6;

    /* CONSTRUCTOR */

    constructor(address owner_) {
        if (owner_ == address(0)) revert MockUSD_ZeroAddress();
        _initializeOwner(owner_);
        _setMasterMinter(owner_);
        _setBlacklister(owner_);
        _setPauser(owner_);
        // As USDC since 2.1: dollars sent to the dollar itself would be nobody's.
        isBlacklisted[address(this)] = true;
        emit Blacklisted(address(this));
    }

    /* ERC-20 */

    function name() public pure override returns (string memory) {
        return NAME;
    }

    function symbol() public pure override returns (string memory) {
        return "mUSD";
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @inheritdoc IMockUSD
    function version() external pure returns (string memory) {
        return VERSION;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        _requireNonZero(to);
        return super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        _requireNonZero(to);
        _requireNotBlacklisted(msg.sender);
        return super.transferFrom(from, to, amount);
    }

    function approve(address spender, uint256 amount) public override returns (bool) {
        _requireMayApprove(msg.sender, spender);
        return super.approve(spender, amount);
    }

    /* FAUCET */

    /// @inheritdoc IMockUSD
    function faucet(address to) external {
        // Check: the receiver's interval has passed and the day's amount is not spent.
        _requireNonZero(to);
        uint256 drawnAt = _faucetDrawnAt[to];
        if (drawnAt != 0 && block.timestamp < drawnAt + FAUCET_INTERVAL_SECONDS) {
            revert MockUSD_FaucetTooSoon(to, drawnAt + FAUCET_INTERVAL_SECONDS);
        }
        uint256 day = block.timestamp / 1 days;
        uint256 drawnUsd6 = _faucetDrawnUsd6[day] + FAUCET_USD6;
        if (drawnUsd6 > FAUCET_DAILY_USD6) revert MockUSD_FaucetEmpty((day + 1) * 1 days);

        // Effect: count the draw and mint.
        _faucetDrawnAt[to] = block.timestamp;
        _faucetDrawnUsd6[day] = drawnUsd6;
        _mint(to, FAUCET_USD6);
        emit FaucetDrawn(msg.sender, to, FAUCET_USD6);
    }

    /* MINTERS */

    /// @inheritdoc IMockUSD
    function mint(address to, uint256 amount) external returns (bool) {
        // Check: an unhindered minter within its allowance.
        _requireMinter();
        _requireNonZero(to);
        uint256 allowed = minterAllowance[msg.sender];
        if (amount > allowed) revert MockUSD_MinterAllowanceExceeded(msg.sender, allowed, amount);

        // Effect: lower the allowance and mint.
        minterAllowance[msg.sender] = allowed - amount;
        _mint(to, amount);
        emit Mint(msg.sender, to, amount);
        return true;
    }

    /// @inheritdoc IMockUSD
    function burn(uint256 amount) external {
        // Check: an unhindered minter.
        _requireMinter();

        // Effect: burn.
        _burn(msg.sender, amount);
        emit Burn(msg.sender, amount);
    }

    /// @inheritdoc IMockUSD
    function configureMinter(address minter, uint256 minterAllowedAmount) external returns (bool) {
        _requireMasterMinter();
        isMinter[minter] = true;
        minterAllowance[minter] = minterAllowedAmount;
        emit MinterConfigured(minter, minterAllowedAmount);
        return true;
    }

    /// @inheritdoc IMockUSD
    function removeMinter(address minter) external returns (bool) {
        _requireMasterMinter();
        isMinter[minter] = false;
        minterAllowance[minter] = 0;
        emit MinterRemoved(minter);
        return true;
    }

    /* CONTROL */

    /// @inheritdoc IMockUSD
    function blacklist(address account) external {
        // Check: not the zero address, which every mint and burn names.
        _requireBlacklister();
        _requireNonZero(account);

        // Effect: blacklist.
        isBlacklisted[account] = true;
        emit Blacklisted(account);
    }

    /// @inheritdoc IMockUSD
    function unBlacklist(address account) external {
        _requireBlacklister();
        isBlacklisted[account] = false;
        emit UnBlacklisted(account);
    }

    /// @inheritdoc IMockUSD
    function pause() external {
        _requirePauser();
        paused = true;
        emit Pause();
    }

    /// @inheritdoc IMockUSD
    function unpause() external {
        _requirePauser();
        paused = false;
        emit Unpause();
    }

    /* ROLES */

    /// @inheritdoc IMockUSD
    function updateMasterMinter(address newMasterMinter) external onlyOwner {
        _setMasterMinter(newMasterMinter);
    }

    /// @inheritdoc IMockUSD
    function updateBlacklister(address newBlacklister) external onlyOwner {
        _setBlacklister(newBlacklister);
    }

    /// @inheritdoc IMockUSD
    function updatePauser(address newPauser) external onlyOwner {
        _setPauser(newPauser);
    }

    /* INTERNAL: WHAT THE BASES ASK */

    function _constantNameHash() internal pure override returns (bytes32) {
        return keccak256(bytes(NAME));
    }

    function _versionHash() internal pure override returns (bytes32) {
        return keccak256(bytes(VERSION));
    }

    /// @dev Solady calls this in every transfer, mint and burn.
    function _beforeTokenTransfer(address from, address to, uint256) internal view override {
        _requireNotPaused();
        _requireNotBlacklisted(from);
        _requireNotBlacklisted(to);
    }

    /// @dev Permit2 gets no allowance that its owner did not give.
    function _givePermit2InfiniteAllowance() internal pure override returns (bool) {
        return false;
    }

    function _requireMayApprove(address owner, address spender) internal view override {
        _requireNotPaused();
        _requireNotBlacklisted(owner);
        _requireNonZero(spender);
        _requireNotBlacklisted(spender);
    }

    function _requireNotPaused() internal view override {
        if (paused) revert MockUSD_Paused();
    }

    function _requireNotBlacklisted(address account) internal view {
        if (isBlacklisted[account]) revert MockUSD_Blacklisted(account);
    }

    function _requireNonZero(address account) internal pure override {
        if (account == address(0)) revert MockUSD_ZeroAddress();
    }

    function _requireMinter() internal view {
        if (!isMinter[msg.sender]) revert MockUSD_NotMinter(msg.sender);
        _requireNotBlacklisted(msg.sender);
    }

    function _requireMasterMinter() internal view {
        if (msg.sender != masterMinter) revert MockUSD_NotMasterMinter(msg.sender);
    }

    function _requireBlacklister() internal view {
        if (msg.sender != blacklister) revert MockUSD_NotBlacklister(msg.sender);
    }

    function _requirePauser() internal view {
        if (msg.sender != pauser) revert MockUSD_NotPauser(msg.sender);
    }

    function _setMasterMinter(address newMasterMinter) internal {
        _requireNonZero(newMasterMinter);
        masterMinter = newMasterMinter;
        emit MasterMinterChanged(newMasterMinter);
    }

    function _setBlacklister(address newBlacklister) internal {
        _requireNonZero(newBlacklister);
        blacklister = newBlacklister;
        emit BlacklisterChanged(newBlacklister);
    }

    function _setPauser(address newPauser) internal {
        _requireNonZero(newPauser);
        pauser = newPauser;
        emit PauserChanged(newPauser);
    }
}
