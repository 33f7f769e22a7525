// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PlainUSD} from "../../contracts/bench/PlainUSD.sol";
import {ChannelConfig, Voucher, VoucherClaim} from "../../contracts/types/ChannelTypes.sol";
import {BlacklistingDollar, ReentrantDollar} from "../doubles/HostileDollars.sol";
import {SettlementCast} from "./SettlementCast.sol";

/// @notice Plays all channels of the cast at once. Ghosts count what was promised and what moved.
contract SettlementHandler is SettlementCast {
    uint128 private constant MOST = 1e12;

    /// What the ghosts know of a channel.
    struct Ghost {
        uint256 deposited;
        uint256 givenBack;
        uint256 claimed;
        uint256 highestCeiling;
        uint256 asked;
        uint256 askedAt;
    }

    mapping(uint256 channel => Ghost) internal ghosts;
    mapping(uint256 token => uint256) public donated;
    /// Claims that went through once, to be played again.
    VoucherClaim[] private _played;

    /// @dev Forge forgets a warp between the calls of a sequence.
    uint256 private _now = 1_800_000_000;

    modifier timed() {
        vm.warp(_now);
        _;
    }

    /* DEPOSIT */

    function deposit(uint256 channel, uint256 amount) public timed {
        channel %= CHANNELS;
        amount = bound(amount, 1, MOST);
        collector.set(amount, 0, address(0), "");
        settlement.deposit(config(channel), uint128(amount), address(collector), "");
        ghosts[channel].deposited += amount;
    }

    /// @dev The collector, which is payer and receiver side of some channels, comes back while it should collect: nothing that
    /// it tries may work, and only what it really brings may count.
    function depositHostilely(uint256 channel, uint256 amount, uint256 brings, uint256 nested, uint256 how)
        external
        timed
    {
        channel %= CHANNELS;
        amount = bound(amount, 1, MOST);
        brings = how % 3 == 0 ? 0 : how % 3 == 1 ? amount : bound(brings, 0, MOST);
        collector.set(brings, bound(nested, 0, MOST), address(settlement), _attack(channel, amount, how / 3));
        try settlement.deposit(config(channel), uint128(amount), address(collector), "") {
            holds(!collector.cameBack(), "came back into a deposit");
            equal(brings, amount, "deposited without the money");
            ghosts[channel].deposited += amount;
        } catch {
            holds(brings != amount, "an honest deposit refused");
        }
    }

    function _attack(uint256 channel, uint256 amount, uint256 how) private view returns (bytes memory) {
        ChannelConfig memory own = config(2); // the collector's own
        how %= 6;
        if (how == 0) {
            return
                abi.encodeCall(settlement.deposit, (config(channel), uint128(amount), address(collector), ""));
        }
        if (how == 1) {
            bytes[] memory calls = new bytes[](1);
            calls[0] = abi.encodeCall(settlement.deposit, (own, uint128(amount), address(collector), ""));
            return abi.encodeCall(settlement.multicall, (calls));
        }
        if (how == 2) return abi.encodeCall(settlement.refund, (own, uint128(amount)));
        if (how == 3) return abi.encodeCall(settlement.initiateWithdraw, (own, uint128(1)));
        if (how == 4) return abi.encodeCall(settlement.finalizeWithdraw, (own));
        return abi.encodeCall(settlement.settle, (receiver(channel), config(channel).token));
    }

    /* CLAIM */

    /// @dev As honest as a receiver is: up to the balance, on a voucher of at least that.
    function claim(uint256 channel, uint256 total, uint256 above, uint256 by) external timed {
        channel %= CHANNELS;
        VoucherClaim[] memory rows = new VoucherClaim[](1);
        rows[0] = _row(channel, total, above);
        vm.prank(by % 2 == 0 ? config(channel).receiverAuthorizer : receiver(channel));
        settlement.claim(rows);
        _count(channel, rows[0]);
    }

    /// @dev Rows of several channels in any order, some of them twice, under one signature that anyone brings.
    function claimBatch(uint256 seed, uint256 count) external timed {
        count = bound(count, 1, 6);
        VoucherClaim[] memory rows = new VoucherClaim[](count);
        uint256[] memory places = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            places[i] = _honest(seed % CHANNELS);
            rows[i] = _row(places[i], seed >> 8, seed >> 128);
        }
        settlement.claimWithSignature(rows, _sign(AUTHORIZER_KEY, settlement.getClaimBatchDigest(rows)));
        for (uint256 i; i < count; ++i) {
            _count(places[i], rows[i]);
        }
    }

    /// @dev What went through once changes nothing the next time.
    function replay(uint256 index) external timed {
        if (_played.length == 0) return;
        VoucherClaim[] memory rows = new VoucherClaim[](1);
        rows[0] = _played[index % _played.length];
        vm.prank(rows[0].voucher.channel.receiver);
        settlement.claim(rows);
    }

    /// @dev Every claim that must not go through, by who may claim.
    function overclaim(uint256 channel, uint256 by) external timed {
        channel = _honest(channel % CHANNELS);
        (uint128 balance,) = settlement.channels(id[channel]);
        VoucherClaim memory row = _row(channel, balance, 0);
        if (ghosts[channel].claimed < balance) {
            row.voucher.maxClaimableAmount =
                balance - uint128(bound(by, 1, balance - ghosts[channel].claimed));
            row.signature = _voucher(channel, row.voucher.maxClaimableAmount, _signer(channel));
            _refusedClaim(channel, row, "above the ceiling");
            row.voucher.maxClaimableAmount = balance;
            _refusedClaim(channel, row, "above the ceiling that was signed");
            row.signature = _voucher(channel, balance, AUTHORIZER_KEY);
            _refusedClaim(channel, row, "signed by somebody else");
        }
        (row.totalClaimed, row.voucher.maxClaimableAmount) = (balance + 1, balance + 1);
        row.signature = _voucher(channel, balance + 1, _signer(channel));
        _refusedClaim(channel, row, "above the balance");
    }

    function settle(uint256 who, uint256 token) public timed {
        (address account, address usd) = (_receiver(who % PARTIES), tokens[token % 2]);
        (uint128 total, uint128 settled) = settlement.receivers(account, usd);
        bool blocked = token % 2 == 0 && total != settled && _blacklisted(account);
        uint256 before = PlainUSD(usd).balanceOf(account);
        try settlement.settle(account, usd) {
            holds(!blocked, "a blacklisted receiver paid");
            equal(PlainUSD(usd).balanceOf(account) - before, total - settled, "settled");
        } catch {
            holds(blocked, "settling refused");
        }
    }

    /* BACK TO THE PAYER */

    function refund(uint256 channel, uint256 amount, bool signed) external timed {
        channel %= CHANNELS;
        amount = bound(amount, 1, MOST);
        Ghost storage ghost_ = ghosts[channel];
        uint256 due = _min(amount, _available(channel));
        bytes memory call_ = abi.encodeCall(settlement.refund, (config(channel), uint128(amount)));
        if (signed && _honest(channel) == channel) {
            uint256 nonce = settlement.refundNonce(id[channel]);
            bytes32 digest = settlement.getRefundDigest(id[channel], nonce, uint128(amount));
            call_ = abi.encodeCall(
                settlement.refundWithSignature,
                (config(channel), uint128(amount), nonce, _sign(AUTHORIZER_KEY, digest))
            );
        }
        if (!_paysBack(channel, receiver(channel), call_, due)) return;
        ghost_.asked -= _min(ghost_.asked, due);
        if (ghost_.asked == 0 && due != 0) ghost_.askedAt = 0;
    }

    function initiate(uint256 channel, uint256 amount) public timed {
        channel %= CHANNELS;
        if (ghosts[channel].askedAt != 0 || _available(channel) == 0) return;
        amount = bound(amount, 1, _available(channel));
        vm.prank(payer(channel));
        settlement.initiateWithdraw(config(channel), uint128(amount));
        (ghosts[channel].asked, ghosts[channel].askedAt) = (amount, _now);
    }

    function finalize(uint256 channel) public timed {
        channel %= CHANNELS;
        Ghost storage ghost_ = ghosts[channel];
        if (ghost_.askedAt == 0 || _now < ghost_.askedAt + DELAY) return;
        uint256 due = _min(ghost_.asked, _available(channel));
        bytes memory call_ = abi.encodeCall(settlement.finalizeWithdraw, (config(channel)));
        if (_paysBack(channel, payer(channel), call_, due)) (ghost_.asked, ghost_.askedAt) = (0, 0);
    }

    /// @dev Makes a call that owes the payer `due`: it goes through and pays that, unless the dollar refuses the payer.
    function _paysBack(uint256 channel, address caller, bytes memory call_, uint256 due)
        private
        returns (bool done)
    {
        PlainUSD usd = PlainUSD(config(channel).token);
        address to = payer(channel);
        bool blocked = channel % 2 == 0 && due != 0 && _blacklisted(to);
        uint256 before = usd.balanceOf(to);
        vm.prank(caller);
        (done,) = address(settlement).call(call_);
        holds(done != blocked, "paid back unless blacklisted");
        if (!done) return false;
        equal(usd.balanceOf(to) - before, due, "paid back");
        ghosts[channel].givenBack += due;
    }

    /* THE WORLD */

    function blacklist(uint256 who, bool on) external {
        address[6] memory people = [payer(0), payer(1), payer(2), _receiver(0), _receiver(1), _receiver(2)];
        BlacklistingDollar(tokens[0]).setBlacklisted(people[who % 6], on);
    }

    /// @dev From now on the other dollar calls back in the middle of every transfer.
    function arm(uint256 who, uint256 channel, uint256 how) external {
        bytes memory settling = abi.encodeCall(settlement.settle, (_receiver(who % PARTIES), tokens[1]));
        bytes memory finalizing = abi.encodeCall(settlement.finalizeWithdraw, (config(channel % CHANNELS)));
        bytes[3] memory calls = [bytes(""), settling, finalizing];
        ReentrantDollar(tokens[1]).setCalls(address(settlement), calls[how % 3], calls[how / 3 % 3]);
    }

    function donate(uint256 token, uint256 amount) external {
        amount = bound(amount, 0, MOST);
        PlainUSD(tokens[token % 2]).mint(address(settlement), amount);
        donated[token % 2] += amount;
    }

    function pass(uint256 howLong) external {
        _now += bound(howLong, 1, 2 * DELAY);
    }

    /// @dev Nobody else has a say over a channel, at any time.
    function meddle(uint256 channel, uint256 who) external timed {
        channel = _honest(channel % CHANNELS);
        ChannelConfig memory config_ = config(channel);
        address stranger = address(uint160(0xBAD + who % 3));
        uint256 nonce = settlement.refundNonce(id[channel]);
        bytes memory old = _sign(AUTHORIZER_KEY, settlement.getRefundDigest(id[channel], nonce + 1, 1));
        VoucherClaim[] memory rows = new VoucherClaim[](1);
        rows[0] = _row(channel, type(uint128).max, 0);
        bytes memory forged = _sign(_key(0), settlement.getClaimBatchDigest(rows));
        vm.startPrank(stranger);
        _refused(abi.encodeCall(settlement.refund, (config_, 1)), "a stranger refunds");
        _refused(abi.encodeCall(settlement.initiateWithdraw, (config_, 1)), "a stranger withdraws");
        _refused(abi.encodeCall(settlement.finalizeWithdraw, (config_)), "a stranger finalizes");
        _refused(abi.encodeCall(settlement.refundWithSignature, (config_, 1, nonce, old)), "another nonce");
        _refused(abi.encodeCall(settlement.claim, (rows)), "a stranger claims");
        _refused(abi.encodeCall(settlement.claimWithSignature, (rows, forged)), "nobody's signature");
        vm.stopPrank();
    }

    /* THE END OF A RUN */

    /// @dev Whoever the dollar does not refuse leaves whatever the others do; the others once it lets them.
    function everyoneLeaves() external {
        _leave();
        for (uint256 i; i < PARTIES; ++i) {
            BlacklistingDollar(tokens[0]).setBlacklisted(payer(i), false);
            BlacklistingDollar(tokens[0]).setBlacklisted(_receiver(i), false);
        }
        _leave();
    }

    function _leave() private {
        for (uint256 i; i < CHANNELS; ++i) {
            initiate(i, _available(i));
        }
        _now += DELAY;
        for (uint256 i; i < CHANNELS; ++i) {
            finalize(i);
            initiate(i, _available(i)); // what a smaller withdrawal left
        }
        _now += DELAY;
        for (uint256 i; i < CHANNELS; ++i) {
            finalize(i);
            settle(i / 2, i);
        }
    }

    /* READING */

    function givenBack(uint256 channel) external view returns (uint256) {
        return ghosts[channel].givenBack;
    }

    /* INTERNAL */

    function _row(uint256 channel, uint256 total, uint256 above)
        private
        view
        returns (VoucherClaim memory row)
    {
        (uint128 balance,) = settlement.channels(id[channel]);
        total = bound(total, 0, balance);
        uint128 ceiling = uint128(total + bound(above, 0, MOST));
        row = VoucherClaim(
            Voucher(config(channel), ceiling), _voucher(channel, ceiling, _signer(channel)), uint128(total)
        );
    }

    function _count(uint256 channel, VoucherClaim memory row) private {
        Ghost storage ghost_ = ghosts[channel];
        if (row.voucher.maxClaimableAmount > ghost_.highestCeiling) {
            ghost_.highestCeiling = row.voucher.maxClaimableAmount;
        }
        if (row.totalClaimed > ghost_.claimed) ghost_.claimed = row.totalClaimed;
        if (_played.length < 16) _played.push(row);
    }

    function _available(uint256 channel) internal view returns (uint256) {
        Ghost storage ghost_ = ghosts[channel];
        return ghost_.deposited - ghost_.givenBack - ghost_.claimed;
    }

    function _blacklisted(address account) private view returns (bool) {
        return BlacklistingDollar(tokens[0]).blacklisted(account);
    }

    function _refusedClaim(uint256 channel, VoucherClaim memory row, string memory what) private {
        VoucherClaim[] memory rows = new VoucherClaim[](1);
        rows[0] = row;
        vm.prank(receiver(channel));
        _refused(abi.encodeCall(settlement.claim, (rows)), what);
    }

    function _refused(bytes memory call_, string memory what) private {
        (bool done,) = address(settlement).call(call_);
        holds(!done, what);
    }

    function _min(uint256 left, uint256 right) private pure returns (uint256) {
        return left < right ? left : right;
    }
}
