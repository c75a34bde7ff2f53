using Florete.Identities;
using Florete.Portals;
using Microsoft.Extensions.Logging;

namespace Florete.Bus;

/// <summary>Finds the instances of the peers that are named, and keeps a connection to each.</summary>
internal sealed class PeerSet
{
    private static readonly TimeSpan LeastDelay = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan MostDelay = TimeSpan.FromSeconds(2);

    // Who is slower to be met is not waited for by those who publish.
    private static readonly TimeSpan MeetLimit = TimeSpan.FromSeconds(5);

    private readonly IProgramPortal portal;
    private readonly IReadOnlyList<PeerPattern> patterns;
    private readonly ILogger logger;
    private readonly Func<PortalConnection, Action, CancellationToken, Task<SenderEnded>> run;
    private readonly CancellationToken stopping;
    private readonly Lock gate = new();
    private readonly Dictionary<(SpiffeId Service, SpiffeId Vertex), Peer> peers = [];
    private readonly HashSet<(SpiffeId Service, SpiffeId Vertex)> others = [];
    private readonly TaskCompletionSource met = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private SpiffeId? ownVertex;

    public PeerSet(
        IProgramPortal portal, BusMemberOptions options, ILogger logger, Func<PortalConnection, Action, CancellationToken, Task<SenderEnded>> run, CancellationToken stopping)
    {
        (this.portal, this.logger, this.run, this.stopping) = (portal, logger, run, stopping);
        patterns = [.. options.Peers.Select(PeerPattern.Parse)];
    }

    /// <summary>This member's identity, once it is known.</summary>
    public SpiffeId? Own { get; private set; }

    /// <summary>The peers that could be discovered at first have been met, or could not be.</summary>
    public Task AreMet => met.Task;

    /// <summary>Why peers cannot be discovered; null: they can.</summary>
    public string? Trouble { get; private set; }

    public void SetOwn(SpiffeId own, SpiffeId? vertex)
    {
        lock (gate)
        {
            ownVertex = vertex;
            // It may have been discovered before it was known to be this member.
            if (vertex is not null && peers.TryGetValue((own, vertex), out var self)) self.IsPresent = false;
            if (Own == own) return;
            Own = own;
            // Other instances of the same identity are peers too.
            foreach (var other in others.Where(o => o.Service == own).ToList()) Present(other.Service, other.Vertex);
            others.Clear();
        }
    }

    public async Task RunAsync()
    {
        var delay = LeastDelay;
        var told = "";
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await DiscoverAsync().ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                break;
            }
            catch (PortalException e)
            {
                Trouble = e.Message;
                if (told != e.Message) logger.CannotDiscover(portal, told = e.Message);
            }
            if (Trouble is null) (delay, told) = (LeastDelay, "");
            await Task.Delay(delay, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            delay = delay * 2 < MostDelay ? delay * 2 : MostDelay;
        }
        Task[] ends;
        lock (gate) ends = [.. peers.Values.Select(static p => p.Running)];
        await Task.WhenAll(ends).ConfigureAwait(false);
    }

    private async Task DiscoverAsync()
    {
        var present = new HashSet<(SpiffeId, SpiffeId)>();
        await foreach (var change in portal.DiscoverAsync(ServiceQuery.All, watch: false, stopping).ConfigureAwait(false))
        {
            if (!change.IsPresent) continue;
            present.Add((change.Service, change.Vertex));
            lock (gate) Present(change.Service, change.Vertex);
        }
        List<Peer> first;
        lock (gate)
        {
            foreach (var (service, vertex) in peers.Where(p => p.Value.IsPresent && !present.Contains(p.Key)).Select(static p => p.Key).ToList()) Absent(service, vertex);
            first = [.. peers.Values];
        }
        Trouble = null;
        if (!met.Task.IsCompleted) _ = MeetAsync(first);
        await foreach (var change in portal.DiscoverAsync(ServiceQuery.All, watch: true, stopping).ConfigureAwait(false))
        {
            lock (gate)
            {
                if (change.IsPresent) Present(change.Service, change.Vertex);
                else Absent(change.Service, change.Vertex);
            }
        }
    }

    private async Task MeetAsync(List<Peer> first)
    {
        await Task.WhenAny(Task.WhenAll(first.Select(static p => p.Met)), Task.Delay(MeetLimit, stopping)).ConfigureAwait(false);
        met.TrySetResult();
    }

    private void Present(SpiffeId service, SpiffeId vertex)
    {
        // This member itself; where the vertex is not known, the greeting tells.
        if (service == Own && vertex == ownVertex) return;
        if (service != Own && !patterns.Any(p => p.Matches(service)))
        {
            // Some may turn out to be this member's own identity.
            if (Own is null && others.Count < BusLimits.MaxPeers) others.Add((service, vertex));
            return;
        }
        if (peers.TryGetValue((service, vertex), out var peer) && !peer.Running.IsCompleted)
        {
            peer.IsPresent = true;
            peer.Kick();
            return;
        }
        foreach (var key in peers.Where(static p => p.Value.Running.IsCompleted && !p.Value.IsPresent).Select(static p => p.Key).ToList()) peers.Remove(key);
        if (peers.Count >= BusLimits.MaxPeers && !peers.ContainsKey((service, vertex)))
        {
            logger.TooManyPeers(BusLimits.MaxPeers, service, vertex);
            return;
        }
        if (peer is { IsSelf: true, IsPresent: true }) return;
        peer = new Peer(portal, service, vertex, logger, run, stopping);
        peers[(service, vertex)] = peer;
        peer.Start();
    }

    private void Absent(SpiffeId service, SpiffeId vertex)
    {
        others.Remove((service, vertex));
        if (peers.TryGetValue((service, vertex), out var peer)) peer.IsPresent = false;
    }
}
