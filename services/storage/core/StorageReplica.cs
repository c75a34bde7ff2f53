using System.Diagnostics;
using Florete.Identities;
using Florete.Storage.Contracts;
using Florete.Storage.Sqlite;
using Microsoft.Extensions.Logging;

namespace Florete.Storage;

/// <summary>
/// A replica of the storage on disk: checks, takes and merges versions, and tells what it holds. It knows no other replica: whoever uses it carries versions between them. Thread-safe. Members that reach
/// the disk throw <see cref="StorageException"/> when it fails.
/// </summary>
public sealed partial class StorageReplica : IAsyncDisposable
{
    // Rows looked at in one transaction: about 10 ms.
    private const int UpkeepRows = 1000;

    private static readonly TimeSpan UpkeepEvery = TimeSpan.FromMinutes(1);

    private readonly SqliteVersionStore store;
    private readonly SqliteVersionReader reader;
    private readonly Replica replica;
    private readonly AuthorProofs proofs;
    private readonly VersionVerifier verifier;
    private readonly CommitQueue queue;
    private readonly ILogger logger;
    private readonly SemaphoreSlim reevaluating = new(1, 1);
    private readonly CancellationTokenSource ending = new();
    private readonly Task upkeep;
    private int disposed;
    private volatile TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private StorageReplica(SqliteVersionStore store, ReplicaName name, IWriteRules rules, IPeerVerifier peers, StorageLimits limits, TimeProvider time, ILogger logger)
    {
        var began = Stopwatch.GetTimestamp();
        (this.store, this.logger) = (store, logger);
        reader = new SqliteVersionReader(store.File);
        proofs = new AuthorProofs(peers);
        verifier = new VersionVerifier(rules, proofs, reader.ReadChain);
        replica = new Replica(name, store, verifier.IsValid, time, limits);
        queue = new CommitQueue(replica, Signal, logger);
        upkeep = UpkeepAsync(new PeriodicTimer(UpkeepEvery, time));
        StorageLog.Opened(logger, store.File, replica.Accounts.Digest().Documents, replica.Accounts.Sequence, Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        if (replica.Clock.Behind > StorageProtocol.MaxStampAhead) StorageLog.ClockBehind(logger, replica.Clock.Behind.TotalSeconds);
    }

    /// <summary>The replica's name, which is its vertex's.</summary>
    public ReplicaName Name => replica.Name;

    /// <summary>Reads of what is held; beside the writer.</summary>
    public IVersionReader Reader => reader;

    /// <summary>Where the changes end now.</summary>
    public ChangePosition Position => new(replica.Name, replica.Incarnation, replica.Accounts.Sequence);

    /// <summary>How far the wall clock is behind what is held. Above <see cref="StorageProtocol.MaxStampAhead"/> nothing is accepted here.</summary>
    public TimeSpan ClockBehind => replica.Clock.Behind;

    /// <summary>Opens the database in a folder, or makes it (0700), reads what it holds, and checks it against the bounds of now.</summary>
    /// <param name="folder">One replica's alone.</param>
    /// <param name="name">The vertex's name.</param>
    /// <param name="rules">Who may write what.</param>
    /// <param name="peers">Proves authors.</param>
    /// <param name="limits">Its bounds.</param>
    /// <param name="time">The wall clock.</param>
    /// <param name="logger">What it tells.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="StorageException">The database is damaged, newer, in use, or another's; the message says what to do. Nothing was changed.</exception>
    public static async Task<StorageReplica> OpenAsync(
        string folder, ReplicaName name, IWriteRules rules, IPeerVerifier peers, StorageLimits limits, TimeProvider time, ILogger logger, CancellationToken cancellation = default)
    {
        var opened = await Task.Run(
            () =>
            {
                var store = SqliteVersionStore.Open(folder, name);
                try
                {
                    return new StorageReplica(store, name, rules, peers, limits, time, logger);
                }
                catch
                {
                    store.Dispose();
                    throw;
                }
            },
            cancellation);
        try
        {
            if (opened.replica.NeedsReevaluation) await opened.ReevaluateAsync(cancellation);
            return opened;
        }
        catch
        {
            await opened.DisposeAsync();
            throw;
        }
    }

    /// <summary>What an author needs to make a version of a unit.</summary>
    public PreparedWrite Prepare(DocumentKey key) => replica.Prepare(reader.ReadUnit(key));

    /// <summary>Takes a write. When the answer says accepted, it is on disk.</summary>
    /// <param name="version">What the author signed.</param>
    /// <param name="chain">The author's encoded chain, if it was sent.</param>
    /// <param name="caller">Who is proved to have sent it; null: another replica, which has checked that.</param>
    /// <param name="cancellation">Stops the waiting; what waits for a commit may still be accepted.</param>
    public Task<WriteResult> WriteAsync(DocumentVersion version, byte[]? chain, SpiffeId? caller, CancellationToken cancellation = default) =>
        AcceptAsync(version, chain, (r, verified) => r.Write(verified, caller), cancellation);

    /// <summary>Takes a compare-and-swap, at the arbiter; merge what the caller's replica holds of the unit before.</summary>
    /// <param name="version">What the author signed; it says that it was made so.</param>
    /// <param name="chain">As for <see cref="WriteAsync"/>.</param>
    /// <param name="expected">The version that must be current; null: none, or a tombstone.</param>
    /// <param name="caller">As for <see cref="WriteAsync"/>.</param>
    /// <param name="cancellation">As for <see cref="WriteAsync"/>.</param>
    public Task<WriteResult> CompareAndSwapAsync(DocumentVersion version, byte[]? chain, VersionId? expected, SpiffeId? caller, CancellationToken cancellation = default) =>
        AcceptAsync(version, chain, (r, verified) => r.CompareAndSwap(verified, expected, caller), cancellation);

    /// <summary>Takes in versions that another replica told; what it says is checked like any other. When it returns, they are on disk.</summary>
    /// <param name="versions">At most a batch.</param>
    /// <param name="chains">Chains that were fetched for them.</param>
    /// <param name="cancellation">Stops the waiting.</param>
    public async Task<MergeResult> MergeAsync(
        IReadOnlyList<OfferedVersion> versions, IReadOnlyDictionary<ChainHash, byte[]>? chains = null, CancellationToken cancellation = default)
    {
        var refused = new List<RefusedVersion>();
        var unknown = new HashSet<ChainHash>();
        var verified = new List<(VerifiedVersion Version, bool IsSuperseded)>();
        var lacking = reader.Lacking(versions.Select(static v => v.Version.Id)).ToHashSet();
        foreach (var (version, isSuperseded) in versions)
        {
            // What is held needs no proof.
            if (!lacking.Contains(version.Id)) continue;
            var verification = verifier.Verify(version, chains?.GetValueOrDefault(version.Chain));
            if (verification.Verified is { } good) verified.Add((good, isSuperseded));
            else if (verification.IsChainUnknown) unknown.Add(version.Chain);
            else refused.Add(Refuse(version, verification.Problem!));
        }
        var statuses = verified.Count == 0 ? [] : await MergeAsync(verified, cancellation);
        if (statuses is null) return new MergeResult(0, 0, verified.Count, refused, unknown, false);
        for (var i = 0; i < statuses.Length; i++)
        {
            if (statuses[i] == MergeStatus.Invalid) refused.Add(Refuse(verified[i].Version.Version, "The bounds do not allow it any more."));
        }
        return new MergeResult(
            statuses.Count(static s => s == MergeStatus.Merged), versions.Count - lacking.Count + statuses.Count(static s => s == MergeStatus.Known), statuses.Count(static s => s == MergeStatus.Early),
            refused, unknown, statuses.Contains(MergeStatus.Full));
    }

    /// <summary>The digests of now.</summary>
    public BucketSummary Summary() => replica.Accounts.Summary();

    /// <summary>To compare replicas: equal digests, equal content.</summary>
    public ReplicaDigest Digest() => replica.Accounts.Digest();

    /// <summary>All collections, ascending.</summary>
    public IReadOnlyList<CollectionTotals> Collections() => replica.Accounts.Collections();

    /// <summary>The answer to another replica's summary.</summary>
    public IReadOnlyList<BucketEntry> DifferencesFrom(BucketSummary theirs) => replica.DifferencesFrom(theirs, reader);

    /// <summary>Checks a position for a watch: null if it can go on from there, else why it cannot (answer 410).</summary>
    public string? ProblemOf(ChangePosition position)
    {
        if (position.Replica != Name) return $"This is a position of replica {position.Replica}, and this is {Name}; list again.";
        if (position.Incarnation != replica.Incarnation || position.Sequence > replica.Accounts.Sequence) return $"This is a position of a database that {Name} has no more; list again.";
        return position.Sequence < replica.Purged ? "Deletions after this position have been purged; list again." : null;
    }

    /// <summary>Returns when there are changes after a sequence: at once, if there are already.</summary>
    public async Task WaitForChangeAsync(long after, CancellationToken cancellation = default)
    {
        while (true)
        {
            // Taken before the look: a commit in between ends it.
            var signal = changed.Task;
            if (replica.Accounts.Sequence > after) return;
            await signal.WaitAsync(cancellation);
        }
    }

    /// <summary>To be called when the bounds or the bundle have changed: hides what is not valid any more, shows what is again. Writes go on meanwhile, by the new bounds.</summary>
    public async Task ReevaluateAsync(CancellationToken cancellation = default)
    {
        await reevaluating.WaitAsync(cancellation);
        try
        {
            proofs.Clear();
            refusals.Clear();
            for (long? after = 0; after is { } from;) after = await Upkeep(r => r.Reevaluate(from, UpkeepRows), cancellation);
        }
        finally
        {
            reevaluating.Release();
        }
    }

    /// <summary>Finishes what waits, writes back the WAL, and lets go of the folder.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, 1) != 0) return;
        await ending.CancelAsync();
        await upkeep;
        await Task.Run(queue.Dispose);
        reader.Dispose();
        store.Dispose();
        reevaluating.Dispose();
        ending.Dispose();
        changed.TrySetCanceled();
    }
}
