using Florete.Coordination.Contracts;
using Florete.Portals;

namespace Florete.Ncs.Tests.Harness;

/// <summary>A vertex as <c>node/…</c> sees it: tells a topology, and counts how often.</summary>
internal sealed class FakeVertex(Topology topology) : IAcceptor
{
    private int asked;

    public int Asked => asked;

    /// <summary>False: it takes requests and does not answer.</summary>
    public bool Answers { get; set; } = true;

    public ConnectionMode Modes => ConnectionMode.Stream;

    /// <summary>Links in both directions with metric 10: <c>ab bc</c>.</summary>
    public static Topology Of(string links)
    {
        var pairs = links.Split(' ').SelectMany(static l => new[] { (From: l[..1], To: l[1..]), (From: l[1..], To: l[..1]) }).ToLookup(static l => l.From, static l => l.To);
        return new Topology([.. pairs.Select(static v => new TopologyVertex(v.Key, [.. v.Select(static to => new TopologyLink(to, 10, 0, 0))]))]);
    }

    public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
    {
        _ = ServeAsync(connection);
        return ValueTask.CompletedTask;
    }

    private async Task ServeAsync(PortalConnection connection)
    {
        try
        {
            await using var lines = new LineStream(new PortalStream(connection), CoordinationProtocol.MaxRequestLineBytes);
            while (await lines.ReadAsync() is not null)
            {
                Interlocked.Increment(ref asked);
                if (Answers) await lines.WriteAsync(CoordinationJson.Write(VertexAnswer.Of(topology)));
            }
        }
        catch (Exception e) when (e is IOException or PortalException)
        {
            // The asker has gone.
        }
    }
}
