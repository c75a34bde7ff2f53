using Florete.Storage.Contracts;

namespace Florete.Storage;

public sealed partial class StorageReplica
{
    private readonly Refusals refusals = new();

    /// <summary>What to fetch of what another replica told: what is neither held nor was refused lately.</summary>
    public IReadOnlyList<BucketEntry> Lacking(IReadOnlyList<BucketEntry> told)
    {
        var lacking = reader.Lacking(told.Select(static e => e.Id)).ToHashSet();
        return [.. told.Where(e => lacking.Contains(e.Id) && !refusals.Contains(e.Id))];
    }

    private async Task<WriteResult> AcceptAsync(DocumentVersion version, byte[]? chain, Func<Replica, VerifiedVersion, WriteResult> accept, CancellationToken cancellation)
    {
        var verification = verifier.Verify(version, chain);
        if (verification.IsChainUnknown) return new WriteResult(WriteStatus.ChainUnknown, $"The certificate chain {version.Chain} is not known here; send it with the version.");
        if (verification.Verified is not { } verified) return new WriteResult(WriteStatus.Forbidden, verification.Problem);
        var waiting = queue.TryAdd(r => accept(r, verified), version.Bytes.Length);
        return waiting is null ? new WriteResult(WriteStatus.Unavailable, "Too many writes wait for the disk; try again in a second.") : await waiting.WaitAsync(cancellation);
    }

    private async Task<MergeStatus[]?> MergeAsync(List<(VerifiedVersion Version, bool IsSuperseded)> verified, CancellationToken cancellation)
    {
        var waiting = queue.TryAdd(
            r =>
            {
                var statuses = new MergeStatus[verified.Count];
                for (var i = 0; i < statuses.Length; i++) statuses[i] = r.Merge(verified[i].Version, verified[i].IsSuperseded);
                return statuses;
            },
            verified.Sum(static v => v.Version.Version.Bytes.Length));
        return waiting is null ? null : await waiting.WaitAsync(cancellation);
    }

    private RefusedVersion Refuse(DocumentVersion version, string problem)
    {
        refusals.Add(version.Id);
        return new RefusedVersion(version, problem);
    }

    private Task<T> Upkeep<T>(Func<Replica, T> work, CancellationToken cancellation) => queue.TryAdd(work, 0, isUpkeep: true)!.WaitAsync(cancellation);

    /// <summary>What is done every minute.</summary>
    internal async Task UpkeepNowAsync()
    {
        await Upkeep(
            static r =>
            {
                r.Age();
                return true;
            },
            ending.Token);
        while (await Upkeep(static r => r.Purge(UpkeepRows), ending.Token))
        {
        }
    }

    private async Task UpkeepAsync(PeriodicTimer timer)
    {
        using (timer)
        {
            try
            {
                while (await timer.WaitForNextTickAsync(ending.Token))
                {
                    try
                    {
                        await UpkeepNowAsync();
                    }
                    catch (StorageException e)
                    {
                        StorageLog.UpkeepFailed(logger, e);
                    }
                }
            }
            catch (OperationCanceledException) when (ending.IsCancellationRequested)
            {
            }
        }
    }

    private void Signal()
    {
        var signal = Interlocked.Exchange(ref changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        signal.TrySetResult();
    }

    /// <summary>What was refused lately: a replica with other bounds offers the same again and again. Thread-safe.</summary>
    private sealed class Refusals
    {
        // When full it starts over.
        private const int Most = 16_384;

        private readonly Lock gate = new();
        private readonly HashSet<VersionId> ids = [];

        public bool Contains(VersionId id)
        {
            lock (gate) return ids.Contains(id);
        }

        public void Add(VersionId id)
        {
            lock (gate)
            {
                if (ids.Count >= Most) ids.Clear();
                ids.Add(id);
            }
        }

        public void Clear()
        {
            lock (gate) ids.Clear();
        }
    }
}
