using System.Collections.Concurrent;
using Florete.Identities;
using Florete.Storage.Api.Http;
using Florete.Storage.Api.Replication;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Florete.Storage.Api;

/// <summary>
/// The replica as requests and exchanges use it: once it is open, within the bounds in force. Until then everything is answered 503. Thread-safe.
/// </summary>
internal sealed partial class ReplicaHost(StorageMaterials materials, StorageMetrics metrics, TimeProvider clock, ILogger<ReplicaHost> logger) : IAsyncDisposable
{
    // A batch has as many authors as it likes; each chain is asked for once.
    private const int MaxChainsOfBatch = 64;

    private readonly CancellationTokenSource stopping = new();
    private readonly ConcurrentDictionary<SpiffeId, FailureAllowance> allowances = new();
    private readonly Pulse rulesChanged = new();
    private volatile StorageReplica? replica;
    private Task reevaluating = Task.CompletedTask;
    private long refused;

    public Bounds Bounds => materials.Bounds;

    /// <summary>The identity of every replica.</summary>
    public SpiffeId Storage { get; } = SpiffeId.Of(materials.Cluster.Name, IdentityKind.Service, "storage");

    /// <summary>Versions that were refused, for the audit trail.</summary>
    public SecurityEvents Events { get; } = new(clock);

    /// <summary>When <see cref="Events"/> began to be counted.</summary>
    public DateTimeOffset Started { get; } = clock.GetUtcNow();

    /// <summary>Cancelled when the replica stops: watches end then.</summary>
    public CancellationToken Stopping => stopping.Token;

    public bool IsOpen => replica is not null;

    /// <summary>Why it is not open.</summary>
    public string Missing { get; set; } = "flor has not told yet on which vertex this replica is.";

    /// <summary>
    /// An empty replica takes what the others have before it accepts writes: what it accepted in a former life, if it had one, would look as if they knew it.
    /// </summary>
    public bool IsFilled { get; set; }

    /// <summary>Versions that came here and were not valid, since the start.</summary>
    public long RefusedCount => Interlocked.Read(ref refused);

    /// <summary>Told of every version that this replica has accepted from its author.</summary>
    public Action<DocumentVersion> Accepted { get; set; } = static _ => { };

    /// <summary>Who decides compare-and-swaps; null: this replica, which knows no other yet.</summary>
    public Arbiter? Arbiter { get; set; }

    /// <exception cref="ApiException">It is not open yet.</exception>
    public StorageReplica Replica => replica ?? throw ApiException.Busy($"This replica is not ready: {Missing}");

    public IVersionReader Reader => Replica.Reader;

    public ReplicaName Name => Replica.Name;

    public ChangePosition Position => Replica.Position;

    public void Open(StorageReplica opened)
    {
        Bounds.Changed += rulesChanged.Set;
        materials.BundleChanged += rulesChanged.Set;
        var changed = rulesChanged.Next;
        IsFilled = opened.Position.Sequence > 0;
        replica = opened;
        reevaluating = Task.Run(() => ReevaluateAsync(opened, changed));
    }

    /// <exception cref="ApiException">No rule lets the caller.</exception>
    public void MustRead(SpiffeId caller, CollectionName collection)
    {
        if (Bounds.MayRead(caller, collection.ToString()).Refusal is { } refusal) throw ApiException.Forbidden(refusal);
    }

    /// <param name="author">Proved.</param>
    /// <param name="from">At which vertex, proved.</param>
    /// <param name="collection">Where.</param>
    /// <exception cref="ApiException">No rule lets the author, now.</exception>
    public void MustWrite(SpiffeId author, SpiffeId from, CollectionName collection)
    {
        if (Bounds.MayWrite(author, collection.ToString(), DateTimeOffset.UtcNow).Refusal is not { } refusal) return;
        NoteRefused(author, from, refusal);
        throw ApiException.Forbidden(refusal);
    }

    /// <exception cref="ApiException">It is empty still.</exception>
    public void MustBeFilled()
    {
        if (!IsFilled) throw ApiException.Busy($"Replica {Name} is new, and takes what the others have before it accepts writes.");
    }

    /// <exception cref="ApiException">Somebody else asks.</exception>
    public void MustBeReplica(HttpContext context)
    {
        if (context.Caller() is var caller && caller == Storage) return;
        var refusal = $"Replication is among replicas: {caller.Path} is none.";
        NoteRefused(caller, context.CallerVertex(), refusal);
        throw ApiException.Forbidden(refusal);
    }

    public IEnumerable<CollectionItem> Collections() => Replica.Collections().Select(static c => new CollectionItem(c.Name.ToString(), c.Documents, c.Bytes));

    public void Publish(DocumentVersion version)
    {
        metrics.Written.Add(1);
        Accepted(version);
    }

    /// <summary>Remembers for the audit trail that a version was refused.</summary>
    /// <param name="author">Whose it is said to be.</param>
    /// <param name="from">The vertex that it came from, proved.</param>
    /// <param name="reason">A sentence.</param>
    public void NoteRefused(SpiffeId author, SpiffeId from, string reason) => Events.Add(SecurityEventKind.RefusedDocument, author.Path, from.Path, reason);

    /// <summary>Counts versions whose authors did not make them, or may not.</summary>
    public void CountRefused(int count) => Interlocked.Add(ref refused, count);

    /// <summary>Takes in what another replica told; chains that are not known are asked for there.</summary>
    /// <param name="peer">Who told.</param>
    /// <param name="versions">What.</param>
    /// <param name="chain">A chain that came along.</param>
    /// <param name="way">For the metrics: bus, pull, log, offer, swap.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="PeerException">A chain could not be had.</exception>
    /// <exception cref="StorageException">The disk failed.</exception>
    public async Task MergeAsync(PeerClient peer, IReadOnlyList<OfferedVersion> versions, byte[]? chain, string way, CancellationToken cancellationToken)
    {
        var allowance = allowances.GetOrAdd(peer.Vertex, static _ => new FailureAllowance());
        if (!allowance.IsLeft) throw new PeerException($"The replica of {peer.Vertex.Name} tells too much that is not valid; nothing is taken from it for a while.");
        var chains = new Dictionary<ChainHash, byte[]>();
        if (chain is not null) chains[ChainHash.Of(chain)] = chain;
        var result = await Replica.MergeAsync(versions, chains, cancellationToken).ConfigureAwait(false);
        Count(peer, result, way, allowance);
        if (result.UnknownChains.Count == 0) return;
        var fetched = new HashSet<ChainHash>();
        foreach (var hash in result.UnknownChains.Take(MaxChainsOfBatch))
        {
            if (await peer.ChainAsync(hash, cancellationToken).ConfigureAwait(false) is not { } found) continue;
            chains[hash] = found;
            fetched.Add(hash);
        }
        var again = versions.Where(offered => fetched.Contains(offered.Version.Chain)).ToArray();
        if (again.Length > 0) Count(peer, await Replica.MergeAsync(again, chains, cancellationToken).ConfigureAwait(false), way, allowance);
    }

    /// <summary>Ends watches, so that their callers go elsewhere.</summary>
    public Task StopWatchesAsync() => stopping.CancelAsync();

    public async ValueTask DisposeAsync()
    {
        Bounds.Changed -= rulesChanged.Set;
        materials.BundleChanged -= rulesChanged.Set;
        await stopping.CancelAsync().ConfigureAwait(false);
        await reevaluating.ConfigureAwait(false);
        if (replica is { } open) await open.DisposeAsync().ConfigureAwait(false);
        stopping.Dispose();
    }

    private void Count(PeerClient peer, MergeResult result, string way, FailureAllowance allowance)
    {
        if (result.Merged > 0) metrics.Merged.Add(result.Merged, new KeyValuePair<string, object?>("way", way));
        if (result.IsFull) Full(peer.Vertex.Name);
        if (result.Refused.Count == 0) return;
        metrics.Refused.Add(result.Refused.Count, new KeyValuePair<string, object?>("reason", "Replicated"));
        CountRefused(result.Refused.Count);
        foreach (var refused in result.Refused) NoteRefused(refused.Version.Author, peer.Vertex, $"{refused.Version.Key}: {refused.Problem}");
        if (allowance.Spend(result.Refused.Count)) Refused(result.Refused.Count, peer.Vertex.Name, result.Refused[0].Version.Key, result.Refused[0].Problem);
    }

    private async Task ReevaluateAsync(StorageReplica open, Task changed)
    {
        while (true)
        {
            try
            {
                await changed.WaitAsync(Stopping).ConfigureAwait(false);
                // What changes while it runs is looked at once more.
                changed = rulesChanged.Next;
                await open.ReevaluateAsync(Stopping).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (Stopping.IsCancellationRequested)
            {
                return;
            }
            catch (StorageException e)
            {
                NotReevaluated(e.Message);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} versions that the replica of {Replica} told are refused; the first, of {Document}: {Reason}")]
    private partial void Refused(int count, string replica, DocumentKey document, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "There is no room for what the replica of {Replica} told; delete documents, or raise --max-bytes and --max-documents")]
    private partial void Full(string replica);

    [LoggerMessage(Level = LogLevel.Error, Message = "What is held could not be checked by the new bounds: {Reason}")]
    private partial void NotReevaluated(string reason);
}
