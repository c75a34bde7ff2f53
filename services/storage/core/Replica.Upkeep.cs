using Florete.Storage.Contracts;

namespace Florete.Storage;

// What time and bounds do to what is held. Each step is small, so that writes go on between the steps.
internal sealed partial class Replica
{
    // Beyond them a unit has been hidden again and again; the newest stay.
    private const int MaxHidden = StorageLimits.MaxSuperseded + 1;

    private readonly Lock ageGate = new();
    private long reevaluateUntil;
    // What takes part in digests, for the writer; and as committed, for everybody.
    private (Stamp Superseded, Stamp Tombstones) countedFrom;
    private (Stamp Superseded, Stamp Tombstones) committedFrom;

    /// <summary>What the other side of a comparison may lack: all that is held in the buckets that differ, whole buckets, until there are <see cref="Differences.MaxEntries"/>. Any thread.</summary>
    public IReadOnlyList<BucketEntry> DifferencesFrom(BucketSummary theirs, IVersionReader reader)
    {
        (Stamp Superseded, Stamp Tombstones) from;
        lock (ageGate) from = committedFrom;
        var entries = new List<BucketEntry>();
        foreach (var bucket in accounts.Summary().Differing(theirs))
        {
            entries.AddRange(reader.ReadBucket(bucket, from.Superseded, from.Tombstones));
            if (entries.Count >= Differences.MaxEntries) break;
        }
        return entries;
    }

    /// <summary>One step through what is held after the bounds have changed: hides what is not valid any more, shows what is valid again.</summary>
    /// <param name="after">0 first, then what the step before returned.</param>
    /// <param name="limit">Rows to look at.</param>
    /// <returns>Where to go on; null: all was looked at.</returns>
    public long? Reevaluate(long after, int limit)
    {
        // What comes from now on is checked by the new bounds. What was done in this transaction before was not, so the sequence is not the one that has been committed.
        if (after == 0) reevaluateUntil = sequence;
        var rows = store.ReadRows(after, limit);
        foreach (var key in rows.Where(row => IsValid(row) == row.IsHidden).Select(static row => row.Key).Distinct()) Reevaluate(key);
        if (rows.Count == limit && rows[^1].Sequence < reevaluateUntil) return rows[^1].Sequence;
        NeedsReevaluation = false;
        return null;
    }

    /// <summary>Takes out of the digests what has come near its end. To be called within a transaction, now and then.</summary>
    public void Age()
    {
        var (superseded, tombstones) = DigestFrom();
        Age(false, countedFrom.Superseded, superseded);
        Age(true, countedFrom.Tombstones, tombstones);
        countedFrom = (Later(superseded, countedFrom.Superseded), Later(tombstones, countedFrom.Tombstones));
    }

    /// <summary>Removes superseded versions and tombstones at their end, and chains that no version names; at most <paramref name="limit"/> of each.</summary>
    /// <returns>Whether there may be more.</returns>
    public bool Purge(int limit)
    {
        var superseded = store.ReadAged(false, Stamp.None, SupersededUntil(), limit);
        var tombstones = store.ReadAged(true, Stamp.None, TombstonesUntil(), limit);
        var purged = Purged;
        foreach (var row in superseded.Concat(tombstones))
        {
            store.Remove(row.Sequence);
            Account(row, -1);
            if (row.IsTombstone && row.State == VersionState.Current) purged = Math.Max(purged, row.Sequence);
        }
        var chains = accounts.UnusedChains(limit);
        foreach (var chain in chains)
        {
            store.RemoveChain(chain);
            accounts.Forget(chain);
        }
        // The rows that had the greatest sequence and stamp may be gone now.
        if (superseded.Count + tombstones.Count > 0) WriteHeader(purged);
        return superseded.Count == limit || tombstones.Count == limit || chains.Count == limit;
    }

    private void Reevaluate(DocumentKey key)
    {
        var unit = store.ReadUnit(key);
        var valid = unit.Where(v => IsValid(VersionRow.Of(v))).ToList();
        var after = UnitState.Of(valid.Select(static v => new UnitMember(v.Version, v.State is VersionState.Superseded or VersionState.HiddenSuperseded))).Settle(SupersededUntil());
        foreach (var stored in valid)
        {
            if (after.Contains(stored.Version.Id)) Hold(stored, StateIn(after, stored.Version));
            else Remove(stored);
        }
        var hidden = unit.Except(valid).OrderByDescending(static v => v.Version.Stamp).ToList();
        foreach (var stored in hidden.Take(MaxHidden))
        {
            Hold(stored, stored.State is VersionState.Superseded or VersionState.HiddenSuperseded ? VersionState.HiddenSuperseded : VersionState.Hidden);
        }
        foreach (var stored in hidden.Skip(MaxHidden)) Remove(stored);
    }

    private void Age(bool areTombstones, Stamp from, Stamp until)
    {
        if (until <= from) return;
        foreach (var row in store.ReadAged(areTombstones, from, until, int.MaxValue)) accounts.TakeOutOfDigests(row);
    }

    private bool TakesPartInDigests(in VersionRow row) => row.State switch
    {
        VersionState.Superseded => row.Stamp >= countedFrom.Superseded,
        VersionState.Current => !row.IsTombstone || row.Stamp >= countedFrom.Tombstones,
        _ => false,
    };

    // By whole hours, so that replicas leave the same out whenever they look.
    private (Stamp Superseded, Stamp Tombstones) DigestFrom()
    {
        var hour = DateTimeOffset.FromUnixTimeSeconds(time.GetUtcNow().ToUnixTimeSeconds() / 3600 * 3600);
        return (Stamp.Of(hour - StorageLimits.SupersededLifetime + StorageLimits.DigestMargin), Stamp.Of(hour - StorageLimits.TombstoneLifetime + StorageLimits.DigestMargin));
    }

    private Stamp SupersededUntil() => Stamp.Of(time.GetUtcNow() - StorageLimits.SupersededLifetime);

    private Stamp TombstonesUntil() => Stamp.Of(time.GetUtcNow() - StorageLimits.TombstoneLifetime);

    private static Stamp Later(Stamp a, Stamp b) => a > b ? a : b;
}
