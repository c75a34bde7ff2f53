using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers;

/// <content>Connections to an instance that is out of reach while another is not (docs/protocols/transport.md, "Instances").</content>
internal sealed partial class TransportEndpoint
{
    // With the time to see that a link is dead, a caller leaves a dead instance within a second.
    private static readonly TimeSpan LongestAbsence = TimeSpan.FromMilliseconds(800);

    // A device that roams and a link that is plugged again are back by then: who wants this very instance gains nothing by an earlier end.
    private static readonly TimeSpan LongestAbsenceOfTheWanted = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(5);

    private readonly LoopTimer absenceTimer;

    private void OnPathsChanged()
    {
        var reachable = new Dictionary<SpiffeId, bool>();
        foreach (var connection in connections)
        {
            var vertex = connection.RemoteVertex;
            if (connection.Key is null || vertex == Forwarding.Self) continue;
            if (!reachable.TryGetValue(vertex, out var isReachable)) reachable[vertex] = isReachable = Forwarding.QualityTo(vertex) is not null;
            if (isReachable) connection.AbsentSince = Instant.Never;
            else if (connection.AbsentSince == Instant.Never) connection.AbsentSince = Loop.Now;
        }
        LeaveAbsent();
    }

    // Where no other instance can be reached, or nobody at all, ending a connection would bring its user nothing: it may be back within the idle timeout.
    private void LeaveAbsent()
    {
        var next = Instant.Never;
        foreach (var connection in connections.Where(static c => c.AbsentSince != Instant.Never).ToArray())
        {
            var due = connection.AbsentSince + (connection.Key!.IsInstanceWanted ? LongestAbsenceOfTheWanted : LongestAbsence);
            if (due > Loop.Now)
                next = Instant.Min(next, due);
            else if (directory.VerticesOf(connection.Remote).Any(v => v != connection.RemoteVertex))
                connection.Close(PortalError.Unreachable, $"{connection.RemoteVertex} cannot be reached, and another instance of {connection.Remote} can.");
            else
                next = Instant.Min(next, Loop.Now + LookAgain);
        }
        absenceTimer.Set(next);
    }
}
