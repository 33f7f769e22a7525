// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IBatchSettlement} from "../../contracts/interfaces/IBatchSettlement.sol";
import {ChannelConfig} from "../../contracts/types/ChannelTypes.sol";
import {BlacklistingDollar, ReentrantDollar} from "../doubles/HostileDollars.sol";
import {NestingCollector} from "../doubles/NestingCollector.sol";
import {SmartWallet} from "../doubles/SmartWallet.sol";
import {Property} from "./Property.sol";

/// @notice Who plays on a BatchSettlement: eight channels of three payers, one of them a smart wallet and one a hostile
/// collector, with three receivers, in two dollars, one that blacklists and one that calls back.
abstract contract SettlementCast is Property {
    uint256 public constant CHANNELS = 8;
    uint256 public constant PARTIES = 3;
    uint256 internal constant AUTHORIZER_KEY = 0xA11CE;
    uint40 internal constant DELAY = 1 hours;

    IBatchSettlement public settlement;
    address[2] public tokens;
    NestingCollector public collector;
    address private wallet;
    // Deriving an address from its key is the dearest thing here: once each.
    address private authorizer = vm.addr(AUTHORIZER_KEY);
    address private person = vm.addr(_key(0));
    address private personsOther = vm.addr(_key(3));
    bytes32[CHANNELS] public id;

    constructor() {
        settlement = IBatchSettlement(shipped("BatchSettlement", ""));
        tokens = [address(new BlacklistingDollar()), address(new ReentrantDollar())];
        collector = new NestingCollector();
        wallet = address(new SmartWallet(vm.addr(_key(1))));
        for (uint256 i; i < CHANNELS; ++i) {
            id[i] = settlement.getChannelId(config(i));
        }
    }

    function config(uint256 channel) public view returns (ChannelConfig memory) {
        uint256 kind = channel % 4;
        bool hostile = _honest(channel) != channel;
        return ChannelConfig({
            payer: payer(channel),
            payerAuthorizer: kind == 0 ? payer(channel) : kind == 3 ? personsOther : address(0),
            receiver: receiver(channel),
            receiverAuthorizer: hostile ? address(collector) : authorizer,
            token: tokens[channel % 2],
            withdrawDelay: DELAY,
            salt: bytes32(channel / 4)
        });
    }

    /// Of channels 0 and 4 a person, of 1 and 5 the wallet, of 2 and 6 the collector, of 3 and 7 the person by another key.
    function payer(uint256 channel) public view returns (address) {
        uint256 kind = channel % 4;
        return kind == 1 ? wallet : kind == 2 ? address(collector) : person;
    }

    function receiver(uint256 channel) public view returns (address) {
        return _receiver(channel % PARTIES);
    }

    /// @dev Receivers get dollars by settling only; the hostile channels' authorizer is not theirs.
    function _receiver(uint256 index) internal pure returns (address) {
        return address(uint160(0xB0000 + index));
    }

    /// @dev The channel itself, or an honest one where its receiver authorizer is the collector.
    function _honest(uint256 channel) internal pure returns (uint256) {
        return channel % 4 == 2 ? channel - 1 : channel;
    }

    function _voucher(uint256 channel, uint128 ceiling, uint256 key) internal view returns (bytes memory) {
        bytes memory signature = _sign(key, settlement.getVoucherDigest(id[channel], ceiling));
        if (payer(channel) == wallet) return bytes.concat(hex"77", signature);
        return signature;
    }

    function _signer(uint256 channel) internal pure returns (uint256) {
        return _key(channel % 4);
    }

    function _sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _key(uint256 index) internal pure returns (uint256) {
        return 0xB0B + index;
    }
}
