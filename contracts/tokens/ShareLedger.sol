// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IEligibility} from "../interfaces/IEligibility.sol";
import {IERC7943} from "../interfaces/IERC7943.sol";
import {INodeShare} from "../interfaces/INodeShare.sol";
import {Reservoir} from "../libraries/Reservoir.sol";
import {AccountWord} from "../types/AccountWord.sol";
import {ReservoirWord} from "../types/ReservoirWord.sol";
import {ShareAccount} from "../types/ShareTypes.sol";
import {ShareAllowance} from "./ShareAllowance.sol";

/// @notice Who holds how many shares, what they have earned, and what may move.
///
/// Invariant of every account: `balanceUnits` changes only right after income up to the present index was
/// accrued. A transfer reads the reservoir, and writes the two accounts and nothing else.
abstract contract ShareLedger is ShareAllowance {
    using Reservoir for ReservoirWord;

    struct Totals {
        uint64 supplyUnits;
        uint64 operatorCreditUsd6;
        uint64 protocolCreditUsd6;
        Phase phase;
    }

    uint256 internal constant MAX_SUPPLY_UNITS = 1 << 48;
    uint256 private constant ELIGIBILITY_GAS = 100_000;
    uint256 internal constant HAS_FROZEN = 1;
    uint256 internal constant HAS_PAYOUT = 2;
    uint256 internal constant HAS_LOCKED = 4;

    /// @inheritdoc INodeShare
    address public immutable eligibility;
    /// @inheritdoc INodeShare
    uint32 public immutable tauSeconds;

    ReservoirWord internal _reservoir;
    Totals internal _totals;
    mapping(address account => AccountWord) internal _accounts;
    /// Where the account's flag says that there is one.
    mapping(address account => uint256 units) private _frozen;
    mapping(address account => uint256 units) private _locked;

    constructor(address eligibility_, uint32 tauSeconds_) {
        if (eligibility_ != address(0) && eligibility_.code.length == 0) {
            revert NodeShare_EligibilityWithoutCode(eligibility_);
        }
        eligibility = eligibility_;
        tauSeconds = tauSeconds_;
    }

    // Transfers --------------------------------------------------------------------------------------

    /// @inheritdoc INodeShare
    function transfer(address to, uint256 amount) external returns (bool) {
        _transfer(msg.sender, to, amount);
        return true;
    }

    /// @inheritdoc INodeShare
    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _spendAllowance(from, msg.sender, amount);
        _transfer(from, to, amount);
        return true;
    }

    function _transfer(address from, address to, uint256 amount) private {
        // Check: the sale is over, and both sides may hold shares.
        ReservoirWord state = _reservoir;
        if (state.updatedAt() == 0) revert ERC7943CannotTransfer(from, to, amount);
        if (!canSend(from)) revert ERC7943CannotSend(from);
        if (!canReceive(to)) revert ERC7943CannotReceive(to);
        AccountWord sender = _accounts[from];
        uint256 balance = sender.balanceUnits();
        if (amount > balance) revert NodeShare_InsufficientBalance(from, balance, amount);
        if (sender.flags() & (HAS_FROZEN | HAS_LOCKED) != 0) {
            uint256 movable = _movable(from, sender);
            if (amount > movable) revert ERC7943InsufficientUnfrozenBalance(from, amount, movable);
        }
        // Effect
        _move(from, to, amount, sender, state);
    }

    /// @dev The amount is at most the balance of `sender`, which is the account of `from` as stored.
    function _move(address from, address to, uint256 amount, AccountWord sender, ReservoirWord state)
        private
    {
        // Nothing moves: nobody's account is touched, so that no one can make another accrue in small steps.
        if (amount != 0 && from != to) {
            uint256 index = state.indexAt(block.timestamp, tauSeconds);
            // The amount is within the sender's balance, and all balances together are the supply.
            _accounts[from] = sender.accrueDown(index).sub(amount);
            _accounts[to] = _accounts[to].accrueDown(index).add(amount);
        }
        emit Transfer(from, to, amount);
    }

    // Supply -----------------------------------------------------------------------------------------

    function _mint(address to, uint256 units) internal {
        // Check
        if (!canReceive(to)) revert ERC7943CannotReceive(to);
        uint256 supply = _totals.supplyUnits + units;
        if (supply > MAX_SUPPLY_UNITS) revert NodeShare_SupplyOutOfBounds(supply, 0, MAX_SUPPLY_UNITS);
        // Effect. Cast: at most 2^48. Nothing has been earned yet, so there is nothing to accrue.
        _totals.supplyUnits = uint64(supply);
        _accounts[to] = _accounts[to].add(units);
        emit Transfer(address(0), to, units);
    }

    /// @dev Burns units that the caller has found burnable: at most the balance.
    function _retire(address from, uint256 units) internal {
        // Effect: checkpoint first, so that what is released belongs to the shares as they were.
        ReservoirWord state = _reservoir;
        uint256 supply = _totals.supplyUnits;
        if (state.updatedAt() != 0) {
            uint256 excess;
            (state, excess) =
                state.checkpoint(block.timestamp, tauSeconds).respreadDown(supply, supply - units);
            _reservoir = state;
            if (excess != 0) emit Unsynced(excess);
        }
        // Cast: the units are within the balance, and so within the supply.
        _totals.supplyUnits = uint64(supply - units);
        _accounts[from] = _accounts[from].accrueDown(state.indexX48()).sub(units);
        emit Transfer(from, address(0), units);
    }

    // Freezing and locking ---------------------------------------------------------------------------

    /// @inheritdoc IERC7943
    function setFrozenTokens(address account, uint256 amount) external returns (bool) {
        // Check
        _checkEnforcer();
        // Effect
        _setFrozen(account, amount);
        return true;
    }

    /// @inheritdoc IERC7943
    function forcedTransfer(address from, address to, uint256 amount) external returns (bool) {
        // Check: past a freeze, but past neither the sale's lock nor the receiver's eligibility. After a failed sale too,
        // as a refund is for whoever holds the shares.
        _checkEnforcer();
        if (_totals.phase == Phase.Sale) revert ERC7943CannotTransfer(from, to, amount);
        if (!canReceive(to)) revert ERC7943CannotReceive(to);
        uint256 balance = _accounts[from].balanceUnits();
        if (amount > balance) revert NodeShare_InsufficientBalance(from, balance, amount);
        uint256 locked = lockedOf(from);
        // A lock is never more than the balance.
        if (amount > balance - locked) revert ERC7943CannotTransfer(from, to, amount);
        // Effect
        _thaw(from, amount);
        _move(from, to, amount, _accounts[from], _reservoir);
        emit ForcedTransfer(from, to, amount);
        return true;
    }

    /// @dev What is about to leave a freeze against the holder's will is frozen no more; at most the balance leaves.
    function _thaw(address account, uint256 leavingUnits) internal {
        uint256 balance = _accounts[account].balanceUnits();
        uint256 frozen = getFrozenTokens(account);
        uint256 unfrozen = balance > frozen ? balance - frozen : 0;
        if (leavingUnits > unfrozen) _setFrozen(account, frozen - (leavingUnits - unfrozen));
    }

    function _setFrozen(address account, uint256 amount) private {
        _frozen[account] = amount;
        _setFlag(account, HAS_FROZEN, amount != 0);
        emit Frozen(account, amount);
    }

    function _setLocked(address account, uint256 units) internal {
        _locked[account] = units;
        _setFlag(account, HAS_LOCKED, units != 0);
    }

    function _setFlag(address account, uint256 flag, bool on) internal {
        _accounts[account] = _accounts[account].withFlag(flag, on);
    }

    /// @dev The part of the balance that is neither frozen nor locked; a frozen share may also be a locked one.
    function _movable(address account, AccountWord stored) internal view returns (uint256) {
        uint256 frozen = stored.flags() & HAS_FROZEN != 0 ? _frozen[account] : 0;
        uint256 locked = stored.flags() & HAS_LOCKED != 0 ? _locked[account] : 0;
        uint256 held = frozen > locked ? frozen : locked;
        uint256 balance = stored.balanceUnits();
        return balance > held ? balance - held : 0;
    }

    /// @dev Reverts unless the caller is the enforcer.
    function _checkEnforcer() internal view virtual;

    // Rules ------------------------------------------------------------------------------------------

    /// @inheritdoc IERC7943
    function canSend(address account) public view returns (bool) {
        return _isEligible(account);
    }

    /// @inheritdoc IERC7943
    function canReceive(address account) public view returns (bool) {
        // Shares here would earn for nobody.
        return account != address(0) && account != address(this) && _isEligible(account);
    }

    /// @inheritdoc IERC7943
    function canTransfer(address from, address to, uint256 amount) external view returns (bool) {
        if (_reservoir.updatedAt() == 0 || !canSend(from) || !canReceive(to)) return false;
        AccountWord sender = _accounts[from];
        return sender.flags() & (HAS_FROZEN | HAS_LOCKED) == 0 || amount <= _movable(from, sender);
    }

    /// @inheritdoc IERC7943
    function getFrozenTokens(address account) public view returns (uint256) {
        return _frozen[account];
    }

    /// @inheritdoc INodeShare
    function lockedOf(address account) public view returns (uint256) {
        return _locked[account];
    }

    /// @dev A module that fails, runs dry or answers anything but `true` says no; it can make no view revert.
    function _isEligible(address account) private view returns (bool eligible) {
        address module = eligibility;
        if (module == address(0)) return true;
        bytes4 selector = IEligibility.isEligible.selector;
        uint256 gasLimit = ELIGIBILITY_GAS;
        assembly ("memory-safe") {
            mstore(0x00, selector)
            mstore(0x04, account)
            // Copies one word at most, however much the module returns. Arguments are evaluated last first.
            eligible := and(
                and(eq(mload(0x00), 1), gt(returndatasize(), 0x1f)),
                staticcall(gasLimit, module, 0x00, 0x24, 0x00, 0x20)
            )
        }
    }

    // Views ------------------------------------------------------------------------------------------

    /// @inheritdoc INodeShare
    function decimals() external pure returns (uint8) {
        return 6;
    }

    /// @inheritdoc INodeShare
    function totalSupply() external view returns (uint256) {
        return _totals.supplyUnits;
    }

    /// @inheritdoc INodeShare
    function balanceOf(address account) external view returns (uint256) {
        return _accounts[account].balanceUnits();
    }

    /// @inheritdoc INodeShare
    function accountOf(address account) external view returns (ShareAccount memory) {
        return _accounts[account].unpack();
    }

    /// @inheritdoc INodeShare
    function indexX48() public view returns (uint256) {
        return _reservoir.indexAt(block.timestamp, tauSeconds);
    }
}
