using Florete.Identities;

namespace Florete.Layers;

/// <summary>One place that publishes a service.</summary>
public sealed record ServiceInstance(SpiffeId Service, SpiffeId Vertex);

/// <summary>The directory at one moment, for people (<c>flor status</c>).</summary>
/// <param name="Vertex">The own vertex.</param>
/// <param name="Segment">Its node segment; label 0: none at the moment.</param>
/// <param name="Incarnation">Of its records.</param>
/// <param name="Vertices">Vertex records held.</param>
/// <param name="ReachableVertices">Of these, reachable in the topology, the own included.</param>
/// <param name="Services">Service instances that are present.</param>
/// <param name="Records">Records held.</param>
/// <param name="Chains">Certificate chains held.</param>
/// <param name="Bytes">Bytes of records and chains.</param>
/// <param name="Undecided">Records that arrived and wait for their check or for what they lack.</param>
/// <param name="Accepted">Records taken since the start.</param>
/// <param name="OwnIssued">Own records signed since the start.</param>
/// <param name="ChainsVerified">Certificate chains verified since the start.</param>
/// <param name="Refused">What was not taken since the start, by reason; reasons without a case are left out.</param>
/// <param name="Peers">The neighbours.</param>
/// <param name="RevocationProblem">Why revocations could not be saved; null: they are.</param>
/// <param name="DroppedRevoked">Records dropped since the start because their signer was revoked.</param>
public sealed record DirectoryStatus(
    SpiffeId Vertex, Label Segment, ulong Incarnation, int Vertices, int ReachableVertices, int Services, int Records, int Chains, long Bytes,
    int Undecided, long Accepted, long OwnIssued, long ChainsVerified, IReadOnlyDictionary<DirectoryRefusal, long> Refused,
    IReadOnlyList<DirectoryPeerStatus> Peers, string? RevocationProblem, long DroppedRevoked);

/// <param name="Neighbour">The other end.</param>
/// <param name="IsInStep">The digests were equal when last compared.</param>
/// <param name="PendingRecords">Records that wait for it or for its acknowledgement.</param>
/// <param name="SentMessages">Messages sent.</param>
/// <param name="SentBytes">Bytes of these.</param>
/// <param name="ReceivedMessages">Messages received.</param>
/// <param name="ReceivedBytes">Bytes of these.</param>
/// <param name="RepeatedRecords">Records sent again.</param>
/// <param name="Refused">What it sent and was not taken.</param>
public sealed record DirectoryPeerStatus(
    SpiffeId Neighbour, bool IsInStep, int PendingRecords, long SentMessages, long SentBytes, long ReceivedMessages, long ReceivedBytes,
    long RepeatedRecords, long Refused);
