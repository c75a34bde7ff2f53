using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Coordination.Tests;

/// <summary>A vertex as the protocol describes it, and the program that attends there.</summary>
internal sealed class SimulatedNode(Simulation simulation, int index, bool isNamed)
{
    private readonly Dictionary<string, Said> records = [];
    private readonly HashSet<string> reachable = [];
    private readonly Queue<Action> inbox = new();
    private Instant lastStand;
    private Instant lastRequest;
    private Instant lastAnswer;
    private ulong? held;
    private long vertexLife;
    private long programLife;
    private long stream;
    private long lastStream;
    private Instant wakeAt = Instant.Never;

    private sealed record Said(long Sequence, StandState? State, ulong Counter);

    private Said own = new(0, null, 0);

    public string Name { get; } = $"n{index}";

    public bool IsNamed => isNamed;

    public int Group { get; set; }

    public bool IsUp { get; private set; } = true;

    public bool IsFrozen { get; private set; }

    /// <summary>The program; null: it does not run.</summary>
    public Coordinator? Program { get; private set; }

    public bool IsRunning => Program is not null && !IsFrozen;

    /// <summary>On disk.</summary>
    public Epoch? Newest { get; private set; }

    /// <summary>On disk.</summary>
    public DecisionDocument? Accepted { get; private set; }

    /// <summary>Decisions of each coordinator that were refused for their epoch.</summary>
    public Dictionary<Epoch, int> Stale { get; } = [];

    public void Start()
    {
        LookAround();
        StartProgram();
    }

    // ---- the vertex

    public void LookAround()
    {
        if (!IsUp) return;
        reachable.Clear();
        foreach (var other in simulation.Nodes ?? [])
        {
            if (!other.IsUp || other.Group != Group) continue;
            reachable.Add(other.Name);
            if (other != this) Flood(other);
        }
        reachable.Add(Name);
        Tell();
    }

    public void StopVertex()
    {
        simulation.Trace($"{Name} vertex stops");
        (IsUp, own, held) = (false, new Said(own.Sequence + 1, null, 0), null);
        vertexLife++;
        records.Clear();
        EndStream();
        Noticed();
    }

    public void StartVertex()
    {
        if (IsUp) return;
        simulation.Trace($"{Name} vertex starts");
        IsUp = true;
        LookAround();
        Noticed();
    }

    private void Noticed()
    {
        foreach (var other in simulation.Nodes.Where(o => o != this)) simulation.After(simulation.Delay(300), other.LookAround);
    }

    // Everything that this one knows, to one that it can reach: what is newer there stays.
    private void Flood(SimulatedNode to)
    {
        var everything = records.Append(new(Name, own)).ToList();
        var life = to.vertexLife;
        simulation.After(simulation.Delay(120), () =>
        {
            if (!to.IsUp || to.vertexLife != life || to.Group != Group) return;
            foreach (var (name, said) in everything) to.Hear(name, said);
        });
    }

    private void Hear(string name, Said said)
    {
        if (name == Name || (records.TryGetValue(name, out var before) && before.Sequence >= said.Sequence)) return;
        records[name] = said;
        var node = simulation.Nodes.First(n => n.Name == name);
        if (said.State == StandState.Coordinator && node.IsNamed) Know(new Epoch(said.Counter, name));
        Tell();
    }

    private void Know(Epoch epoch)
    {
        if (Newest is null || epoch > Newest) Newest = epoch;
    }

    private void Say(StandState? state, ulong counter)
    {
        if (own.State == state && own.Counter == counter) return;
        own = new Said(own.Sequence + 1, state, counter);
        foreach (var other in simulation.Nodes.Where(o => o != this && o.IsUp && o.Group == Group)) Flood(other);
        Tell();
    }

    private VertexView See()
    {
        var candidates = records.Where(r => reachable.Contains(r.Key) && simulation.Nodes.First(n => n.Name == r.Key).IsNamed).Append(new(Name, own))
            .Where(r => r.Value.State is not null && (r.Key != Name || isNamed)).Select(static r => new CandidateView(r.Key, r.Value.State!.Value, r.Value.Counter));
        return new VertexView(Name, isNamed, [.. candidates], [.. reachable], 1, Newest);
    }

    private void Tell()
    {
        if (stream == 0) return;
        var (now, view) = (stream, See());
        simulation.Trace($"{Name} sees {view.Newest} [{string.Join(" ", view.Candidates.Select(c => $"{c.Vertex}:{c.State}:{c.Counter}"))}] {string.Join(" ", view.Vertices)}");
        Post(() =>
        {
            if (stream == now) Program?.See(view, simulation.Now);
        });
    }

    private void Attend()
    {
        stream = ++lastStream;
        lastStand = simulation.Now;
        Watch(stream);
        Tell();
    }

    private void Watch(long watched)
    {
        simulation.After(100, () =>
        {
            if (stream != watched) return;
            if (simulation.Now - lastStand > CoordinationProtocol.StandPatience) Say(null, 0);
            Watch(watched);
        });
    }

    private void Take(Stand stand)
    {
        lastStand = simulation.Now;
        if (stand.State == StandState.Candidate)
        {
            held = null;
            Say(StandState.Candidate, stand.Counter);
            return;
        }
        if (stand.Counter != held && stand.Counter <= (Newest?.Counter ?? 0) || (held == stand.Counter && Newest > new Epoch(stand.Counter, Name)) || !isNamed)
        {
            var newest = Newest;
            Post(() => Program?.ClaimRefused(new Refusal(RefusalReasons.StaleEpoch, "old", newest), simulation.Now));
            held = null;
            Say(StandState.Candidate, Newest?.Counter ?? 0);
            return;
        }
        if (stand.Counter != held)
        {
            var claim = new Epoch(stand.Counter, Name);
            simulation.Trace($"{claim} begins");
            if (!simulation.Claims.Add(claim)) throw new InvalidOperationException($"{claim} is claimed twice.");
            held = stand.Counter;
            Know(claim);
        }
        Say(StandState.Coordinator, stand.Counter);
    }

    private Refusal? Decide(DecisionDocument decision)
    {
        if (Newest is { } newest && decision.Epoch < newest)
        {
            Stale[decision.Epoch] = Stale.GetValueOrDefault(decision.Epoch) + 1;
            return new Refusal(RefusalReasons.StaleEpoch, "old", newest);
        }
        if (Accepted is { } last && last.Epoch == decision.Epoch && last.Number > decision.Number) return new Refusal(RefusalReasons.StaleNumber, "old");
        Know(decision.Epoch);
        Accepted = decision;
        return null;
    }

    // ---- the program

    public void StartProgram()
    {
        if (Program is not null) return;
        simulation.Trace($"{Name} program starts");
        IsFrozen = false;
        Program = new Coordinator("home");
        Program.KnowsAllWanted();
        programLife++;
        inbox.Clear();
        wakeAt = Instant.Never;
        Connect();
    }

    public void Kill()
    {
        if (Program is null) return;
        simulation.Trace($"{Name} program dies");
        (Program, IsFrozen) = (null, false);
        EndStream();
        programLife++;
    }

    public void Freeze()
    {
        if (Program is null || IsFrozen) return;
        simulation.Trace($"{Name} program is frozen");
        IsFrozen = true;
    }

    public void Thaw()
    {
        if (!IsFrozen) return;
        simulation.Trace($"{Name} program goes on");
        IsFrozen = false;
        Wake();
    }

    private void EndStream()
    {
        if (stream == 0) return;
        stream = 0;
        held = null;
        if (IsUp) Say(null, 0);
        var life = programLife;
        Post(() =>
        {
            if (programLife != life) return;
            Program?.Detached(simulation.Now);
            Connect();
        });
    }

    private void Connect()
    {
        var life = programLife;
        simulation.After(simulation.Delay(300), () =>
        {
            if (programLife != life || Program is null) return;
            if (!IsUp || IsFrozen)
            {
                Connect();
                return;
            }
            Attend();
            Program.Attended(simulation.Now);
            Wake();
        });
    }

    private void Post(Action arrived)
    {
        var life = programLife;
        simulation.At(InOrder(ref lastAnswer, 10), () =>
        {
            if (Program is null || programLife != life) return;
            inbox.Enqueue(arrived);
            Wake();
        });
    }

    // A stream keeps the order.
    private Instant InOrder(ref Instant last, int most)
    {
        var at = simulation.Now + TimeSpan.FromMilliseconds(simulation.Delay(most));
        return last = at > last ? at : last;
    }

    // As the real loop: what is due, then what has arrived.
    private void Wake()
    {
        if (Program is null || IsFrozen) return;
        DoDue();
        while (inbox.TryDequeue(out var arrived) && Program is not null) arrived();
        if (Program is null) return;
        var at = Program.NextDue > simulation.Now ? Program.NextDue : simulation.Now;
        if (at >= wakeAt && wakeAt > simulation.Now) return;
        wakeAt = at;
        if (at == Instant.Never) return;
        simulation.At(at, () =>
        {
            if (wakeAt != at) return;
            wakeAt = Instant.Never;
            Wake();
        });
    }

    private void DoDue()
    {
        var due = Program!.TakeDue(simulation.Now);
        foreach (var decision in due.Decisions)
        {
            var to = simulation.Nodes.First(n => n.Name == decision.Document.Vertex);
            simulation.After(simulation.Delay(40), () =>
            {
                if (!to.IsUp || to.Group != Group || !IsUp) return;
                if (!DecisionDocument.TryParse(decision.Encoded, out var read, out var problem)) throw new InvalidOperationException(problem);
                var refusal = to.Decide(read);
                Post(() => Program?.Answered(decision.Document, refusal, simulation.Now));
            });
        }
        if (due.Stand is not { } stand) return;
        var now = stream;
        simulation.At(InOrder(ref lastRequest, 5), () =>
        {
            if (stream == now && stream != 0 && IsUp) Take(stand);
        });
    }
}
