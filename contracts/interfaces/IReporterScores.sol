// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ITelemetryOracle} from "./ITelemetryOracle.sol";

/// @notice What a reporter's revealed observations add up to; one slot.
struct ReporterScore {
    /// Rounds in which its reveal counted and could be compared.
    uint24 rounds;
    /// Sum over these rounds of its distance from what was reported, at most 10,000 basis points each.
    uint40 deviationSumBps;
    /// The last round of the newest batch that names it.
    uint24 scoredUpTo;
}

/// @title How far each reporter is from what the quorum reports.
/// @notice Counted from revealed observations only: who withholds, or cannot measure, gains no rounds and no
/// deviation, so silence shows as few rounds and lies as a high mean. The distance of a round is computed
/// off-chain (wellhead.oracle.deviation), from those reveals alone that the round's report names in its evidence hash:
/// all reporters, and whoever asks them for these reveals, come to the same figure.
///
/// Assumptions: those of the oracle. A quorum of its reporters judges them all, so a lying minority cannot improve its
/// own score nor spoil another's. Nothing here decides about money.
interface IReporterScores {
    /// @param entries As given to `post`.
    event ScoresPosted(
        uint24 indexed fromRound, uint24 indexed toRound, address indexed transmitter, bytes entries
    );

    error ReporterScores_ZeroOracle();
    /// @notice Ranges rise and do not overlap: scoredUpTo < fromRound <= toRound must hold.
    error ReporterScores_RangeNotRising(uint24 fromRound, uint24 toRound, uint24 scoredUpTo);
    /// @notice `toRound` must be final: then every round of the range that was reported was vetoed by now or never.
    error ReporterScores_RoundNotFinal(uint24 toRound);
    /// @notice Entries are whole and some: 28 bytes each.
    error ReporterScores_MalformedEntries(uint256 length);
    /// @notice Reporters must be nonzero and strictly ascend.
    error ReporterScores_ReportersNotAscending(address previous, address reporter);
    /// @notice In a range of `most` rounds nobody reveals in more, nor is named for none.
    error ReporterScores_ImpossibleRounds(address reporter, uint256 rounds, uint256 most);
    /// @notice A round counts for 10,000 basis points at most.
    error ReporterScores_DeviationAboveCap(address reporter, uint256 deviationSumBps, uint256 most);

    /// @notice Adds what a quorum of the oracle's present reporters signed about rounds `fromRound` to `toRound`.
    /// Anyone may transmit it.
    /// @dev Signed is the EIP-712 message `Scores(bytes32 configDigest,uint24 fromRound,uint24 toRound,bytes32
    /// entriesHash)` of the domain ("Wellhead ReporterScores", "1"); configDigest is the oracle's, so what the reporters
    /// of an old configuration signed dies with it; entriesHash = keccak256(entries).
    /// Counted are the rounds of the range that were reported and not vetoed. Rounds that no batch covers stay
    /// uncounted.
    /// @param entries 28 bytes each: reporter (20), rounds (3), sum of deviations in basis points (5); reporters
    /// strictly ascending.
    /// @param signatures As the oracle takes them. Errors: see Quorum.
    function post(uint24 fromRound, uint24 toRound, bytes calldata entries, bytes calldata signatures)
        external;

    /// @notice Zeros for who was never named.
    function scoreOf(address reporter) external view returns (ReporterScore memory);
    /// @notice Mean distance per counted round, basis points, up to 10,000; 0 without a round. Rounds up, against the
    /// reporter.
    function meanDeviationBpsUp(address reporter) external view returns (uint256);
    /// @notice The last round of the newest batch; 0 before the first.
    function scoredUpTo() external view returns (uint24);
    function oracle() external view returns (ITelemetryOracle);
}
