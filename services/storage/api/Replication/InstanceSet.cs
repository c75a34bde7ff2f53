using Florete.Identities;
using Florete.Portals;
using Microsoft.Extensions.Logging;

namespace Florete.Storage.Api.Replication;

/// <summary>The instances of the storage that the portal discovers now, this one left out.</summary>
internal sealed partial class InstanceSet(IProgramPortal portal, SpiffeId storage, SpiffeId own, ILogger<InstanceSet> logger)
{
    /// <summary>As the bus: a replica exchanges with every other, which is for clusters, not for the world.</summary>
    public const int MaxInstances = 512;

    private static readonly TimeSpan LeastDelay = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan MostDelay = TimeSpan.FromSeconds(2);

    private readonly Lock gate = new();
    private readonly HashSet<SpiffeId> present = [];

    /// <summary>Told of every instance that appears, also of one that has come back. Not from two threads at once.</summary>
    public Action<SpiffeId>? Appeared { get; set; }

    /// <summary>Told of every instance that has gone. Not from two threads at once.</summary>
    public Action<SpiffeId>? Gone { get; set; }

    /// <summary>Their vertices.</summary>
    public IReadOnlyList<SpiffeId> Present
    {
        get
        {
            lock (gate) return [.. present];
        }
    }

    /// <summary>Why they cannot be discovered; null: they can.</summary>
    public string? Trouble { get; private set; } = "they have not been discovered yet.";

    /// <summary>Discovers until cancelled; while flor is away, what was there last stays.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var (delay, told) = (LeastDelay, "");
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                await DiscoverAsync(() => (delay, told) = (LeastDelay, ""), cancellationToken).ConfigureAwait(false);
                Trouble = "flor ended the answer.";
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                break;
            }
            catch (PortalException e)
            {
                Trouble = e.Message;
                if (told != e.Message) CannotDiscover(told = e.Message);
            }
            await Task.Delay(delay, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            delay = delay * 2 < MostDelay ? delay * 2 : MostDelay;
        }
    }

    private async Task DiscoverAsync(Action onAnswer, CancellationToken cancellationToken)
    {
        // What went while nobody listened is not told by a watch; what came between the two questions is told by the second.
        var seen = new HashSet<SpiffeId>();
        await foreach (var change in portal.DiscoverAsync(new ServiceQuery(storage), watch: false, cancellationToken).ConfigureAwait(false))
        {
            if (change.IsPresent) seen.Add(change.Vertex);
        }
        foreach (var vertex in Present.Where(vertex => !seen.Contains(vertex))) Remove(vertex);
        onAnswer();
        Trouble = null;
        await foreach (var change in portal.DiscoverAsync(new ServiceQuery(storage), watch: true, cancellationToken).ConfigureAwait(false))
        {
            if (change.IsPresent) Add(change.Vertex);
            else Remove(change.Vertex);
        }
    }

    private void Add(SpiffeId vertex)
    {
        if (vertex == own) return;
        lock (gate)
        {
            if (!present.Contains(vertex) && present.Count >= MaxInstances)
            {
                TooMany(MaxInstances, vertex);
                return;
            }
            present.Add(vertex);
        }
        Appeared?.Invoke(vertex);
    }

    private void Remove(SpiffeId vertex)
    {
        bool gone;
        lock (gate) gone = present.Remove(vertex);
        if (gone) Gone?.Invoke(vertex);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Other replicas cannot be discovered: {Reason} Trying again")]
    private partial void CannotDiscover(string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "There are more than {Limit} other replicas; {Vertex} is left out")]
    private partial void TooMany(int limit, SpiffeId vertex);
}
