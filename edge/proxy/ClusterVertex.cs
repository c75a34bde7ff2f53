using Florete.Identities;
using Florete.Layers;
using Florete.Portals;
using Florete.Proxy.Configuration;
using Florete.Proxy.Coordination;
using Florete.Runtime;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy;

/// <summary>
/// What flor needs of its vertex besides the portal. The one seam between the edge and the network below: an adapter of the layer's vertex
/// implements it, and a portal in memory in tests.
/// </summary>
public interface IClusterVertex : IAsyncDisposable
{
    IPortal Portal { get; }

    /// <summary>Of the portal, where it runs on a thread of this process.</summary>
    ThreadLoop? Loop { get; }

    /// <summary>What coordination needs of it; null: this vertex cannot be coordinated.</summary>
    ICoordinatedNetwork? Coordination => null;

    /// <summary>What <c>flor status</c> shows of the network; from any thread.</summary>
    Task<VertexReport> ReportAsync(CancellationToken cancellationToken);

    /// <summary>Every vertex of the layer that the directory knows; from any thread.</summary>
    Task<IReadOnlyList<DirectoryMember>> MembersAsync(CancellationToken cancellationToken);

    /// <summary>Each vertex on the way to the one that publishes the target, nearest first.</summary>
    /// <exception cref="PortalException">There is no such target, or no way to it.</exception>
    Task<IReadOnlyList<TraceHop>> TraceAsync(SpiffeId target, CancellationToken cancellationToken);

    /// <summary>Takes a signed revocation as a neighbour's; complete when it is saved and in force here.</summary>
    /// <exception cref="IdentityException">It is refused; the message says why, and the remedy.</exception>
    Task<AnnouncedRevocation> AnnounceAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken);

    /// <summary>Applies changed links; links that are still wanted as they were are not touched.</summary>
    Task ApplyAsync(UdpLinksConfiguration? links, CancellationToken cancellationToken);
}

/// <summary>What a vertex is made of.</summary>
/// <param name="Configuration">Of the whole node.</param>
/// <param name="Identity">The vertex itself.</param>
/// <param name="Materials">Bounds, verifier, identities.</param>
/// <param name="Logs">For its parts.</param>
public sealed record VertexParts(FlorConfiguration Configuration, HeldIdentity Identity, NodeMaterials Materials, ILoggerFactory Logs);

/// <summary>Makes the vertex of a node; it is up when the task completes, its links perhaps not yet.</summary>
public delegate Task<IClusterVertex> VertexFactory(VertexParts parts, CancellationToken cancellationToken);

/// <summary>The network as this vertex sees it.</summary>
/// <param name="Links">Configured and arriving links.</param>
/// <param name="NextHops">How other vertices are reached.</param>
/// <param name="Services">What is published where.</param>
/// <param name="Counters">By name: packets forwarded, dropped by reason, …</param>
/// <param name="RevocationProblem">Why revocations could not be saved; null: they are.</param>
/// <param name="Paths">What is decided otherwise than the best path.</param>
public sealed record VertexReport(
    IReadOnlyList<LinkReport> Links, IReadOnlyList<NextHopReport> NextHops, IReadOnlyList<ServiceReport> Services,
    IReadOnlyDictionary<string, long> Counters, string? RevocationProblem = null, IReadOnlyList<PathReport>? Paths = null);

/// <param name="To">Path of the destination's identity.</param>
/// <param name="Via">What is to be passed: names of vertices, and of links (<c>c&gt;b</c>).</param>
/// <param name="InUse">Packets take it.</param>
/// <param name="Problem">Why they take the best path instead; null: they do not.</param>
public sealed record PathReport(string To, IReadOnlyList<string> Via, bool InUse, string? Problem);

/// <param name="Neighbour">Path of the neighbour's identity: vertex/b.</param>
/// <param name="State">up, down, connecting.</param>
/// <param name="Address">Where it is now; null when unknown.</param>
/// <param name="RoundTripMicroseconds">Null: not measured.</param>
/// <param name="Loss">0 to 1.</param>
/// <param name="CapacityBitsPerSecond">Null: unknown.</param>
/// <param name="Downs">How often it went down since the start.</param>
/// <param name="Reason">Why it is not up, with the remedy if there is one.</param>
/// <param name="UpMilliseconds">For how long it has been up; null: it is not.</param>
/// <param name="DetectionMilliseconds">Silence that takes it down now, adapted to the neighbour; null: it is not up.</param>
public sealed record LinkReport(
    string Neighbour, string State, string? Address, long? RoundTripMicroseconds, double Loss, long? CapacityBitsPerSecond, long Downs, string? Reason,
    long? UpMilliseconds = null, long? DetectionMilliseconds = null);

/// <param name="Vertex">The destination.</param>
/// <param name="Via">The neighbours that packets to it leave by.</param>
/// <param name="Backup">The way when the next hop is lost, for people; null: none.</param>
/// <param name="MetricMicroseconds">Cost of the best path.</param>
public sealed record NextHopReport(string Vertex, IReadOnlyList<string> Via, string? Backup, long MetricMicroseconds);

/// <param name="Name">Path of the identity: service/hello.</param>
/// <param name="Vertices">Paths of the vertices that publish it and can be reached.</param>
/// <param name="OutOfReach">Paths of the vertices that publish it where no path leads now; null: none.</param>
public sealed record ServiceReport(string Name, IReadOnlyList<string> Vertices, IReadOnlyList<string>? OutOfReach = null);

/// <param name="Outcome">passed, reached, unreachable, timedOut.</param>
/// <param name="Vertex">Who answered; null: nobody did.</param>
/// <param name="RoundTripMicroseconds">Null: nobody did.</param>
public sealed record TraceHop(string Outcome, string? Vertex, long? RoundTripMicroseconds);
