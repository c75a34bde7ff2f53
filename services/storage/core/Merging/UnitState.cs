using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>A version of a unit, and whether it is marked as superseded: a mark is never taken from it.</summary>
internal readonly record struct UnitMember(DocumentVersion Version, bool IsMarked);

/// <summary>
/// What is held of one unit: the merge, apart from any store. Immutable. The greatest member is current.
/// </summary>
/// <remarks>
/// <para><see cref="Join"/> is a join semilattice: members are united, marks are united, and an unmarked member that another dominates falls away. Since who writes knows
/// all that is held at the replica that accepts it, dominance is transitive, so it does not matter in which order members fall away.</para>
/// <para><see cref="Settle"/> marks what is concurrent with something greater. A mark only ever grows, so it is a write like any other (an inflation): replicas that settle at
/// different times differ in marks until they have exchanged them, and then are equal. Without marks a conflict would be gone from sight with the next write, which knows both sides.</para>
/// </remarks>
internal sealed class UnitState
{
    // Descending: the current one first.
    private readonly UnitMember[] members;

    private UnitState(UnitMember[] members) => this.members = members;

    public static UnitState Empty { get; } = new([]);

    public static UnitState Of(DocumentVersion version, bool isMarked = false) => new([new UnitMember(version, isMarked)]);

    public DocumentVersion? Current => members.Length == 0 ? null : members[0].Version;

    /// <summary>All but the current one, the newest first.</summary>
    public ReadOnlySpan<UnitMember> Others => members.Length == 0 ? default : members.AsSpan(1);

    public ReadOnlySpan<UnitMember> Members => members;

    public static UnitState Of(IEnumerable<UnitMember> members) => new UnitState([]).With(members);

    public UnitState Join(UnitState other) => With(other.members);

    /// <summary>Marks every member but the current one, forgets those before a stamp, and keeps the newest 16.</summary>
    public UnitState Settle(Stamp oldest)
    {
        if (members.Length <= 1) return this;
        var kept = members.Skip(1).Where(m => m.Version.Stamp >= oldest).Take(StorageLimits.MaxSuperseded).Select(static m => m with { IsMarked = true });
        return new UnitState([members[0], .. kept]);
    }

    public bool Contains(VersionId id)
    {
        foreach (ref readonly var member in members.AsSpan())
        {
            if (member.Version.Id == id) return true;
        }
        return false;
    }

    /// <summary>
    /// What a new version must say it has seen: all members, and, as far as there is room and they are not older than <paramref name="oldest"/>, what those had seen.
    /// </summary>
    public SeenVector Seen(Stamp oldest)
    {
        var held = SeenVector.Of(members.Select(static m => new SeenEntry(m.Version.Replica, m.Version.Stamp)));
        var inherited = SeenVector.Of(members.SelectMany(static m => m.Version.Seen)).Since(oldest);
        var all = held.Union(inherited);
        if (held.All(e => all[e.Replica] >= e.Stamp)) return all;
        // More replicas than there is room for: what is held must be in it, however old, or nothing could be written any more.
        var others = inherited.Where(e => held[e.Replica] == Stamp.None).OrderByDescending(static e => e.Stamp).Take(StorageProtocol.MaxSeen - held.Count);
        return SeenVector.Of(held.Select(e => e with { Stamp = inherited[e.Replica] > e.Stamp ? inherited[e.Replica] : e.Stamp }).Concat(others));
    }

    private UnitState With(IEnumerable<UnitMember> added)
    {
        var all = new List<UnitMember>(members);
        foreach (var member in added)
        {
            var at = all.FindIndex(m => m.Version.Id == member.Version.Id);
            if (at < 0) all.Add(member);
            else if (member.IsMarked) all[at] = all[at] with { IsMarked = true };
        }
        all.Sort(static (a, b) => b.Version.CompareTo(a.Version));
        return new UnitState([.. all.Where((m, at) => at == 0 || m.IsMarked || !all.Exists(o => o.Version.Dominates(m.Version)))]);
    }
}
