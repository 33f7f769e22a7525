// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IBatchSettlement} from "../../contracts/interfaces/IBatchSettlement.sol";
import {ISettleRouter} from "../../contracts/interfaces/ISettleRouter.sol";
import {ChannelConfig, Voucher, VoucherClaim} from "../../contracts/types/ChannelTypes.sol";
import {HostileCollector} from "../doubles/HostileCollector.sol";
import {BlacklistingDollar} from "../doubles/HostileDollars.sol";
import {SmartWallet} from "../doubles/SmartWallet.sol";
import {Property} from "./Property.sol";

/// @notice The same claims by `claim`, taken back, and then through the router: the same end, the same refusals. The
/// dense batch is written naively here, in widths of amounts that may be more than needed.
contract SettleRouterProperties is Property {
    uint256 private constant CHANNELS = 6;
    uint256 private constant RECEIVERS = 3;
    uint256 private constant AUTHORIZER_KEY = 0xA11CE;
    uint128 private constant BALANCE = 1_000;

    struct Row {
        uint256 channel;
        uint128 total;
        uint128 ceiling;
        uint256 flaw;
        uint256 width;
    }

    /// How it ended, here and for all that it moved.
    struct End {
        bytes refusal;
        uint128[2][CHANNELS] channels;
        uint128[2][RECEIVERS] receivers;
        uint256 left;
    }

    IBatchSettlement private settlement;
    ISettleRouter private router;
    BlacklistingDollar private usd;
    address private wallet;
    address private authorizer = vm.addr(AUTHORIZER_KEY);
    // Deriving addresses from keys is what takes time here, and signing: once each.
    ChannelConfig[CHANNELS] private configs;
    bytes32[CHANNELS] private ids;

    function setUp() public {
        settlement = IBatchSettlement(shipped("BatchSettlement", ""));
        router = ISettleRouter(shipped("SettleRouter", abi.encode(settlement)));
        usd = new BlacklistingDollar();
        wallet = address(new SmartWallet(vm.addr(_key(2))));
        HostileCollector collector = new HostileCollector();
        collector.set(BALANCE, address(0), "");
        for (uint256 i; i < CHANNELS; ++i) {
            configs[i] = _config(i);
            ids[i] = settlement.getChannelId(configs[i]);
            settlement.deposit(configs[i], BALANCE, address(collector), "");
        }
    }

    function testFuzz_TheRouterDoesWhatClaimDoes(uint256 seed) public {
        usd.setBlacklisted(_receiver(_draw(seed, "blacklisted") % (2 * RECEIVERS)), true);
        for (uint256 batch; batch < 2; ++batch) {
            Row[] memory rows = _rows(_draw(seed, batch));
            VoucherClaim[] memory claims = _claims(rows);
            uint256 before = vm.snapshotState();
            End memory direct = _end(_claimDirectly(claims));
            holds(vm.revertToState(before), "taken back");
            End memory routed = _end(_route(rows, claims));
            holds(
                keccak256(direct.refusal) == keccak256(routed.refusal), "refused by one alone, or otherwise"
            );
            _compare(direct, routed);
            equal(usd.balanceOf(address(router)), 0, "left in the router");
        }
    }

    /* BOTH WAYS */

    function _claimDirectly(VoucherClaim[] memory claims) private returns (bytes memory refusal) {
        vm.prank(authorizer);
        try settlement.claim(claims) {}
        catch (bytes memory reason) {
            return reason;
        }
        for (uint256 i; i < claims.length; ++i) {
            try settlement.settle(claims[i].voucher.channel.receiver, address(usd)) {} catch {}
        }
    }

    function _route(Row[] memory rows, VoucherClaim[] memory claims) private returns (bytes memory refusal) {
        bytes memory signature = _sign(AUTHORIZER_KEY, settlement.getClaimBatchDigest(claims));
        try router.claimAndSettle(_dense(rows, claims), signature) {}
        catch (bytes memory reason) {
            return reason;
        }
    }

    function _end(bytes memory refusal) private view returns (End memory end) {
        end.refusal = refusal;
        for (uint256 i; i < CHANNELS; ++i) {
            (end.channels[i][0], end.channels[i][1]) = settlement.channels(ids[i]);
        }
        for (uint256 i; i < RECEIVERS; ++i) {
            (end.receivers[i][0], end.receivers[i][1]) = settlement.receivers(_receiver(i), address(usd));
        }
        end.left = usd.balanceOf(address(settlement));
    }

    function _compare(End memory direct, End memory routed) private pure {
        for (uint256 i; i < CHANNELS; ++i) {
            equal(direct.channels[i][0], routed.channels[i][0], "balance");
            equal(direct.channels[i][1], routed.channels[i][1], "totalClaimed");
        }
        for (uint256 i; i < RECEIVERS; ++i) {
            equal(direct.receivers[i][0], routed.receivers[i][0], "claimed for the receiver");
            equal(direct.receivers[i][1], routed.receivers[i][1], "settled to the receiver");
        }
        equal(direct.left, routed.left, "left in the settlement");
    }

    /* ROWS */

    /// @dev Most are good; the one batch in three that has a flaw has it anywhere.
    function _rows(uint256 seed) private pure returns (Row[] memory rows) {
        rows = new Row[](1 + _draw(seed, "count") % 4);
        for (uint256 i; i < rows.length; ++i) {
            uint256 drawn = _draw(seed, i);
            rows[i].channel = drawn % CHANNELS;
            rows[i].total = uint128(_draw(drawn, "total") % (BALANCE + 1));
            rows[i].ceiling = rows[i].total + uint128(_draw(drawn, "ceiling") % 300);
            rows[i].width = 2 + _draw(drawn, "width") % 15;
        }
        if (_draw(seed, "flawed") % 3 != 0) return rows;
        Row memory flawed = rows[_draw(seed, "which") % rows.length];
        flawed.flaw = 1 + _draw(seed, "flaw") % 7;
        if (flawed.flaw == 1) flawed.ceiling = flawed.total / 2;
        if (flawed.flaw == 2) (flawed.total, flawed.ceiling) = (BALANCE + 1, BALANCE + 1);
    }

    function _claims(Row[] memory rows) private view returns (VoucherClaim[] memory claims) {
        claims = new VoucherClaim[](rows.length);
        for (uint256 i; i < rows.length; ++i) {
            claims[i].voucher = Voucher(configs[rows[i].channel], rows[i].ceiling);
            claims[i].totalClaimed = rows[i].total;
            bytes32 digest = settlement.getVoucherDigest(ids[rows[i].channel], rows[i].ceiling);
            claims[i].signature = _voucherSignature(rows[i], digest);
        }
    }

    function _voucherSignature(Row memory row, bytes32 digest) private view returns (bytes memory signature) {
        uint256 key = row.flaw == 3 ? AUTHORIZER_KEY : _signer(row.channel);
        signature = _sign(key, digest);
        if (configs[row.channel].payer == wallet) signature = bytes.concat(hex"77", signature);
        if (row.flaw == 4) signature = "";
        if (row.flaw == 5) signature = bytes.concat(signature, hex"00");
        if (row.flaw == 6) signature[signature.length - 1] = bytes1(uint8(1));
        if (row.flaw == 7) signature[7] = ~signature[7];
    }

    function _config(uint256 channel) private view returns (ChannelConfig memory config) {
        uint256 payer = channel % 3;
        config.payer = payer == 2 ? wallet : vm.addr(_key(payer));
        // Itself, another, or none; a wallet's vouchers are judged by the wallet.
        if (channel % 3 == 0) config.payerAuthorizer = config.payer;
        if (channel % 3 == 1) config.payerAuthorizer = vm.addr(_key(7));
        config.receiver = _receiver(channel / 2);
        config.receiverAuthorizer = authorizer;
        config.token = address(usd);
        config.withdrawDelay = 1 days;
        if (channel > 2) config.salt = keccak256(abi.encode(channel));
    }

    function _signer(uint256 channel) private pure returns (uint256) {
        return _key(channel % 3 == 1 ? 7 : channel % 3);
    }

    /* THE DENSE FORM, NAIVELY */

    function _dense(Row[] memory rows, VoucherClaim[] memory claims) private view returns (bytes memory) {
        bytes memory table;
        bytes memory body;
        uint8 receivers;
        uint16 run;
        for (uint256 i; i < rows.length; ++i) {
            ++run;
            body = bytes.concat(body, _denseRow(rows[i].width, claims[i]));
            address receiver = claims[i].voucher.channel.receiver;
            if (i + 1 < rows.length && claims[i + 1].voucher.channel.receiver == receiver) continue;
            table = bytes.concat(table, abi.encodePacked(receiver, uint8(i % 2), run));
            (receivers, run) = (receivers + 1, 0);
        }
        return bytes.concat(abi.encodePacked(authorizer, usd, uint40(1 days), receivers), table, body);
    }

    function _denseRow(uint256 width, VoucherClaim memory claim) private pure returns (bytes memory row) {
        ChannelConfig memory config = claim.voucher.channel;
        uint256 flags = (width - 1) << 4;
        row = abi.encodePacked(config.payer);
        if (config.payerAuthorizer == config.payer) {
            flags |= 1;
        } else if (config.payerAuthorizer != address(0)) {
            flags |= 2;
            row = abi.encodePacked(row, config.payerAuthorizer);
        }
        if (config.salt != 0) {
            flags |= 4;
            row = abi.encodePacked(row, config.salt);
        }
        row =
            bytes.concat(row, _low(claim.totalClaimed, width), _low(claim.voucher.maxClaimableAmount, width));
        (bool compact, bytes memory signature) = _compact(claim.signature);
        if (!compact) {
            flags |= 8;
            signature = abi.encodePacked(uint16(claim.signature.length), claim.signature);
        }
        return abi.encodePacked(uint8(flags), row, signature);
    }

    function _compact(bytes memory signature) private pure returns (bool, bytes memory) {
        if (signature.length != 65) return (false, "");
        bytes32 r;
        uint256 s;
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
        }
        uint8 v = uint8(signature[64]);
        if (s >> 255 != 0 || v < 27 || v > 28) return (false, "");
        return (true, abi.encodePacked(r, s | uint256(v - 27) << 255));
    }

    /// @dev The lowest `width` bytes of an amount that has no others.
    function _low(uint256 amount, uint256 width) private pure returns (bytes memory low) {
        low = new bytes(width);
        for (uint256 i; i < width; ++i) {
            low[width - 1 - i] = bytes1(uint8(amount >> (8 * i)));
        }
    }

    /* CAST */

    function _receiver(uint256 index) private pure returns (address) {
        return address(uint160(0xB0000 + index));
    }

    function _key(uint256 index) private pure returns (uint256) {
        return 0xB0B + index;
    }

    function _sign(uint256 key, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _draw(uint256 seed, uint256 what) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, what)));
    }

    function _draw(uint256 seed, string memory what) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, what)));
    }
}
