using Florete.Storage.Contracts;

namespace Florete.Storage.Tests;

/// <summary>
/// A node with a replica, a disk, a wall clock that is off, and somebody who watches. What it does in a transaction is answered after the commit, some milliseconds later, or never.
/// </summary>
internal sealed class SimulatedNode
{
    private readonly Simulation simulation;
    private readonly List<Action> answers = [];
    private readonly Dictionary<DocumentKey, VersionId> watched = [];
    private long watchedTo;
    private int life;
    private bool inTransaction;

    public SimulatedNode(Simulation simulation, int index)
    {
        this.simulation = simulation;
        Name = ReplicaName.Parse($"n{index}");
        Clock = new SimulatedClock(simulation);
        Store = new SimulatedStore(Name, $"{index:x16}");
        Replica = Start();
    }

    public ReplicaName Name { get; }

    public SimulatedClock Clock { get; }

    public SimulatedStore Store { get; }

    public Replica Replica { get; private set; }

    public SimulatedBounds Bounds { get; private set; } = SimulatedBounds.All;

    public bool IsUp { get; private set; } = true;

    /// <summary>Within a group all are equal, and no message passes between groups.</summary>
    public int Group { get; set; }

    /// <summary>Does something in the transaction that is open, or in a new one.</summary>
    /// <param name="work">What to do at once.</param>
    /// <param name="answer">What to do once it is on disk.</param>
    public void Do<T>(Func<Replica, T> work, Action<T> answer)
    {
        if (!IsUp) return;
        if (!inTransaction)
        {
            Replica.Begin();
            inTransaction = true;
            var now = life;
            simulation.After(simulation.Random.Next(1, 20), () =>
            {
                if (life == now) Commit();
            });
        }
        var result = work(Replica);
        answers.Add(() => answer(result));
    }

    public void Crash()
    {
        simulation.Trace(() => $"{Name} crashes{(inTransaction ? $" with {answers.Count} unanswered" : "")}");
        life++;
        simulation.GroupChanged();
        IsUp = false;
        inTransaction = false;
        answers.Clear();
        Store.Crash();
    }

    public void Restart()
    {
        if (IsUp) return;
        simulation.Trace(() => $"{Name} starts");
        IsUp = true;
        simulation.GroupChanged();
        var told = Replica.Accounts.Sequence;
        Replica = Start();
        if (Replica.Accounts.Sequence < told) throw new InvalidOperationException($"{Name} told sequence {told} and begins again at {Replica.Accounts.Sequence}");
        if (Replica.NeedsReevaluation) Reevaluate(0);
    }

    public void Obey(SimulatedBounds bounds)
    {
        if (bounds.Version <= Bounds.Version) return;
        simulation.Trace(() => $"{Name} obeys bounds {bounds.Version}");
        Bounds = bounds;
        simulation.GroupChanged();
        if (IsUp) Reevaluate(0);
    }

    /// <summary>Commits now what is open.</summary>
    public void Flush()
    {
        if (IsUp && inTransaction) Commit();
    }

    /// <summary>Reads on where it stopped, a few at a time.</summary>
    public void Watch(int limit)
    {
        if (!IsUp) return;
        if (watchedTo < Replica.Purged)
        {
            // 410: list again.
            watched.Clear();
            foreach (var item in Store.All.Where(v => v.State == VersionState.Current && !v.Version.IsTombstone)) watched[item.Version.Key] = item.Version.Id;
            watchedTo = Replica.Accounts.Sequence;
        }
        var page = Store.ReadChanges(watchedTo, null, "", limit);
        foreach (var (sequence, state, version) in page.Items)
        {
            if (sequence <= watchedTo) throw new InvalidOperationException("A watch went back.");
            if (state == VersionState.Current && !version.IsTombstone) watched[version.Key] = version.Id;
            else if (state == VersionState.Current) watched.Remove(version.Key);
            else if (state >= VersionState.Hidden && Store.ReadUnit(version.Key) is not [{ State: VersionState.Current }, ..]) watched.Remove(version.Key);
        }
        watchedTo = page.Through;
    }

    /// <summary>What somebody who watched would be wrong about.</summary>
    public string? WatchProblem()
    {
        while (watchedTo < Replica.Accounts.Sequence && !Store.ReadChanges(watchedTo, null, "", 1).IsLast) Watch(3);
        Watch(3);
        if (watchedTo != Replica.Accounts.Sequence) return $"who watches {Name} ends at {watchedTo}, and waits for what is after {Replica.Accounts.Sequence} without end";
        var held = Store.All.Where(v => v.State == VersionState.Current && !v.Version.IsTombstone).ToDictionary(v => v.Version.Key, v => v.Version.Id);
        return watched.Count == held.Count && held.All(h => watched.TryGetValue(h.Key, out var id) && id == h.Value)
            ? null
            : $"who watches {Name} knows [{string.Join(", ", watched.Select(w => $"{w.Key} {Simulation.Short(w.Value)}"))}], and it holds [{string.Join(", ", held.Select(w => $"{w.Key} {Simulation.Short(w.Value)}"))}]";
    }

    /// <summary>Do the sums that were kept up equal those of a start from the disk?</summary>
    public string? AccountsProblem()
    {
        var anew = new Replica(Name, Store, IsValid, Clock, new StorageLimits());
        anew.Begin();
        anew.Age();
        anew.Commit();
        var (kept, summed) = (Replica.Accounts.Digest(), anew.Accounts.Digest());
        if (kept with { Sequence = 0 } != summed with { Sequence = 0 }) return $"{Name} keeps {kept}, and its disk says {summed}";
        if (Replica.Accounts.Summary().Differing(anew.Accounts.Summary()).Count > 0) return $"{Name} keeps another summary than its disk says";
        if (anew.NeedsReevaluation) return $"{Name} shows what is not valid, or hides what is";
        return Replica.Accounts.Collections().SequenceEqual(anew.Accounts.Collections()) ? null : $"{Name} keeps other totals than its disk says";
    }

    private bool IsValid(in VersionRow row, Func<ChainHash, byte[]?> findChain) => Bounds.Allow(row.Author, row.Stamp);

    private Replica Start() => new(Name, Store, IsValid, Clock, new StorageLimits());

    private void Commit()
    {
        inTransaction = false;
        var committed = answers.ToArray();
        answers.Clear();
        if (simulation.Random.Next(100) == 0 && !simulation.IsHealing) Store.FailsNext = true;
        try
        {
            Replica.Commit();
        }
        catch (StorageException)
        {
            simulation.Trace(() => $"{Name} cannot commit");
            Replica.Rollback();
            // What was found to be hidden or shown is found again.
            Reevaluate(0);
            return;
        }
        foreach (var answer in committed) answer();
        if (simulation.Random.Next(100) == 0 && !simulation.IsHealing) Crash();
    }

    private void Reevaluate(long after)
    {
        Do(r => r.Reevaluate(after, 5), next =>
        {
            if (next is { } at) Reevaluate(at);
        });
    }
}

/// <summary>A node's wall clock.</summary>
internal sealed class SimulatedClock(Simulation simulation) : TimeProvider
{
    public TimeSpan Offset { get; set; }

    public override DateTimeOffset GetUtcNow() => simulation.Now + Offset;
}
