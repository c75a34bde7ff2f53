using System.Collections.Concurrent;
using Florete.Identities;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using Microsoft.Extensions.Logging;

namespace Florete.Storage.Api.Replication;

/// <summary>
/// Replication for certainty: pulls from each other replica what it has and this one lacks, when it appears, and every 30 s. A replica that is empty first takes all that one other has, in
/// that one's order, and the others wait for it.
/// </summary>
internal sealed partial class Puller(ReplicaHost host, InstanceSet instances, PeerClients clients, StorageOptions options, StorageMetrics metrics, TimeProvider time, ILogger<Puller> logger) : IDisposable
{
    // Ids in one question; their versions fill an answer or not.
    private const int MaxIds = 4096;

    // The bus of a replica that appears is connected a little later than it is discovered, up to 5 s (docs/protocols/bus.md). What is written in between is fetched.
    private static readonly TimeSpan[] SoonAfter = [TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(4)];
    private static readonly TimeSpan FillLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan SettlePoll = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LeastDelay = TimeSpan.FromMilliseconds(100);

    private readonly ConcurrentDictionary<SpiffeId, PeerState> peers = new();
    private readonly SemaphoreSlim filling = new(1);

    /// <summary>How the exchange goes with each that is there.</summary>
    public IReadOnlyList<PeerHealth> Health =>
        [.. peers.Where(static p => p.Value.IsPresent).Select(static p => new PeerHealth(p.Key.Name, p.Value.EqualAt, p.Value.Problem)).OrderBy(static p => p.Replica, StringComparer.Ordinal)];

    /// <summary>Pulls until cancelled. Throws only what is a fault of this program.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var failed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Appeared(SpiffeId vertex)
        {
            var peer = peers.GetOrAdd(vertex, static _ => new PeerState());
            peer.IsPresent = true;
            peer.Appeared.Set();
            if (peer.IsStarted) return;
            peer.IsStarted = true;
            peer.Running = Task.Run(() => RunAsync(vertex, peer, cancellationToken), CancellationToken.None);
            _ = peer.Running.ContinueWith(t => failed.TrySetException(t.Exception!.InnerExceptions), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        }
        void Gone(SpiffeId vertex)
        {
            if (peers.TryGetValue(vertex, out var peer)) peer.IsPresent = false;
        }
        instances.Appeared = Appeared;
        instances.Gone = Gone;
        foreach (var vertex in instances.Present) Appeared(vertex);
        var settling = Task.Run(() => SettleAsync(cancellationToken), CancellationToken.None);
        using var stop = cancellationToken.Register(() => failed.TrySetCanceled(cancellationToken));
        await failed.Task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        (instances.Appeared, instances.Gone) = (null, null);
        await Task.WhenAll(peers.Values.Select(static p => p.Running).Append(settling)).ConfigureAwait(false);
    }

    public void Dispose() => filling.Dispose();

    // An empty replica that finds no other is the first; one that finds others, and can take nothing from them for long, is no worse.
    private async Task SettleAsync(CancellationToken cancellationToken)
    {
        var begun = time.GetTimestamp();
        long? answeredAt = null;
        while (!host.IsFilled && !cancellationToken.IsCancellationRequested)
        {
            if (instances.Trouble is null) answeredAt ??= time.GetTimestamp();
            var isAlone = answeredAt is { } at && time.GetElapsedTime(at) >= options.Settling && instances.Present.Count == 0;
            if (!isAlone && time.GetElapsedTime(begun) > FillLimit) NotFilled(FillLimit.TotalSeconds);
            if (isAlone || time.GetElapsedTime(begun) > FillLimit) host.IsFilled = true;
            else await Task.Delay(SettlePoll, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task RunAsync(SpiffeId vertex, PeerState peer, CancellationToken cancellationToken)
    {
        var client = clients.Of(vertex);
        var (soon, delay) = (0, LeastDelay);
        while (!cancellationToken.IsCancellationRequested)
        {
            var appeared = peer.Appeared.Next;
            TimeSpan wait;
            try
            {
                if (peer.IsPresent) await PullAsync(client, peer, cancellationToken).ConfigureAwait(false);
                if (peer.Problem is not null) PullsAgain(vertex.Name);
                (peer.Problem, delay) = (null, LeastDelay);
                wait = soon < SoonAfter.Length ? SoonAfter[soon++] : options.PullInterval * (0.75 + (Random.Shared.NextDouble() / 2));
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                break;
            }
            catch (Exception e) when (e is PeerException or StorageException)
            {
                metrics.Pulls.Add(1, new KeyValuePair<string, object?>("outcome", "failed"));
                if (peer.IsPresent && peer.Problem != e.Message) CannotPull(vertex.Name, e.Message);
                peer.Problem = e.Message;
                wait = delay;
                delay = delay * 2 < options.PullInterval ? delay * 2 : options.PullInterval;
            }
            await Task.WhenAny(appeared, Task.Delay(wait, cancellationToken)).ConfigureAwait(false);
            if (appeared.IsCompleted) (soon, delay) = (0, LeastDelay);
        }
    }

    private async Task PullAsync(PeerClient client, PeerState peer, CancellationToken cancellationToken)
    {
        var digest = host.Replica.Digest();
        if (!host.IsFilled || digest.Sequence == 0) await FillAsync(client, cancellationToken).ConfigureAwait(false);
        while (true)
        {
            var different = await client.DifferencesAsync(host.Replica.Summary(), cancellationToken).ConfigureAwait(false);
            if (different.Count == 0) peer.EqualAt = time.GetUtcNow();
            var lacking = host.Replica.Lacking(different);
            if (lacking.Count == 0 || !await FetchAsync(client, [.. lacking.Select(static entry => entry.Id)], cancellationToken).ConfigureAwait(false)) break;
            // An answer has room for so many; there may be more.
            if (different.Count < Differences.MaxEntries) break;
        }
        metrics.Pulls.Add(1, new KeyValuePair<string, object?>("outcome", "done"));
    }

    // False: nothing came of it, so asking again would not help.
    private async Task<bool> FetchAsync(PeerClient client, IReadOnlyList<VersionId> ids, CancellationToken cancellationToken)
    {
        var before = host.Replica.Position.Sequence;
        var left = new Queue<VersionId>(ids);
        while (left.Count > 0)
        {
            VersionId[] asked = [.. left.Take(MaxIds)];
            var versions = await client.VersionsAsync(asked, cancellationToken).ConfigureAwait(false);
            if (versions.Count == 0) return host.Replica.Position.Sequence > before;
            await host.MergeAsync(client, versions, null, "pull", cancellationToken).ConfigureAwait(false);
            // They come in the order of the question; what is not there any more is passed over.
            var last = Array.IndexOf(asked, versions[^1].Version.Id);
            for (var i = 0; i <= Math.Max(last, 0); i++) left.Dequeue();
        }
        return host.Replica.Position.Sequence > before;
    }

    private async Task FillAsync(PeerClient client, CancellationToken cancellationToken)
    {
        await filling.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (host.IsFilled && host.Replica.Digest().Sequence > 0) return;
            var (after, isLast) = (0L, false);
            while (!isLast)
            {
                (var versions, after, isLast) = await client.LogAsync(after, cancellationToken).ConfigureAwait(false);
                if (versions.Count > 0) await host.MergeAsync(client, versions, null, "log", cancellationToken).ConfigureAwait(false);
            }
            host.IsFilled = true;
            var documents = host.Replica.Digest().Documents;
            if (after > 0) Filled(documents, client.Vertex.Name);
        }
        finally
        {
            filling.Release();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Nothing can be pulled from the replica of {Replica}: {Reason} Trying again")]
    private partial void CannotPull(string replica, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "This replica is empty, and could take nothing from the others for {Seconds} s; it accepts writes nevertheless")]
    private partial void NotFilled(double seconds);

    [LoggerMessage(Level = LogLevel.Information, Message = "The replica of {Replica} is pulled from again")]
    private partial void PullsAgain(string replica);

    [LoggerMessage(Level = LogLevel.Information, Message = "This replica was empty: it has {Documents} documents from that of {Replica}")]
    private partial void Filled(long documents, string replica);

    private sealed class PeerState
    {
        public Pulse Appeared { get; } = new();

        public volatile bool IsPresent;

        public bool IsStarted { get; set; }

        public Task Running { get; set; } = Task.CompletedTask;

        public DateTimeOffset? EqualAt { get; set; }

        public string? Problem { get; set; }
    }
}
