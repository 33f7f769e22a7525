// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Claims at scale: many channels and receivers in one transaction, out of a quarter of the calldata.
/// @notice Periphery over x402's batch settlement, ours or theirs: it needs nothing but the standard's functions. It
/// holds no money and no allowance, has no role anywhere and nothing to configure: whatever it does, anyone could do
/// with the same signatures.
///
/// A batch is bytes without padding, integers big-endian:
///
///     header                           20  receiver authorizer of every row
///                                      20  token
///                                       5  withdrawal delay, seconds
///                                       1  number of receivers
///     then each receiver               20  address
///                                       1  1 to call its `sync` after the money came, else 0
///                                       2  number of its rows
///     then the rows, the first          1  flags, see below
///     receiver's first                 20  payer
///                                    0|20  payer authorizer
///                                    0|32  salt
///                                       w  total claimed
///                                       w  ceiling
///                                64 | 2+n  the payer side's signature of the voucher
///
///     flags, from the lowest bit        2  payer authorizer: 0 none, 1 the payer, 2 given in the row
///                                       1  salt: 0 zero, 1 given in the row
///                                       1  signature: 0 compact, 1 as it is
///                                       4  w - 1, the bytes of an amount
///
/// A compact signature is EIP-2098's: r, then s with the parity of y in its highest bit; it is handed on in the 65 bytes
/// that the standard wants. A smart wallet's goes as it is: two bytes of length, then so many bytes.
///
/// The expansion needs 480 bytes of memory a row, whose price grows with the square: some hundreds of rows are cheap.
interface ISettleRouter {
    /* EVENTS */

    /// @notice Claimed for, not paid: the token or the receiver refused. Anyone may `settle` again later.
    event SettleFailed(address indexed receiver, address indexed token);
    /// @notice The receiver's `sync` failed; what was sent to it is there all the same. Anyone may `sync` again later.
    event SyncFailed(address indexed receiver);

    /* ERRORS */

    /// @notice At the address given to the constructor there is no contract.
    error SettleRouter_NoSettlement(address settlement);
    /// @notice Less gas is left than a receiver's call is promised: it would fail for that alone.
    error SettleRouter_TooLittleGas(uint256 left, uint256 needed);

    /* SETTLE */

    /// @notice Claims every row by `claimWithSignature`, then for each receiver `settle`, then for each that asks for it
    /// `sync`. By anyone. A bad row reverts all, with the settlement's error; a receiver that cannot be paid or synced is
    /// told by an event and stops nobody else. What was claimed already is no error.
    /// @param batch As above; each error of a malformed one (see DenseClaims) tells the offset in it.
    /// @param authorizerSignature The receiver authorizer's over the standard's `ClaimBatch` of all rows in order.
    function claimAndSettle(bytes calldata batch, bytes calldata authorizerSignature) external;

    /* VIEWS */

    /// @notice The settlement contract that this router works with.
    function settlement() external view returns (address);
    /// @notice Gas for each `settle` and `sync`: enough for any honest one, and the most that a hostile one burns.
    function GAS_PER_CALL() external view returns (uint256);
}
