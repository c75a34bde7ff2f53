using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>A collection, as far as it is not hidden.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Documents">Units that are not deleted.</param>
/// <param name="Bytes">Of all versions, superseded ones and tombstones too.</param>
public sealed record CollectionTotals(CollectionName Name, long Documents, long Bytes);

/// <summary>What tells whether two replicas hold the same.</summary>
/// <param name="Current">Over all current versions.</param>
/// <param name="Superseded">Over all superseded versions that count.</param>
/// <param name="Documents">Units that are not deleted.</param>
/// <param name="Sequence">The local sequence; differs between replicas.</param>
public sealed record ReplicaDigest(VersionId Current, VersionId Superseded, long Documents, long Sequence);

/// <summary>
/// Sums over what a replica holds, kept up with every change: digests, totals, how many versions name a chain. What the writer adds counts when it is published, after the commit. The
/// writer adds by one thread; everybody may ask.
/// </summary>
internal sealed class ReplicaAccounts
{
    private readonly Lock gate = new();
    private readonly DigestBuckets digests = new();
    private readonly Dictionary<CollectionName, (long Documents, long Bytes)> collections = [];
    private readonly Dictionary<ChainHash, int> chains = [];
    private readonly HashSet<ChainHash> unused = [];
    private readonly List<(VersionRow Row, int Sign, bool InDigests)> pending = [];
    private readonly List<ChainHash> forgotten = [];
    private long pendingDocuments, pendingBytes;
    private long documents, bytes, sequence;

    /// <summary>Units that are not deleted, what is not committed included. For the writer.</summary>
    public long Documents => documents + pendingDocuments;

    /// <summary>Bytes of all versions, hidden ones too, what is not committed included. For the writer.</summary>
    public long Bytes => bytes + pendingBytes;

    /// <summary>The local sequence.</summary>
    public long Sequence
    {
        get
        {
            lock (gate) return sequence;
        }
    }

    public BucketSummary Summary()
    {
        lock (gate) return digests.Summary();
    }

    public ReplicaDigest Digest()
    {
        lock (gate) return new ReplicaDigest(new VersionId(digests.Current), new VersionId(digests.Superseded), documents, sequence);
    }

    public IReadOnlyList<CollectionTotals> Collections()
    {
        lock (gate) return [.. collections.Select(static c => new CollectionTotals(c.Key, c.Value.Documents, c.Value.Bytes)).OrderBy(static c => c.Name)];
    }

    public void Add(in VersionRow row, int sign, bool inDigests)
    {
        pending.Add((row, sign, inDigests));
        pendingDocuments += Document(row) * sign;
        pendingBytes += row.Bytes * sign;
    }

    /// <summary>A version goes on to be held, and takes no part in the digests any more.</summary>
    public void TakeOutOfDigests(in VersionRow row) => pending.Add((row, 0, true));

    /// <summary>Knows of a chain that is kept.</summary>
    public void Chain(ChainHash chain, int versions)
    {
        var count = chains.GetValueOrDefault(chain) + versions;
        chains[chain] = count;
        if (count == 0) unused.Add(chain);
        else unused.Remove(chain);
    }

    /// <summary>Chains that no version names, what is not committed included.</summary>
    public List<ChainHash> UnusedChains(int limit)
    {
        var named = pending.Where(static p => p.Sign > 0).Select(static p => p.Row.Chain).ToHashSet();
        return [.. unused.Where(chain => !named.Contains(chain)).Take(limit)];
    }

    public void Forget(ChainHash chain) => forgotten.Add(chain);

    /// <summary>What was added counts now.</summary>
    public void Publish(long newSequence)
    {
        lock (gate)
        {
            // First what was forgotten: it may have come back since.
            foreach (var chain in forgotten)
            {
                chains.Remove(chain);
                unused.Remove(chain);
            }
            foreach (var (row, sign, inDigests) in pending) Count(row, sign, inDigests);
            sequence = newSequence;
        }
        Clear();
    }

    /// <summary>What was added does not count.</summary>
    /// <returns>The sequence that counts.</returns>
    public long Rollback()
    {
        Clear();
        return sequence;
    }

    private void Count(in VersionRow row, int sign, bool inDigests)
    {
        // XOR: adding and taking out are the same.
        if (inDigests) digests.Toggle(row);
        if (sign == 0) return;
        documents += Document(row) * sign;
        bytes += row.Bytes * sign;
        Chain(row.Chain, sign);
        if (row.IsHidden) return;
        var (inCollection, size) = collections.GetValueOrDefault(row.Key.Collection);
        (inCollection, size) = (inCollection + (Document(row) * sign), size + (row.Bytes * sign));
        if (size == 0) collections.Remove(row.Key.Collection);
        else collections[row.Key.Collection] = (inCollection, size);
    }

    private void Clear()
    {
        pending.Clear();
        forgotten.Clear();
        (pendingDocuments, pendingBytes) = (0, 0);
    }

    private static int Document(in VersionRow row) => row.State == VersionState.Current && !row.IsTombstone ? 1 : 0;
}
