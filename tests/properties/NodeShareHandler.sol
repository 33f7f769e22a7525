// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {INodeShareFactory} from "../../contracts/interfaces/INodeShareFactory.sol";
import {NodeShare} from "../../contracts/tokens/NodeShare.sol";
import {NodeId} from "../../contracts/types/NodeTypes.sol";
import {ReservoirState, ShareAccount} from "../../contracts/types/ShareTypes.sol";
import {BlacklistingDollar} from "../doubles/HostileDollars.sol";
import {Property} from "./Property.sol";

/// @notice Everything that anyone can do with a live share, at random, with the books kept beside it.
/// It stands in for factory, issuer and enforcer. No step may revert: a withdrawal that does is a finding.
contract NodeShareHandler is Property {
    NodeShare public immutable share;
    BlacklistingDollar public immutable usd = new BlacklistingDollar();
    address public constant treasury = address(0x7EA5);
    address public constant operator = address(0x0BE7A708);
    address public immutable enforcer = address(this);
    /// Blacklisted by the dollar; its trouble must stay its own.
    address public constant outcast = address(0x0CA57);
    address[] public holders = [operator, outcast, address(0xA11), address(0xB22), address(0xC33)];

    uint256 public clock = 1_700_000_000;
    uint256 public immutable fortune;
    uint256 public received;
    uint256 public paid;
    uint256 public syncs;
    uint256 public burns;
    uint256 public accruals;
    uint256 public lastIndex;

    constructor(uint32 tauSeconds, uint16 operatorCutBps, uint64 unitsEach, uint256 fortune_) {
        vm.warp(clock);
        fortune = fortune_;
        INodeShareFactory.ShareTerms memory terms = INodeShareFactory.ShareTerms({
            name: "Node",
            symbol: "NODE",
            tauSeconds: tauSeconds,
            operatorCutBps: operatorCutBps,
            eligibility: address(0),
            issuer: address(this),
            supplyUnits: 0
        });
        share = NodeShare(shipped("NodeShare", abi.encode(NodeId.wrap(1), usd, operator, 250, terms)));
        for (uint256 i = 0; i < holders.length; ++i) {
            share.mint(holders[i], unitsEach);
        }
        share.goLive();
        usd.setBlacklisted(outcast, true);
    }

    /// @dev Around every step: the clock, and invariants 3 and 4 over all holders. `claimant` may lose what it
    /// claims, and dust may grow by at most `mostDustX48`.
    modifier watched(address claimant, uint256 mostDustX48) {
        vm.warp(clock);
        (uint256[] memory before, int256 dustBefore) = _booksNow();
        _;
        (uint256[] memory afterwards, int256 dustAfterwards) = _booksNow();
        for (uint256 i = 0; i < holders.length; ++i) {
            // An accrual in between floors: one unit of 2^-16 per step, none of an atomic unit.
            if (holders[i] != claimant) {
                atMost(before[i], afterwards[i] + 1, "3: income falls only by its own claim");
                atMost(afterwards[i], before[i] + 1, "3: no step makes income by itself");
            }
        }
        int256 dustGrown = dustAfterwards - dustBefore;
        holds(dustGrown >= 0 && uint256(dustGrown) <= mostDustX48, "2: dust grows within its bound");
        uint256 index = share.indexX48();
        atMost(lastIndex, index, "4: index monotone");
        lastIndex = index;
    }

    // Steps ------------------------------------------------------------------------------------------

    function pass(uint256 seed) public {
        // Seconds, hours, days, years; not past February 2106, from when on a sync releases income at once.
        uint256[4] memory reach = [uint256(15), 2 hours, 9 days, 365 days];
        uint256 later = clock + bound(seed >> 2, 0, reach[seed % 4]);
        clock = later < type(uint32).max ? later : type(uint32).max;
        vm.warp(clock);
        uint256 index = share.indexX48();
        atMost(lastIndex, index, "4: index monotone in time");
        lastIndex = index;
    }

    function receiveIncome(uint256 seed) public watched(address(0), 0) {
        uint256[4] memory reach = [uint256(3), 30_000, 1e12, fortune];
        uint256 amount = bound(seed >> 2, 1, reach[seed % 4]);
        usd.mint(address(share), amount);
        received += amount;
    }

    function sync(uint256 callerSeed) public watched(address(0), 1 << 48) {
        uint256 accounted = share.reservoir().accountedUsd6;
        uint256 unsynced = share.unsyncedUsd6();
        vm.prank(_anyone(callerSeed));
        uint256 synced = share.sync();
        if (synced != 0) ++syncs;
        equal(share.reservoir().accountedUsd6, accounted + synced, "2: synced is accounted for");
        equal(share.unsyncedUsd6(), unsynced - synced, "2: and no longer unsynced");
        if (share.totalSupply() != 0) equal(synced % 10_000, 0, "whole cents");
    }

    function transfer(uint256 fromSeed, uint256 toSeed, uint256 unitsSeed)
        public
        watched(address(0), 2 << 32)
    {
        (address from, address to) = (_holder(fromSeed), _holder(toSeed));
        uint256 units = _some(unitsSeed, _movable(from));
        ReservoirState memory state = share.reservoir();
        vm.prank(from);
        share.transfer(to, units);
        accruals += 2;
        holds(keccak256(abi.encode(state)) == keccak256(abi.encode(share.reservoir())), "transfers only read");
    }

    function transferOfNothing(uint256 callerSeed, uint256 victimSeed) public watched(address(0), 0) {
        (address caller, address victim) = (_anyone(callerSeed), _holder(victimSeed));
        ShareAccount memory account = share.accountOf(victim);
        vm.prank(caller);
        share.transferFrom(victim, caller, 0);
        vm.prank(caller);
        share.transferFrom(caller, victim, 0);
        holds(keccak256(abi.encode(account)) == keccak256(abi.encode(share.accountOf(victim))), "untouched");
    }

    function forceTransfer(uint256 fromSeed, uint256 toSeed, uint256 unitsSeed)
        public
        watched(address(0), 2 << 32)
    {
        address from = _holder(fromSeed);
        share.forcedTransfer(from, _holder(toSeed), _some(unitsSeed, share.balanceOf(from)));
        accruals += 2;
    }

    function freeze(uint256 holderSeed, uint256 units) public watched(address(0), 0) {
        share.setFrozenTokens(_holder(holderSeed), units % 3 == 0 ? 0 : units);
    }

    /// @dev Anyone may claim for anyone. Only the blacklisted are refused, and only while they are paid there.
    function claim(uint256 callerSeed, uint256 holderSeed) public watched(_holder(holderSeed), 1 << 32) {
        address holder = _holder(holderSeed);
        uint256 claimable = share.claimableUsd6(holder);
        if (claimable == 0 || share.payoutOf(holder) == outcast) return;
        uint256 accounted = share.reservoir().accountedUsd6;
        address payout = share.payoutOf(holder);
        uint256 balance = usd.balanceOf(payout);
        vm.prank(_anyone(callerSeed));
        equal(share.claimFor(holder), claimable, "what was claimable is paid");
        equal(usd.balanceOf(payout), balance + claimable, "to its payout address");
        equal(share.reservoir().accountedUsd6, accounted - claimable, "and accounted for no more");
        paid += claimable;
        ++accruals;
    }

    function claimCredits(uint256 callerSeed) public watched(address(0), 0) {
        (uint256 ofOperator, uint256 ofProtocol) = share.credits();
        if (ofOperator != 0 && share.payoutOf(operator) != outcast) {
            vm.prank(_anyone(callerSeed));
            paid += share.claimOperatorCredit();
        }
        if (ofProtocol != 0) {
            vm.prank(_anyone(callerSeed));
            paid += share.claimProtocolCredit();
        }
    }

    function setPayout(uint256 holderSeed, uint256 payoutSeed) public watched(address(0), 0) {
        vm.prank(_holder(holderSeed));
        share.setPayout(payoutSeed % 4 == 0 ? outcast : address(uint160(0xF00D + payoutSeed % 4)));
    }

    function burn(uint256 holderSeed, uint256 unitsSeed) public watched(address(0), (2 << 48) + (1 << 32)) {
        // Mostly a little, so that most histories keep shares; sometimes everything.
        address holder = _holder(holderSeed);
        uint256 units = _some(unitsSeed, unitsSeed % 7 == 0 ? _movable(holder) : _movable(holder) / 100);
        share.burn(holder, uint64(units));
        ++burns;
        ++accruals;
    }

    /// @dev Now and then nearly all shares go: none is left, or a single unit, or a few.
    function burnDown(uint256 seed) public watched(address(0), 5 * ((2 << 48) + (1 << 32))) {
        if (seed % 8 != 0) return;
        uint256[3] memory left = [uint256(0), 1, 1_000];
        for (uint256 i = 0; i < holders.length; ++i) {
            uint256 keep = i == 0 ? left[(seed >> 3) % 3] : 0;
            uint256 balance = share.balanceOf(holders[i]);
            if (balance <= keep) continue;
            share.setFrozenTokens(holders[i], 0);
            share.burn(holders[i], uint64(balance - keep));
            ++burns;
            ++accruals;
        }
    }

    /// @dev What a stranger may try is refused, and changes nothing.
    function trespass(uint256 callerSeed, uint256 victimSeed) public watched(address(0), 0) {
        address caller = address(uint160(bound(callerSeed, 1, type(uint64).max)));
        address victim = _holder(victimSeed);
        bytes[8] memory attempts = [
            abi.encodeCall(share.mint, (caller, 1)),
            abi.encodeCall(share.burn, (victim, 0)),
            abi.encodeCall(share.burnLocked, (victim)),
            abi.encodeCall(share.unlock, (victim)),
            abi.encodeCall(share.fail, ()),
            abi.encodeCall(share.forcedTransfer, (victim, caller, 0)),
            abi.encodeCall(share.setFrozenTokens, (victim, 1)),
            abi.encodeCall(share.transferFrom, (victim, caller, 1))
        ];
        for (uint256 i = 0; i < attempts.length; ++i) {
            vm.prank(caller);
            (bool done,) = address(share).call(attempts[i]);
            holds(!done, "10: refused");
        }
    }

    /// @notice All income is released, and everyone leaves: whoever is not blacklisted is paid to the last unit.
    function everyoneLeaves() public {
        clock += 64 * uint256(share.tauSeconds());
        vm.warp(clock);
        for (uint256 i = 0; i < holders.length; ++i) {
            vm.prank(holders[i]);
            share.setPayout(address(uint160(0xBEEF + i)));
            uint256 claimable = share.claimableUsd6(holders[i]);
            if (claimable == 0) continue;
            equal(share.claimFor(holders[i]), claimable, "8: nobody is held back");
            paid += claimable;
            ++accruals;
        }
        claimCredits(0);
    }

    // Books ------------------------------------------------------------------------------------------

    function dustX48() external view returns (int256 dust) {
        (, dust) = _booksNow();
    }

    /// @notice What all holders could claim now, and the credits.
    function owedUsd6() external view returns (uint256 owed) {
        (uint256 ofOperator, uint256 ofProtocol) = share.credits();
        owed = ofOperator + ofProtocol;
        for (uint256 i = 0; i < holders.length; ++i) {
            owed += share.claimableUsd6(holders[i]);
        }
    }

    function holderCount() external view returns (uint256) {
        return holders.length;
    }

    function heldUnits() external view returns (uint256 held) {
        for (uint256 i = 0; i < holders.length; ++i) {
            held += share.balanceOf(holders[i]);
        }
    }

    /// @dev Each holder's income; and what is accounted for and owed to nobody, atomic units scaled by 2^48, as the twin
    /// defines it.
    function _booksNow() private view returns (uint256[] memory accruedX16, int256 dust) {
        ReservoirState memory state = share.reservoir();
        uint256 index = share.indexX48();
        (uint256 ofOperator, uint256 ofProtocol) = share.credits();
        dust = int256((state.accountedUsd6 - ofOperator - ofProtocol) << 48);
        dust -= int256(uint256(state.pendingX48) * share.totalSupply());
        accruedX16 = new uint256[](holders.length);
        for (uint256 i = 0; i < accruedX16.length; ++i) {
            ShareAccount memory account = share.accountOf(holders[i]);
            accruedX16[i] =
                account.accruedX16 + ((uint256(account.balanceUnits) * (index - account.indexX48)) >> 32);
            dust -= int256(uint256(account.accruedX16) << 32);
            // An account may have accrued past the stored index.
            dust -= int256(uint256(account.balanceUnits))
            * (int256(uint256(state.indexX48)) - int256(uint256(account.indexX48)));
        }
    }

    function _movable(address holder) private view returns (uint256) {
        uint256 balance = share.balanceOf(holder);
        uint256 frozen = share.getFrozenTokens(holder);
        return balance > frozen ? balance - frozen : 0;
    }

    function _holder(uint256 seed) private view returns (address) {
        return holders[seed % holders.length];
    }

    function _anyone(uint256 seed) private view returns (address) {
        return seed % 3 == 0 ? address(0x57A6E4) : _holder(seed);
    }

    /// @dev Nothing, one, all, or something in between.
    function _some(uint256 seed, uint256 most) private pure returns (uint256) {
        if (most == 0 || seed % 5 == 0) return 0;
        if (seed % 5 == 1) return 1;
        if (seed % 5 == 2) return most;
        return bound(seed, 0, most);
    }
}
