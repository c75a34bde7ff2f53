using System.Runtime.CompilerServices;
using Florete.Identities;
using Florete.Portals;

namespace Florete.Proxy.Control;

/// <summary>What the control socket lets its owner ask of a node.</summary>
internal sealed class ControlCommands(FlorNode node)
{
    /// <summary>The answers to a request, at least one.</summary>
    public async IAsyncEnumerable<ControlAnswer> AnswerAsync(ControlRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        switch (request.Command)
        {
            case "status":
                yield return New() with { Status = await StatusAsync(cancellationToken).ConfigureAwait(false) };
                break;
            case "topology":
                yield return New() with { Topology = TopologyReport.Of(await node.Vertex.MembersAsync(cancellationToken).ConfigureAwait(false), node.Materials.Bounds) };
                break;
            case "health":
                yield return New() with { Problems = Metrics.Health.ProblemsOf(await StatusAsync(cancellationToken).ConfigureAwait(false), DateTimeOffset.UtcNow) };
                break;
            case "trace":
                yield return await TraceAsync(request.Target!, cancellationToken).ConfigureAwait(false);
                break;
            case "reload":
                yield return New() with { Problems = await node.ReloadAsync(cancellationToken).ConfigureAwait(false) };
                break;
            case "announce":
                yield return await AnnounceAsync(request.Document, cancellationToken).ConfigureAwait(false);
                break;
            case "revocations":
                yield return New() with { Revocations = Revocations };
                break;
            case "events":
                var events = node.Materials.Security.Events!;
                if (request.WaitSeconds > 0)
                {
                    await events.OtherThanAsync(request.After).WaitAsync(TimeSpan.FromSeconds(request.WaitSeconds), cancellationToken)
                        .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                    cancellationToken.ThrowIfCancellationRequested();
                }
                foreach (var happened in events.After(request.After)) yield return New() with { Event = EventReport.Of(happened) };
                // Whoever asks learns that there were none, and whether the numbers have begun anew.
                yield return New() with { Started = node.Started };
                break;
            case "discover" when request.Watch:
                await foreach (var change in node.Vertex.Portal.DiscoverAsync(ServiceQuery.All, watch: true, cancellationToken).ConfigureAwait(false))
                {
                    yield return New() with { Change = new DiscoveredChange(change.Service.Path, change.Vertex.Path, change.IsPresent) };
                }
                break;
            case "discover":
                var report = await node.Vertex.ReportAsync(cancellationToken).ConfigureAwait(false);
                yield return New() with { Services = report.Services };
                break;
            default:
                yield return ControlAnswer.Failed("The command is unknown.");
                break;
        }
    }

    private IReadOnlyList<RevocationReport> Revocations => [.. node.Materials.Security.Revocations.InForce.Select(RevocationReport.Of)];

    private static ControlAnswer New() => new(ControlProtocol.Version);

    /// <summary>The node now.</summary>
    public async Task<StatusReport> StatusAsync(CancellationToken cancellationToken)
    {
        var vertex = await node.Vertex.ReportAsync(cancellationToken).ConfigureAwait(false);
        var (configuration, connections) = (node.Configuration, node.Connections);
        return new StatusReport(
            configuration.Vertex.Path, configuration.Cluster, Environment.ProcessId, node.Started, node.Materials.Bounds.Current.Version,
            [.. node.Materials.Identities.OrderBy(identity => identity.Id).Select(identity => new IdentityReport(
                identity.Id.Path, identity.Current.NotAfter, node.Materials.Security.Revocations.Refusal(identity.Current)))],
            vertex.Links, vertex.NextHops, vertex.Services,
            [.. node.Inbounds.Listening.Select(inbound => new InboundReport(
                inbound.Local.ToString()!, inbound.Configuration.As.Path, inbound.Configuration.Forward?.Target.Path))],
            [.. node.Outbounds.Published.Select(outbound => new OutboundReport(outbound.Service.Path, outbound.Target.ToString()!))],
            new ConnectionsReport(connections.Count, connections.Opened, connections.Bytes.FromPrograms, connections.Bytes.ToPrograms),
            new SortedDictionary<string, long>(vertex.Counters.Concat(node.Coordination?.Counters ?? []).ToDictionary(), StringComparer.Ordinal)
            {
                ["edge.handshakes"] = node.Handshakes.Count,
                ["edge.expiredHandshakes"] = node.Handshakes.Expired,
                ["edge.signatures"] = node.Portals.Signing.Made,
                ["edge.refusedSignatures"] = node.Portals.Signing.Refused,
            },
            Revocations,
            vertex.RevocationProblem,
            vertex.Paths,
            node.Coordination is { } coordination ? await coordination.ReportAsync(vertex.Paths ?? []).ConfigureAwait(false) : null);
    }

    private async Task<ControlAnswer> AnnounceAsync(ReadOnlyMemory<byte> document, CancellationToken cancellationToken)
    {
        try
        {
            var announced = await node.Vertex.AnnounceAsync(document, cancellationToken).ConfigureAwait(false);
            return New() with { Announced = new AnnouncedReport(RevocationReport.Of(announced.Content), announced.IsNew) };
        }
        catch (IdentityException e)
        {
            return ControlAnswer.Failed(e.Message);
        }
    }

    private async Task<ControlAnswer> TraceAsync(string name, CancellationToken cancellationToken)
    {
        var cluster = node.Configuration.Cluster;
        var isKnown = name.Contains('/', StringComparison.Ordinal)
            ? IdentityKinds.TryParsePath(name, cluster, out var target, out var error)
            : MeshName.TryParse(name, cluster, out target, out error);
        if (!isKnown) return ControlAnswer.Failed($"{error}");
        try
        {
            return New() with { Hops = await node.Vertex.TraceAsync(target!, cancellationToken).ConfigureAwait(false) };
        }
        catch (PortalException e)
        {
            return ControlAnswer.Failed(e.Message);
        }
    }
}
