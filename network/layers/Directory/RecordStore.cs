using System.Diagnostics.CodeAnalysis;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>What one identity has in the store: for quotas, and to find the services of a vertex.</summary>
internal sealed class Origin(SpiffeId id)
{
    // A restart announces everything at once; afterwards a change every 50 ms is more than a healthy vertex makes.
    private const double Burst = 1024, PerSecond = 20;

    public SpiffeId Id { get; } = id;

    public DirectoryRecord? VertexRecord { get; set; }

    public Dictionary<SpiffeId, DirectoryRecord> Services { get; } = [];

    public int UnknownKinds { get; set; }

    public int Revocations { get; set; }

    public int Bytes { get; set; }

    public Allowance Changes = new(Burst, PerSecond);

    public bool IsEmpty => VertexRecord is null && Services.Count == 0 && UnknownKinds == 0 && Revocations == 0;
}

/// <summary>
/// The records that this vertex holds, by key and by bucket of the digest, with the certificate chains that they name. Holds what it is
/// given: whoever puts a record has checked it.
/// </summary>
internal sealed class RecordStore
{
    private readonly Dictionary<ulong, DirectoryRecord> records = [];
    private readonly List<DirectoryRecord>[] buckets = new List<DirectoryRecord>[DirectoryLimits.Buckets];
    private readonly ulong[] summaries = new ulong[DirectoryLimits.Buckets];
    private readonly Dictionary<CertificateHash, CertificateChain> chains = [];
    private readonly Dictionary<SpiffeId, Origin> origins = [];

    public RecordStore()
    {
        for (var i = 0; i < buckets.Length; i++) buckets[i] = [];
    }

    public int Count => records.Count;

    public int Chains => chains.Count;

    public int Vertices { get; private set; }

    /// <summary>Bytes of records and chains.</summary>
    public long Bytes { get; private set; }

    public IReadOnlyCollection<DirectoryRecord> Records => records.Values;

    public IReadOnlyCollection<Origin> Origins => origins.Values;

    public IReadOnlyCollection<CertificateChain> AllChains => chains.Values;

    public DirectoryRecord? Find(ulong key) => records.GetValueOrDefault(key);

    public Origin? FindOrigin(SpiffeId id) => origins.GetValueOrDefault(id);

    public bool TryGetChain(CertificateHash hash, [NotNullWhen(true)] out CertificateChain? chain) => chains.TryGetValue(hash, out chain);

    public ulong Summary(int bucket) => summaries[bucket];

    /// <summary>The records of the buckets from <paramref name="first"/> to <paramref name="last"/>, by ascending key.</summary>
    public IEnumerable<DirectoryRecord> InBuckets(int first, int last)
    {
        for (var bucket = first; bucket <= last; bucket++)
        {
            foreach (var record in buckets[bucket].OrderBy(static r => r.Key)) yield return record;
        }
    }

    public IReadOnlyList<DirectoryRecord> Bucket(int bucket) => buckets[bucket];

    public void AddChain(CertificateChain chain, Instant now)
    {
        if (!chains.TryAdd(chain.Hash, chain)) return;
        chain.UnreferencedSince = now;
        Bytes += chain.Encoded.Length;
    }

    public void RemoveChain(CertificateChain chain)
    {
        if (chains.Remove(chain.Hash)) Bytes -= chain.Encoded.Length;
    }

    /// <summary>Puts a record in the place of the one with its key. Its chain is in the store.</summary>
    public void Put(DirectoryRecord record, Instant now)
    {
        if (records.TryGetValue(record.Key, out var old)) Remove(old, now);
        records.Add(record.Key, record);
        var bucket = BucketOf(record.Key);
        record.BucketIndex = buckets[bucket].Count;
        buckets[bucket].Add(record);
        summaries[bucket] ^= record.Version.Hash;
        record.Chain.References++;
        Bytes += record.Bytes.Length;
        var id = record.Vertex ?? record.Signer;
        if (!origins.TryGetValue(id, out var origin)) origins.Add(id, origin = new Origin(id));
        Attach(origin, record);
    }

    /// <summary>Removes a record; the origin stays, even when empty, until <see cref="RemoveEmptyOrigins"/>.</summary>
    public void Remove(DirectoryRecord record, Instant now)
    {
        if (!records.Remove(record.Key)) return;
        var bucket = buckets[BucketOf(record.Key)];
        var last = bucket[^1];
        bucket[record.BucketIndex] = last;
        last.BucketIndex = record.BucketIndex;
        bucket.RemoveAt(bucket.Count - 1);
        summaries[BucketOf(record.Key)] ^= record.Version.Hash;
        if (--record.Chain.References == 0) record.Chain.UnreferencedSince = now;
        Bytes -= record.Bytes.Length;
        Detach(origins[record.Vertex ?? record.Signer], record);
    }

    public void RemoveEmptyOrigins()
    {
        foreach (var origin in origins.Values)
        {
            if (origin.IsEmpty) origins.Remove(origin.Id);
        }
    }

    private static int BucketOf(ulong key) => (int)(key >> 56);

    private void Attach(Origin origin, DirectoryRecord record)
    {
        // What an operator may still say besides does not depend on how many it has revoked.
        if (record.Kind != RecordKind.Revocation) origin.Bytes += record.Bytes.Length;
        switch (record.Kind)
        {
            case RecordKind.Revocation:
                origin.Revocations++;
                break;
            case RecordKind.Vertex:
                origin.VertexRecord = record;
                Vertices++;
                break;
            case RecordKind.Service:
                origin.Services[record.Signer] = record;
                break;
            default:
                origin.UnknownKinds++;
                break;
        }
    }

    private void Detach(Origin origin, DirectoryRecord record)
    {
        if (record.Kind != RecordKind.Revocation) origin.Bytes -= record.Bytes.Length;
        switch (record.Kind)
        {
            case RecordKind.Revocation:
                origin.Revocations--;
                break;
            case RecordKind.Vertex:
                origin.VertexRecord = null;
                Vertices--;
                break;
            case RecordKind.Service:
                origin.Services.Remove(record.Signer);
                break;
            default:
                origin.UnknownKinds--;
                break;
        }
    }
}
