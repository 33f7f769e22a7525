// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {GpuClass, NodeId} from "../types/NodeTypes.sol";

/// @title Who runs what: nodes, the attestation of their specs, their bonds and their life cycle.
///
///     register        attest         activate             suspend
/// None ──────► Registered ──────► Attested ──────► Active ──────► Suspended ──► Active | Attested
///                   └───────────────┴────────────────┴────────────────┴──────► Retired, for good
///
/// @notice A spec never changes: a node with other hardware is registered anew.
/// Pausing stops what brings money in (registering, depositing a bond), never what lets it out.
interface INodeRegistry {
    enum Status {
        None,
        Registered,
        Attested,
        Active,
        Suspended,
        Retired
    }

    /// What an operator states of a node; the full spec is JSON, addressed by `specHash`.
    struct NodeSpec {
        GpuClass gpuClass;
        uint8 gpuCount;
        /// ISO 3166-2, left-aligned ASCII, e.g. "US-TX".
        bytes8 region;
        uint32 powerWatts;
        /// Promised availability in basis points, at most 10,000.
        uint16 slaBps;
        /// sha256 of the canonical JSON spec.
        bytes32 specHash;
    }

    struct Node {
        address operator;
        Status status;
        NodeSpec spec;
        uint40 registeredAt;
        uint64 bondUsd6;
        /// Retiring waits until this time (service term of a sale, later leases).
        uint40 committedUntil;
        /// Open obligations that forbid retiring: undecided sales, later running leases.
        uint16 holds;
    }

    /* EVENTS */

    event RegisterNode(
        NodeId indexed node, address indexed operator, bytes32 indexed specHash, NodeSpec spec, string specUri
    );
    /// @param caller Who brought the attestors' signatures.
    event AttestNode(NodeId indexed node, address indexed caller, bytes32 configDigest, bytes32 specDigest);
    event ActivateNode(NodeId indexed node, address indexed operator);
    /// @param byGuardian The guardian suspended, so the guardian alone may resume.
    event SuspendNode(NodeId indexed node, address indexed caller, bool byGuardian);
    /// @notice The guardian lifted its suspension: the node is Attested again.
    event ResumeNode(NodeId indexed node, address indexed guardian);
    event RetireNode(NodeId indexed node, address indexed operator);

    event DepositBond(NodeId indexed node, address indexed payer, uint64 amountUsd6, uint64 bondUsd6);
    event RequestBondWithdrawal(
        NodeId indexed node, address indexed operator, uint64 amountUsd6, uint40 withdrawableAt
    );
    event WithdrawBond(
        NodeId indexed node, address indexed operator, address indexed to, uint64 amountUsd6, uint64 bondUsd6
    );

    event HoldNode(NodeId indexed node, address indexed market, uint16 holds);
    event ReleaseNode(NodeId indexed node, address indexed market, uint16 holds);
    event CommitNode(NodeId indexed node, address indexed market, uint40 committedUntil);

    event SetMarket(address indexed market, bool named);
    event SetAttestors(bytes32 indexed configDigest, address[] attestors, uint8 faulty);

    /* ERRORS */

    /// @notice A constructor argument is out of its bounds.
    error NodeRegistry_BondPerGpuTooHigh(uint64 bondUsd6PerGpu, uint64 limitUsd6PerGpu);
    error NodeRegistry_BondDelayOutOfBounds(uint32 delaySeconds, uint32 least, uint32 most);
    error NodeRegistry_NotOperator(NodeId node, address caller);
    /// @notice Neither the node's operator nor the guardian.
    error NodeRegistry_MayNotSuspend(NodeId node, address caller);
    /// @notice Neither a market named by the owner nor one whose hold on the node is still open.
    error NodeRegistry_NotMarket(NodeId node, address caller);
    /// @notice The node's status does not allow this. 0: there is no such node, 1 registered, 2 attested, 3 active,
    /// 4 suspended, 5 retired.
    error NodeRegistry_WrongStatus(NodeId node, Status status);
    /// @notice The guardian suspended this node, so its operator cannot resume it.
    error NodeRegistry_SuspendedByGuardian(NodeId node);
    error NodeRegistry_SpecUriTooLong(uint256 lengthBytes, uint256 limitBytes);
    error NodeRegistry_BondTooLow(NodeId node, uint256 bondUsd6, uint256 requiredUsd6);
    /// @notice The token moved another amount than it was told to; tokens that take a fee are not supported.
    error NodeRegistry_WrongAmountReceived(uint256 receivedUsd6, uint256 expectedUsd6);
    error NodeRegistry_NoWithdrawalRequested(NodeId node);
    error NodeRegistry_WithdrawalNotYet(NodeId node, uint40 withdrawableAt);
    error NodeRegistry_ZeroReceiver();
    error NodeRegistry_NothingHeld(NodeId node, address market);
    error NodeRegistry_Held(NodeId node, uint16 holds);
    error NodeRegistry_Committed(NodeId node, uint40 committedUntil);

    /* LIFE CYCLE */

    /// @notice Registers a node; the caller becomes its operator, for good. Anyone, unless paused.
    /// @param specUri Where the JSON spec is found, at most 4,096 bytes; only the event keeps it, as
    /// `specHash` already says what it must hold.
    /// @return node Numbers count from 1.
    function register(NodeSpec calldata spec, string calldata specUri) external returns (NodeId node);

    /// @notice Registered -> Attested, by `k` attestors' EIP-712 signatures over
    /// `Attestation(bytes32 configDigest,uint32 node,bytes32 specDigest)`; anyone may bring them.
    /// @param signatures 64 bytes each (EIP-2098), in ascending order of their signers.
    function attest(NodeId node, bytes calldata signatures) external;

    /// @notice Operator only. Attested -> Active, or back from a suspension of the operator's own; the bond
    /// must reach `requiredBondUsd6`.
    function activate(NodeId node) external;

    /// @notice Attested or Active -> Suspended, by the operator or the guardian. The guardian may also take
    /// over a suspension by the operator. Who suspended decides who may resume.
    function suspend(NodeId node) external;

    /// @notice Guardian only: lifts the guardian's suspension. The node is Attested again, and its operator
    /// may activate it.
    function resume(NodeId node) external;

    /// @notice Operator only, from any status, final. Reverts while a market holds the node and before
    /// `committedUntil`. The whole bond may then be withdrawn.
    function retire(NodeId node) external;

    /* BOND */

    /// @notice Adds the caller's stablecoins to the node's bond; they belong to its operator from then on.
    /// Anyone, unless paused or the node is retired.
    function depositBond(NodeId node, uint64 amountUsd6) external;

    /// @notice Operator only. Asks for `amountUsd6` of the bond, to be had after `bondDelaySeconds`; replaces
    /// an earlier request, and 0 cancels it. Unless the node is retired, the required bond must remain.
    function requestBondWithdrawal(NodeId node, uint64 amountUsd6) external;

    /// @notice Operator only. Pays what was requested once the delay has passed; no pause can stop it.
    function withdrawBond(NodeId node, address to) external returns (uint64 amountUsd6);

    /* MARKETS: named by the owner, they put obligations on a node and lift them */

    /// @notice A named market forbids retiring an Attested or Active node until it releases it. Holds add up.
    function hold(NodeId node) external;

    /// @notice Lifts one hold of the caller's. A market keeps this right when the owner no longer names it.
    function release(NodeId node) external;

    /// @notice Raises `committedUntil` to `time`; never lowers it. A named market, or one with an open hold.
    function commitUntil(NodeId node, uint40 time) external;

    /* OWNER */

    /// @notice Owner only.
    function setMarket(address market, bool named) external;
    /// @notice Owner only. f = `faulty` of the n attestors may lie: k = 2f + 1 sign, n >= k + f. Signatures
    /// for an earlier set are void from then on; nodes already attested stay so.
    /// @param attestors Strictly ascending.
    function setAttestors(address[] calldata attestors, uint8 faulty) external;

    /* VIEWS */

    /// @notice Everything about a node; all zero if there is none.
    function nodeOf(NodeId node) external view returns (Node memory);
    function operatorOf(NodeId node) external view returns (address);
    function statusOf(NodeId node) external view returns (Status);
    /// @notice Nodes are numbered from 1 to this.
    function nodeCount() external view returns (uint32);
    function isSuspendedByGuardian(NodeId node) external view returns (bool);
    /// @notice `bondUsd6PerGpu` times the node's GPUs.
    function requiredBondUsd6(NodeId node) external view returns (uint64);
    /// @notice The withdrawal that the operator has requested; zero and zero if none.
    function bondWithdrawalOf(NodeId node) external view returns (uint64 amountUsd6, uint40 withdrawableAt);
    /// @notice Open holds of `market` on `node`.
    function holdsOf(NodeId node, address market) external view returns (uint16);
    function isMarket(address market) external view returns (bool);

    /// @notice keccak256 of `abi.encode(operator, spec)`: all that is on-chain of the node's claim.
    function specDigestOf(NodeId node) external view returns (bytes32);
    /// @notice The EIP-712 digest that attestors sign for `node` under the present configuration.
    function attestationDigest(NodeId node) external view returns (bytes32);
    function attestors() external view returns (address[] memory);
    /// @notice Signatures that an attestation needs: k = 2f + 1.
    function quorum() external view returns (uint8);
    /// @notice Names the attestor set; part of what attestors sign.
    function configDigest() external view returns (bytes32);

    function asset() external view returns (address);
    function bondUsd6PerGpu() external view returns (uint64);
    /// @notice Seconds between asking for a bond and having it.
    function bondDelaySeconds() external view returns (uint32);
}
