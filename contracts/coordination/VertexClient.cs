using System.Collections.Concurrent;
using Florete.Identities;
using Florete.Portals;

namespace Florete.Coordination.Contracts;

/// <summary>Speaks with vertices as <c>node/…</c> (docs/protocols/coordination.md). Thread-safe. Whoever calls gives the time for each call by its token.</summary>
/// <param name="portal">Of <c>node/…</c>.</param>
/// <param name="cluster">Its cluster.</param>
public sealed class VertexClient(IProgramPortal portal, string cluster) : IAsyncDisposable
{
    // A refusal with its sentence.
    private const int MaxDecideAnswerBytes = 16 * 1024;

    private static readonly TimeSpan ConnectPatience = TimeSpan.FromSeconds(5);

    // One for each vertex, so that a decision costs no handshake.
    private readonly ConcurrentDictionary<string, VertexStream> idle = new(StringComparer.Ordinal);

    /// <summary>Who the portal's program is: asks for a signature, since that tells without any name being known.</summary>
    /// <exception cref="PortalException">flor does not answer.</exception>
    public static async Task<SpiffeId> WhoAmIAsync(IProgramPortal portal, CancellationToken cancellationToken = default)
    {
        var signature = await portal.SignAsync("florete-coordination/hello", ReadOnlyMemory<byte>.Empty, cancellationToken).ConfigureAwait(false);
        return X509Svid.TryReadId(signature.Chain[0], out var id) ? id : throw new PortalException(PortalError.ProtocolViolation, "The chain of the portal's identity names no SPIFFE ID.");
    }

    /// <summary>Attends at the program's own vertex.</summary>
    /// <exception cref="CoordinationException">The vertex cannot be reached, or refuses.</exception>
    public async Task<Attendance> AttendAsync(string vertex, CancellationToken cancellationToken = default)
    {
        var stream = await OpenAsync(vertex, CoordinationProtocol.MaxAnswerLineBytes, cancellationToken).ConfigureAwait(false);
        try
        {
            await stream.WriteAsync(VertexRequest.ToAttend, cancellationToken).ConfigureAwait(false);
            return new Attendance(stream);
        }
        catch
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Sends a decision to a vertex.</summary>
    /// <returns>Null: it is in force there; else why not.</returns>
    /// <exception cref="CoordinationException">The vertex cannot be reached, or does not answer as it should.</exception>
    public async Task<Refusal?> DecideAsync(string vertex, SignedDecision decision, CancellationToken cancellationToken = default)
    {
        if (idle.TryRemove(vertex, out var kept))
        {
            try
            {
                return await DecideAsync(vertex, kept, decision, cancellationToken).ConfigureAwait(false);
            }
            catch (CoordinationException)
            {
                // The vertex has closed it meanwhile, perhaps; a new one tells.
            }
        }
        var stream = await OpenAsync(vertex, MaxDecideAnswerBytes, cancellationToken).ConfigureAwait(false);
        return await DecideAsync(vertex, stream, decision, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>What the directory of a vertex knows; the vertex is the program's own.</summary>
    /// <exception cref="CoordinationException">The vertex cannot be reached, or does not answer as it should.</exception>
    public async Task<Topology> TopologyAsync(string vertex, CancellationToken cancellationToken = default)
    {
        var stream = await OpenAsync(vertex, CoordinationProtocol.MaxAnswerLineBytes, cancellationToken).ConfigureAwait(false);
        await using (stream.ConfigureAwait(false))
        {
            await stream.WriteAsync(VertexRequest.ForTopology, cancellationToken).ConfigureAwait(false);
            var answer = await stream.ReadAsync(cancellationToken).ConfigureAwait(false);
            return answer.Topology ?? throw stream.Unexpected("the topology");
        }
    }

    /// <summary>Closes what is kept for vertices that are of no interest any more.</summary>
    public async Task ForgetExceptAsync(IReadOnlySet<string> vertices)
    {
        foreach (var vertex in idle.Keys)
        {
            if (!vertices.Contains(vertex) && idle.TryRemove(vertex, out var stream)) await stream.DisposeAsync().ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync() => await ForgetExceptAsync(new HashSet<string>()).ConfigureAwait(false);

    private async Task<Refusal?> DecideAsync(string vertex, VertexStream stream, SignedDecision decision, CancellationToken cancellationToken)
    {
        var isWhole = false;
        try
        {
            await stream.WriteAsync(VertexRequest.Of(decision), cancellationToken).ConfigureAwait(false);
            var answer = await stream.ReadAsync(cancellationToken).ConfigureAwait(false);
            if (answer.Accepted is null && answer.Refused is null) throw stream.Unexpected("accepted or refused");
            isWhole = idle.TryAdd(vertex, stream);
            return answer.Refused;
        }
        finally
        {
            if (!isWhole) await stream.DisposeAsync().ConfigureAwait(false);
        }
    }

    private async Task<VertexStream> OpenAsync(string vertex, int maxAnswerBytes, CancellationToken cancellationToken)
    {
        var target = SpiffeId.Of(cluster, IdentityKind.Node, vertex);
        try
        {
            var options = new ConnectOptions(Class: TrafficClass.Interactive, Instance: SpiffeId.Of(cluster, IdentityKind.Vertex, vertex), Timeout: ConnectPatience);
            var connection = await portal.ConnectAsync(target.ToString(), options, cancellationToken).ConfigureAwait(false);
            return new VertexStream(vertex, new PortalStream(connection, isAbortedByDispose: true), maxAnswerBytes);
        }
        catch (PortalException e)
        {
            throw new CoordinationException($"Vertex {vertex} is not reached: {e.Message}", e);
        }
    }
}
