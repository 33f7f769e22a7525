// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {EIP712} from "solady/src/utils/EIP712.sol";
import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";

import {IReporterScores, ReporterScore} from "../interfaces/IReporterScores.sol";
import {ITelemetryOracle} from "../interfaces/ITelemetryOracle.sol";

/// @notice See IReporterScores. A batch writes one slot, and one per reporter that it names.
contract ReporterScores is IReporterScores, EIP712 {
    bytes32 private constant SCORES_TYPEHASH =
        keccak256("Scores(bytes32 configDigest,uint24 fromRound,uint24 toRound,bytes32 entriesHash)");

    uint256 private constant ENTRY_BYTES = 28;
    uint256 private constant MAX_DEVIATION_BPS = 10_000;

    /// @inheritdoc IReporterScores
    ITelemetryOracle public immutable oracle;

    /// @inheritdoc IReporterScores
    uint24 public scoredUpTo;
    mapping(address reporter => ReporterScore) private _scores;

    constructor(ITelemetryOracle oracle_) {
        require(address(oracle_) != address(0), ReporterScores_ZeroOracle());
        oracle = oracle_;
    }

    /* SCORES */

    /// @inheritdoc IReporterScores
    function post(uint24 fromRound, uint24 toRound, bytes calldata entries, bytes calldata signatures)
        external
    {
        // Check: rounds that were not scored before, signed by the reporters, decided for good.
        uint24 scored = scoredUpTo;
        require(
            scored < fromRound && fromRound <= toRound,
            ReporterScores_RangeNotRising(fromRound, toRound, scored)
        );
        bytes32 digest = oracle.configDigest();
        bytes32 message = _hashTypedData(
            keccak256(abi.encode(SCORES_TYPEHASH, digest, fromRound, toRound, keccak256(entries)))
        );
        oracle.requireQuorum(message, signatures);
        require(oracle.isFinal(toRound), ReporterScores_RoundNotFinal(toRound));

        // Effect: the range is scored, every reporter that is named gains.
        scoredUpTo = toRound;
        _add(entries, toRound - fromRound + 1, toRound);
        emit ScoresPosted(fromRound, toRound, msg.sender, entries);
    }

    /// @inheritdoc IReporterScores
    function scoreOf(address reporter) external view returns (ReporterScore memory) {
        return _scores[reporter];
    }

    /// @inheritdoc IReporterScores
    function meanDeviationBpsUp(address reporter) external view returns (uint256) {
        ReporterScore memory score = _scores[reporter];
        return score.rounds == 0 ? 0 : FixedPointMathLib.divUp(score.deviationSumBps, score.rounds);
    }

    /* INTERNAL */

    function _add(bytes calldata entries, uint256 mostRounds, uint24 toRound) private {
        uint256 length = entries.length;
        require(length != 0 && length % ENTRY_BYTES == 0, ReporterScores_MalformedEntries(length));
        address previous = address(0);
        for (uint256 offset; offset < length; offset += ENTRY_BYTES) {
            // Check: reporters ascend, each with what the range allows.
            address reporter = address(bytes20(entries[offset:offset + 20]));
            uint24 rounds = uint24(bytes3(entries[offset + 20:offset + 23]));
            uint40 sumBps = uint40(bytes5(entries[offset + 23:offset + ENTRY_BYTES]));
            require(reporter > previous, ReporterScores_ReportersNotAscending(previous, reporter));
            require(
                rounds != 0 && rounds <= mostRounds,
                ReporterScores_ImpossibleRounds(reporter, rounds, mostRounds)
            );
            uint256 mostBps = rounds * MAX_DEVIATION_BPS;
            require(sumBps <= mostBps, ReporterScores_DeviationAboveCap(reporter, sumBps, mostBps));
            previous = reporter;

            // Effect: no sum outgrows its field, as ranges never overlap: at most 2^24 - 1 rounds in all, and
            // that times 10,000 is below 2^38.
            ReporterScore storage score = _scores[reporter];
            (score.rounds, score.deviationSumBps, score.scoredUpTo) =
            (score.rounds + rounds, score.deviationSumBps + sumBps, toRound);
        }
    }

    function _domainNameAndVersion() internal pure override returns (string memory, string memory) {
        return ("Wellhead ReporterScores", "1");
    }
}
