// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeId} from "../types/NodeTypes.sol";

interface INodeShare {
    /// Sale: shares are minted and none moves. Live: income streams. Failed: the sale missed its soft cap.
    enum Phase {
        Sale,
        Live,
        Failed
    }

    function phase() external view returns (Phase);
    function node() external view returns (NodeId);
    function asset() external view returns (address);
    function operator() external view returns (address);
    function issuer() external view returns (address);

    // Issuer only ------------------------------------------------------------------------------------
    function mint(address to, uint64 units) external;
    /// Mints shares that cannot leave `to` before `unlock`: the operator's retained ones.
    function mintLocked(address to, uint64 units) external;
    /// Sale -> Live: supply is fixed from here and can only fall.
    function goLive() external;
    /// Sale -> Failed: what reached the share belongs to the operator.
    function fail() external;
    function burn(address from, uint64 units) external;
    function unlock(address account) external;
    /// Burns every locked share of `account`; the units burned.
    function burnLocked(address account) external returns (uint64 units);

    // Income -----------------------------------------------------------------------------------------
    /// Moves new stablecoins into the reservoir; anyone may call. Returns what it accounted.
    function sync() external returns (uint256 syncedUsd6);
    function claim() external returns (uint256 paidUsd6);
    function claimFor(address account) external returns (uint256 paidUsd6);
    /// Pays the operator's credit to its payout address.
    function claimOperatorCredit() external returns (uint256 paidUsd6);
    function claimProtocolCredit() external returns (uint256 paidUsd6);
    function setPayout(address payout) external;
    function payoutOf(address account) external view returns (address);

    function claimableUsd6(address account) external view returns (uint256);
    function unsyncedUsd6() external view returns (uint256);
    function indexX48() external view returns (uint256);
}
