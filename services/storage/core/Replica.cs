using Florete.Identities;
using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>
/// The decisions of one replica, without I/O of their own: what is accepted, what a merge leaves, what is purged. Changes are made between <see cref="Begin"/> and <see cref="Commit"/>, by one
/// thread at a time; nothing may be acknowledged before the commit. What it tells (digests, totals, position) is what has been committed, and may be asked by any thread.
/// </summary>
internal sealed partial class Replica
{
    private readonly IVersionStore store;
    private readonly Validity validity;
    private readonly TimeProvider time;
    private readonly StorageLimits limits;
    private readonly ReplicaAccounts accounts = new();
    private long sequence;

    /// <summary>Reads the rows of the store once, without their bodies. Follow it by <see cref="Reevaluate(long, int)"/> if <see cref="NeedsReevaluation"/>.</summary>
    /// <param name="name">Whose it is.</param>
    /// <param name="store">What it holds.</param>
    /// <param name="validity">Is a version that was verified once still valid?</param>
    /// <param name="time">The wall clock.</param>
    /// <param name="limits">Its bounds.</param>
    /// <exception cref="StorageException">The store cannot be read.</exception>
    public Replica(ReplicaName name, IVersionStore store, Validity validity, TimeProvider time, StorageLimits limits)
    {
        (Name, this.store, this.validity, this.time, this.limits) = (name, store, validity, time, limits);
        committedFrom = countedFrom = DigestFrom();
        sequence = store.Header.Sequence;
        var clock = store.Header.Clock;
        for (var after = 0L; ;)
        {
            var rows = store.ReadRows(after, ScanRows);
            foreach (var row in rows)
            {
                Account(row, 1);
                if (row.Stamp > clock) clock = row.Stamp;
                NeedsReevaluation |= IsValid(row) == row.IsHidden;
            }
            if (rows.Count > 0) after = rows[^1].Sequence;
            if (after > sequence) sequence = after;
            accounts.Publish(sequence);
            if (rows.Count < ScanRows) break;
        }
        foreach (var chain in store.ReadChains()) accounts.Chain(chain, 0);
        Clock = new HybridClock(time, clock);
    }

    private const int ScanRows = 1000;

    public ReplicaName Name { get; }

    public HybridClock Clock { get; }

    /// <summary>Of the database; see <see cref="ChangePosition"/>.</summary>
    public string Incarnation => store.Header.Incarnation;

    /// <summary>Who watches from before this sequence has missed a deletion.</summary>
    public long Purged => store.Header.Purged;

    /// <summary>Some version is hidden that is valid, or the other way round: the bounds changed while nobody looked.</summary>
    public bool NeedsReevaluation { get; private set; }

    public ReplicaAccounts Accounts => accounts;

    public void Begin() => store.Begin();

    /// <summary>Returns when all since <see cref="Begin"/> is on disk; then, and only then, it is acknowledged.</summary>
    /// <exception cref="StorageException">It is not; call <see cref="Rollback"/>.</exception>
    public void Commit()
    {
        store.Commit();
        accounts.Publish(sequence);
        lock (ageGate) committedFrom = countedFrom;
    }

    /// <summary>Forgets all since <see cref="Begin"/>.</summary>
    public void Rollback()
    {
        store.Rollback();
        sequence = accounts.Rollback();
        countedFrom = committedFrom;
    }

    /// <summary>What an author needs to know; the unit as given, so that committed versions may be read beside the writer.</summary>
    public PreparedWrite Prepare(IEnumerable<StoredVersion> unit) => Prepare(Valid(unit));

    /// <summary>A write by an author, accepted or not.</summary>
    /// <param name="verified">The version.</param>
    /// <param name="caller">The proved caller; null where another replica has asked on behalf of the author.</param>
    public WriteResult Write(VerifiedVersion verified, SpiffeId? caller)
    {
        if ((verified.Version.Flags & VersionFlags.CompareAndSwap) != 0)
        {
            return new WriteResult(WriteStatus.Forbidden, "The version says that it was made by compare-and-swap, and the request names no version to replace; send If-Match or If-None-Match.");
        }
        return Accept(verified, caller, null);
    }

    /// <summary>A compare-and-swap by an author, at the arbiter.</summary>
    /// <param name="verified">The version.</param>
    /// <param name="expected">What must be current; null: nothing, or a tombstone.</param>
    /// <param name="caller">As for <see cref="Write"/>.</param>
    public WriteResult CompareAndSwap(VerifiedVersion verified, VersionId? expected, SpiffeId? caller)
    {
        if ((verified.Version.Flags & VersionFlags.CompareAndSwap) == 0)
        {
            return new WriteResult(WriteStatus.Forbidden, "The version does not say that it was made by compare-and-swap; set flag 2 and sign it again.");
        }
        return Accept(verified, caller, current => expected is { } id ? current?.Id == id : current is null || current.IsTombstone);
    }

    /// <summary>Takes in what another replica holds. Nothing is answered before the commit.</summary>
    /// <param name="verified">The version.</param>
    /// <param name="isSuperseded">The other replica holds it as superseded.</param>
    public MergeStatus Merge(VerifiedVersion verified, bool isSuperseded)
    {
        var version = verified.Version;
        if (store.Holds(version.Id)) return MergeStatus.Known;
        if (Clock.IsTooFarAhead(version.Stamp)) return MergeStatus.Early;
        if (!IsValid(verified)) return MergeStatus.Invalid;
        var oldest = SupersededUntil();
        if ((isSuperseded && version.Stamp < oldest) || (version.IsTombstone && version.Stamp < TombstonesUntil())) return MergeStatus.Known;
        var unit = store.ReadUnit(version.Key);
        var after = Valid(unit).Join(UnitState.Of(version, isSuperseded)).Settle(oldest);
        if (!after.Contains(version.Id))
        {
            Clock.TryAccept(version.Stamp);
            return MergeStatus.Known;
        }
        if (IsFull(version, unit)) return MergeStatus.Full;
        Clock.TryAccept(version.Stamp);
        Apply(unit, after, verified);
        return MergeStatus.Merged;
    }

    private WriteResult Accept(VerifiedVersion verified, SpiffeId? caller, Func<DocumentVersion?, bool>? compare)
    {
        var version = verified.Version;
        if (caller is not null && caller != version.Author)
        {
            return new WriteResult(WriteStatus.Forbidden, $"{caller} sent a version of {version.Author}; everybody writes in their own name.");
        }
        // The answer to the first try was lost.
        if (store.Holds(version.Id)) return new WriteResult(WriteStatus.Accepted);
        if (!IsValid(verified)) return new WriteResult(WriteStatus.Forbidden, $"The bounds do not let {version.Author} write collection '{version.Key.Collection}' any more.");
        if (Clock.Behind > StorageProtocol.MaxStampAhead)
        {
            return new WriteResult(WriteStatus.Unavailable, $"The clock of {Name} is {Clock.Behind.TotalSeconds:F0} s behind what it holds; set it, or write at another node.");
        }
        var unit = store.ReadUnit(version.Key);
        var state = Valid(unit);
        if (compare?.Invoke(state.Current) == false) return Conflict($"Another version of {version.Key} is current.", state);
        if (version.Replica != Name) return Conflict($"The version was made for replica {version.Replica}, and this is {Name}.", state);
        if (!Fits(version, unit, state)) return Conflict($"{version.Key} has changed since the version was made.", state);
        if (Clock.IsTooFarAhead(version.Stamp) || Clock.IsTooFarBehind(version.Stamp)) return Conflict($"Stamp {version.Stamp} is not within 60 s of the clock of {Name}.", state);
        if (IsFull(version, unit)) return new WriteResult(WriteStatus.Full, $"Replica {Name} holds {accounts.Documents} documents and {accounts.Bytes} bytes, and may not hold more; delete some, or raise the limit.");
        Clock.TryAccept(version.Stamp);
        Apply(unit, state.Join(UnitState.Of(version)).Settle(SupersededUntil()), verified);
        return new WriteResult(WriteStatus.Accepted);
    }

    // Dominates all that is held, and has a stamp above all of it, what is hidden too: (replica, stamp) names one version.
    private static bool Fits(DocumentVersion version, List<StoredVersion> unit, UnitState state)
    {
        foreach (var stored in unit)
        {
            if (stored.Version.Stamp >= version.Stamp) return false;
        }
        foreach (var member in state.Members)
        {
            if (!version.Dominates(member.Version)) return false;
        }
        return true;
    }

    private WriteResult Conflict(string problem, UnitState state) => new(WriteStatus.Conflict, problem, Prepare(state));

    private PreparedWrite Prepare(UnitState state) =>
        new(Name, Clock.Next(), state.Current?.Id, state.Seen(Stamp.Of(time.GetUtcNow() - StorageProtocol.SeenLifetime)));

    private bool IsFull(DocumentVersion version, List<StoredVersion> unit)
    {
        // Deletions make room.
        if (version.IsTombstone) return false;
        if (accounts.Bytes + version.Bytes.Length > limits.MaxBytes) return true;
        return accounts.Documents >= limits.MaxDocuments && !unit.Exists(static v => v.State == VersionState.Current && !v.Version.IsTombstone);
    }

    /// <summary>Makes the valid versions of a unit what <paramref name="after"/> says.</summary>
    private void Apply(List<StoredVersion> unit, UnitState after, VerifiedVersion added)
    {
        foreach (var stored in unit.Where(v => !v.IsHidden && after.Contains(v.Version.Id))) Hold(stored, StateIn(after, stored.Version));
        Insert(added, StateIn(after, added.Version));
        foreach (var stored in unit.Where(v => !v.IsHidden && !after.Contains(v.Version.Id))) Remove(stored);
    }

    private void Insert(VerifiedVersion added, VersionState state)
    {
        store.PutChain(added.Version.Chain, added.Chain);
        var stored = new StoredVersion(++sequence, state, added.Version);
        store.Insert(stored);
        Account(VersionRow.Of(stored), 1);
    }

    private void Hold(StoredVersion stored, VersionState state)
    {
        if (stored.State == state) return;
        store.Move(stored.Sequence, ++sequence, state);
        Account(VersionRow.Of(stored), -1);
        Account(VersionRow.Of(stored with { Sequence = sequence, State = state }), 1);
    }

    private void Remove(StoredVersion stored)
    {
        store.Remove(stored.Sequence);
        Account(VersionRow.Of(stored), -1);
        // A sequence that was told is never used again, nor after a start.
        if (stored.Sequence == sequence) WriteHeader(Purged);
    }

    private void WriteHeader(long purged) => store.WriteHeader(store.Header with { Sequence = sequence, Purged = purged, Clock = Clock.Latest });

    private void Account(in VersionRow row, int sign) => accounts.Add(row, sign, TakesPartInDigests(row));

    // The chain may be in this transaction, or in no one's store yet.
    private bool IsValid(VerifiedVersion verified) => validity(VersionRow.Of(new StoredVersion(0, VersionState.Current, verified.Version)), _ => verified.Chain);

    private bool IsValid(in VersionRow row) => validity(row, store.ReadChain);

    private static VersionState StateIn(UnitState state, DocumentVersion version) => state.Current!.Id == version.Id ? VersionState.Current : VersionState.Superseded;

    private static UnitState Valid(IEnumerable<StoredVersion> unit) =>
        UnitState.Of(unit.Where(static v => !v.IsHidden).Select(static v => new UnitMember(v.Version, v.State == VersionState.Superseded)));
}

/// <summary>Is a version that was verified once valid by the bounds and the bundle of now?</summary>
/// <param name="row">The version.</param>
/// <param name="findChain">Gives its author's chain, as the writer of the replica sees it.</param>
internal delegate bool Validity(in VersionRow row, Func<ChainHash, byte[]?> findChain);

/// <summary>What became of a version that another replica told.</summary>
internal enum MergeStatus
{
    Merged,

    /// <summary>Held, dominated by what is held, or too old.</summary>
    Known,

    /// <summary>Its stamp is too far ahead of the clock.</summary>
    Early,

    /// <summary>The bounds do not allow it any more.</summary>
    Invalid,

    /// <summary>There is no room.</summary>
    Full,
}
