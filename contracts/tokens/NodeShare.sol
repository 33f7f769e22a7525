// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";
import {IERC7943} from "../interfaces/IERC7943.sol";
import {INodeShare} from "../interfaces/INodeShare.sol";
import {INodeShareFactory} from "../interfaces/INodeShareFactory.sol";
import {Reservoir} from "../libraries/Reservoir.sol";
import {NodeId} from "../types/NodeTypes.sol";
import {AccountWord, FRACTION_BITS} from "../types/AccountWord.sol";
import {ReservoirWord} from "../types/ReservoirWord.sol";
import {ReservoirState} from "../types/ShareTypes.sol";
import {ShareName} from "./ShareAllowance.sol";
import {ShareLedger} from "./ShareLedger.sol";

/// @notice The share token of one node: the money that reaches it streams to whoever holds it.
/// The promise is INodeShare; accounts and transfers are ShareLedger's; here are its phases and its income.
contract NodeShare is ShareLedger {
    using Reservoir for ReservoirWord;

    uint256 private constant BPS = 10_000;
    /// One cent. A cut of n bps takes exactly n units of each, so cuts never round.
    uint256 private constant SYNC_QUANTUM_USD6 = 10_000;
    uint256 private constant MIN_SUPPLY_UNITS = 1e6;
    uint256 private constant MIN_TAU_SECONDS = 1 hours;
    uint256 private constant MAX_TAU_SECONDS = 90 days;
    /// With the protocol's at most 1,000 bps, cuts never pass the whole.
    uint256 private constant MAX_OPERATOR_CUT_BPS = 9_000;

    /// @inheritdoc INodeShare
    NodeId public immutable node;
    /// @inheritdoc INodeShare
    address public immutable asset;
    /// @inheritdoc INodeShare
    address public immutable operator;
    /// @inheritdoc INodeShare
    address public immutable issuer;
    /// @inheritdoc INodeShare
    address public immutable factory;
    /// @inheritdoc INodeShare
    uint16 public immutable operatorCutBps;
    /// @inheritdoc INodeShare
    uint16 public immutable protocolCutBps;

    mapping(address account => address) private _payouts;

    modifier onlyIssuer() {
        if (msg.sender != issuer) revert NodeShare_NotIssuer(msg.sender);
        _;
    }

    /// @dev The caller is the factory, and keeps `protocolCutBps_` at most 1,000.
    constructor(
        NodeId node_,
        address asset_,
        address operator_,
        uint16 protocolCutBps_,
        INodeShareFactory.ShareTerms memory terms
    ) ShareName(terms.name, terms.symbol) ShareLedger(terms.eligibility, terms.tauSeconds) {
        // Check
        if (terms.tauSeconds < MIN_TAU_SECONDS || terms.tauSeconds > MAX_TAU_SECONDS) {
            revert NodeShare_TauOutOfBounds(terms.tauSeconds, MIN_TAU_SECONDS, MAX_TAU_SECONDS);
        }
        if (terms.operatorCutBps > MAX_OPERATOR_CUT_BPS) {
            revert NodeShare_OperatorCutTooHigh(terms.operatorCutBps, MAX_OPERATOR_CUT_BPS);
        }
        // Effect
        node = node_;
        asset = asset_;
        operator = operator_;
        issuer = terms.issuer;
        factory = msg.sender;
        operatorCutBps = terms.operatorCutBps;
        protocolCutBps = protocolCutBps_;
        if (terms.issuer == address(0)) {
            _mint(operator_, terms.supplyUnits);
            _goLive();
        } else if (terms.supplyUnits != 0) {
            revert NodeShare_SupplyOutOfBounds(terms.supplyUnits, 0, 0);
        }
    }

    // Issuance ---------------------------------------------------------------------------------------

    /// @inheritdoc INodeShare
    function mint(address to, uint64 units) external onlyIssuer {
        _checkPhase(Phase.Sale);
        _mint(to, units);
    }

    /// @inheritdoc INodeShare
    function mintLocked(address to, uint64 units) external onlyIssuer {
        _checkPhase(Phase.Sale);
        _mint(to, units);
        _setLocked(to, lockedOf(to) + units);
        emit Locked(to, units);
    }

    /// @inheritdoc INodeShare
    function goLive() external onlyIssuer {
        _checkPhase(Phase.Sale);
        _goLive();
    }

    /// @inheritdoc INodeShare
    function fail() external onlyIssuer {
        _checkPhase(Phase.Sale);
        _totals.phase = Phase.Failed;
        emit SaleFailed();
    }

    /// @inheritdoc INodeShare
    function burn(address from, uint64 units) external onlyIssuer {
        // Check
        AccountWord account = _accounts[from];
        uint256 balance = account.balanceUnits();
        if (units > balance) revert NodeShare_InsufficientBalance(from, balance, units);
        uint256 movable = _movable(from, account);
        if (units > movable) revert ERC7943InsufficientUnfrozenBalance(from, units, movable);
        // Effect
        _retire(from, units);
    }

    /// @inheritdoc INodeShare
    function unlock(address account) external onlyIssuer {
        uint256 units = lockedOf(account);
        if (units == 0) return;
        _setLocked(account, 0);
        emit Unlocked(account, units);
    }

    /// @inheritdoc INodeShare
    function burnLocked(address account) external onlyIssuer returns (uint64 units) {
        // Cast: a lock is never more than the balance.
        units = uint64(lockedOf(account));
        if (units == 0) return 0;
        _setLocked(account, 0);
        emit Unlocked(account, units);
        _thaw(account, units);
        _retire(account, units);
    }

    function _goLive() private {
        // Check: the upper bound was checked with every mint.
        uint256 supply = _totals.supplyUnits;
        if (supply < MIN_SUPPLY_UNITS) {
            revert NodeShare_SupplyOutOfBounds(supply, MIN_SUPPLY_UNITS, MAX_SUPPLY_UNITS);
        }
        // Effect
        _totals.phase = Phase.Live;
        _reservoir = _reservoir.checkpoint(block.timestamp, tauSeconds);
        emit WentLive(supply);
    }

    function _checkPhase(Phase expected) private view {
        Phase current = _totals.phase;
        if (current != expected) revert NodeShare_WrongPhase(current);
    }

    function _checkEnforcer() internal view override {
        if (msg.sender != INodeShareFactory(factory).enforcer()) revert NodeShare_NotEnforcer(msg.sender);
    }

    // Income -----------------------------------------------------------------------------------------

    // Compared with zero below are our own counts and phases, never a balance that a stranger could nudge.
    // slither-disable-start incorrect-equality

    /// @inheritdoc INodeShare
    function sync() external returns (uint256 syncedUsd6) {
        // Check: is there something new, and does it fit? A balance below what is accounted for is nothing new.
        Totals memory totals = _totals;
        if (totals.phase == Phase.Sale) return 0;
        ReservoirWord state = _reservoir;
        uint256 balance = SafeTransferLib.balanceOf(asset, address(this));
        uint256 accounted = state.accountedUsd6();
        if (balance <= accounted) return 0;
        uint256 fresh = balance - accounted;
        uint256 room = Reservoir.MAX_ACCOUNTED_USD6 - accounted;
        if (fresh > room) fresh = room;
        uint256 operatorUsd6 = 0;
        uint256 protocolUsd6 = 0;
        // Effect
        if (totals.phase == Phase.Failed || totals.supplyUnits == 0) {
            if (fresh == 0) return 0;
            syncedUsd6 = operatorUsd6 = fresh;
        } else {
            state = state.checkpoint(block.timestamp, tauSeconds);
            // Whole cents on purpose: cuts divide them exactly, and what is left waits for the next sync.
            // slither-disable-start divide-before-multiply
            uint256 quanta = fresh / SYNC_QUANTUM_USD6;
            uint256 holdersBps = BPS - operatorCutBps - protocolCutBps;
            room = state.roomUsd6Down(totals.supplyUnits);
            if (quanta == 0) return 0;
            if (holdersBps > room) {
                // Not a cent fits any more: the few units that are left have had all that an index can say.
                syncedUsd6 = operatorUsd6 = quanta * SYNC_QUANTUM_USD6;
            } else {
                if (quanta * holdersBps > room) quanta = room / holdersBps;
                syncedUsd6 = quanta * SYNC_QUANTUM_USD6;
                operatorUsd6 = quanta * operatorCutBps;
                protocolUsd6 = quanta * protocolCutBps;
                state = state.absorbDown(quanta * holdersBps, totals.supplyUnits);
            }
            // slither-disable-end divide-before-multiply
        }
        _reservoir = state.account(syncedUsd6);
        // Unchecked and casts: credits are part of what is accounted for, so at most MAX_ACCOUNTED_USD6.
        unchecked {
            totals.operatorCreditUsd6 += uint64(operatorUsd6);
            totals.protocolCreditUsd6 += uint64(protocolUsd6);
        }
        if (operatorUsd6 + protocolUsd6 != 0) _totals = totals;
        emit Synced(msg.sender, syncedUsd6, operatorUsd6, protocolUsd6);
    }

    /// @inheritdoc INodeShare
    function claim() external returns (uint256 paidUsd6) {
        return _claim(msg.sender);
    }

    /// @inheritdoc INodeShare
    function claimFor(address account) external returns (uint256 paidUsd6) {
        return _claim(account);
    }

    /// @inheritdoc INodeShare
    function claimOperatorCredit() external returns (uint256 paidUsd6) {
        // Check
        paidUsd6 = _totals.operatorCreditUsd6;
        if (paidUsd6 == 0) revert NodeShare_NothingToClaim(operator);
        // Effect
        _totals.operatorCreditUsd6 = 0;
        address payout = payoutOf(operator);
        emit OperatorCreditClaimed(msg.sender, payout, paidUsd6);
        // Interaction
        _pay(payout, paidUsd6);
    }

    /// @inheritdoc INodeShare
    function claimProtocolCredit() external returns (uint256 paidUsd6) {
        // Check
        address treasury = INodeShareFactory(factory).treasury();
        paidUsd6 = _totals.protocolCreditUsd6;
        if (paidUsd6 == 0) revert NodeShare_NothingToClaim(treasury);
        // Effect
        _totals.protocolCreditUsd6 = 0;
        emit ProtocolCreditClaimed(msg.sender, treasury, paidUsd6);
        // Interaction
        _pay(treasury, paidUsd6);
    }

    /// @inheritdoc INodeShare
    function setPayout(address payout) external {
        bool elsewhere = payout != address(0) && payout != msg.sender;
        _payouts[msg.sender] = elsewhere ? payout : address(0);
        _setFlag(msg.sender, HAS_PAYOUT, elsewhere);
        emit PayoutSet(msg.sender, elsewhere ? payout : msg.sender);
    }

    function _claim(address account) private returns (uint256 paidUsd6) {
        // Check
        AccountWord accrued = _accounts[account].accrueDown(indexX48());
        paidUsd6 = accrued.accruedX16() >> FRACTION_BITS;
        if (paidUsd6 == 0) revert NodeShare_NothingToClaim(account);
        // Effect: the fraction of a unit stays.
        _accounts[account] = accrued.dropWholeUnits();
        address payout = accrued.flags() & HAS_PAYOUT != 0 ? _payouts[account] : account;
        emit Claimed(msg.sender, account, payout, paidUsd6);
        // Interaction
        _pay(payout, paidUsd6);
    }

    /// @dev What is paid has already been taken from whom it belonged to. `accountedUsd6` falls only once the
    /// money has left: a token that calls back half way finds it too high, never too low, so a sync in between
    /// cannot take money that is on its way out for new income.
    function _pay(address to, uint256 amountUsd6) private {
        // Interaction
        SafeTransferLib.safeTransfer(asset, to, amountUsd6);
        // Effect: everything owed was accounted for.
        _reservoir = _reservoir.discount(amountUsd6);
    }

    // slither-disable-end incorrect-equality

    // Views ------------------------------------------------------------------------------------------

    /// @inheritdoc INodeShare
    function payoutOf(address account) public view returns (address) {
        return _accounts[account].flags() & HAS_PAYOUT != 0 ? _payouts[account] : account;
    }

    /// @inheritdoc INodeShare
    function claimableUsd6(address account) external view returns (uint256) {
        return _accounts[account].accrueDown(indexX48()).accruedX16() >> FRACTION_BITS;
    }

    /// @inheritdoc INodeShare
    function unsyncedUsd6() external view returns (uint256) {
        uint256 balance = SafeTransferLib.balanceOf(asset, address(this));
        uint256 accounted = _reservoir.accountedUsd6();
        return balance > accounted ? balance - accounted : 0;
    }

    /// @inheritdoc INodeShare
    function reservoir() external view returns (ReservoirState memory) {
        return _reservoir.unpack();
    }

    /// @inheritdoc INodeShare
    function credits() external view returns (uint256 operatorCreditUsd6, uint256 protocolCreditUsd6) {
        return (_totals.operatorCreditUsd6, _totals.protocolCreditUsd6);
    }

    /// @inheritdoc INodeShare
    function phase() external view returns (Phase) {
        return _totals.phase;
    }

    /// @inheritdoc INodeShare
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == 0x01ffc9a7 // ERC-165
            || interfaceId == 0x36372b07 // ERC-20
            || interfaceId == type(IERC7943).interfaceId;
    }
}
