using Florete.Identities;
using Florete.Storage.Contracts;

namespace Florete.Storage.Tests;

/// <summary>
/// A few nodes in virtual time: clients write, messages are lost, repeated and late, groups part and join, nodes crash and start, clocks are off and jump, bounds change at different times. All of it follows
/// from the seed.
/// </summary>
internal sealed partial class Simulation
{
    private static readonly DateTimeOffset Epoch = new(2026, 11, 21, 12, 0, 0, TimeSpan.Zero);
    private static readonly SpiffeId[] Authors = [.. new[] { "alice", "bob", "carol" }.Select(n => SpiffeId.Of("home", IdentityKind.User, n))];
    private static readonly DocumentKey[] Plain = [.. Enumerable.Range(0, 3).Select(i => Versions.Key($"plain{i}"))];
    private static readonly DocumentKey[] Leases = [.. Enumerable.Range(0, 2).Select(i => Versions.Key($"lease{i}"))];

    private const long Day = 86_400_000;

    private readonly PriorityQueue<Action, (long At, long Order)> events = new();
    private readonly SimulatedNode[] nodes;
    private readonly List<string>? trace;
    private readonly List<SimulatedBounds> bounds = [SimulatedBounds.All];
    private readonly List<DocumentVersion> accepted = [];
    private readonly Dictionary<(int Epoch, int Group, DocumentKey Key, VersionId? Replaced), VersionId> winners = [];
    private readonly bool isSlow;
    private long milliseconds;
    private long order;
    private int serial;

    // Changes whenever anything does that could make two views of the group differ.
    private int epoch;

    public Simulation(int seed, bool traced = false)
    {
        Random = new Random(seed);
        trace = traced ? [] : null;
        nodes = new SimulatedNode[Random.Next(2, 6)];
        for (var i = 0; i < nodes.Length; i++)
        {
            nodes[i] = new SimulatedNode(this, i);
            nodes[i].Clock.Offset = TimeSpan.FromSeconds(Random.Next(-60, 61));
        }
        // Some schedules last for weeks, so that what is kept comes to its end.
        isSlow = Random.Next(5) == 0;
    }

    public Random Random { get; }

    public DateTimeOffset Now => Epoch + TimeSpan.FromMilliseconds(milliseconds);

    /// <summary>Nothing fails any more.</summary>
    public bool IsHealing { get; private set; }

    public static string Short(VersionId id) => id.ToString()[..6];

    /// <summary>Runs one schedule; null, or what is wrong in the end.</summary>
    public string? Run()
    {
        foreach (var node in nodes) After(Random.Next(1000), () => Upkeep(node));
        var steps = Random.Next(40, 120);
        for (var i = 0; i < steps; i++)
        {
            Step();
            if (isSlow && Random.Next(8) == 0) Days();
            else RunFor(Random.Next(1, 400));
        }
        Heal();
        return Problem();
    }

    public string TraceText() => string.Join('\n', trace ?? []);

    public void Trace(Func<string> line) => trace?.Add($"{milliseconds,9} {line()}");

    public void After(long delay, Action action) => events.Enqueue(action, (milliseconds + delay, order++));

    /// <summary>Views of a group may differ from now on.</summary>
    public void GroupChanged() => epoch++;

    private void Step()
    {
        var node = nodes[Random.Next(nodes.Length)];
        switch (Random.Next(24))
        {
            case < 9:
                Write(node, Plain[Random.Next(Plain.Length)], Random.Next(6) == 0, 3);
                break;
            case < 14:
                CompareAndSwap(node, Leases[Random.Next(Leases.Length)]);
                break;
            case 14:
                Part();
                break;
            case 15:
                Join();
                break;
            case 16:
                node.Crash();
                break;
            case 17:
                node.Restart();
                break;
            case 18:
                node.Clock.Offset = TimeSpan.FromSeconds(Random.Next(-60, 61));
                break;
            case 19 when Random.Next(2) == 0:
                ChangeBounds();
                break;
            default:
                Pull(node, nodes[Random.Next(nodes.Length)]);
                break;
        }
        nodes[Random.Next(nodes.Length)].Watch(Random.Next(1, 5));
    }

    private void Days()
    {
        // Deletions may be forgotten meanwhile: what a compare-and-swap replaces is none once more.
        GroupChanged();
        RunFor(Random.NextInt64(3_600_000, 5 * Day));
        Trace(() => $"{milliseconds / Day} days");
    }

    private void RunFor(long duration)
    {
        var until = milliseconds + duration;
        while (events.TryPeek(out _, out var next) && next.At <= until)
        {
            var action = events.Dequeue();
            milliseconds = next.At;
            action();
        }
        milliseconds = until;
    }

    private void Part()
    {
        GroupChanged();
        foreach (var node in nodes) node.Group = Random.Next(2);
        Trace(() => $"groups: {string.Join(' ', nodes.Select(n => n.Group))}");
    }

    private void Join()
    {
        GroupChanged();
        foreach (var node in nodes) node.Group = 0;
        Trace(() => "one group");
    }

    private void ChangeBounds()
    {
        var until = new Dictionary<string, Stamp>();
        foreach (var author in Authors)
        {
            if (Random.Next(3) == 0) until[author.ToString()] = Random.Next(2) == 0 ? Stamp.None : Stamp.Of(Now + TimeSpan.FromSeconds(Random.Next(-60, 60)));
        }
        var newer = new SimulatedBounds(bounds.Count + 1, until);
        bounds.Add(newer);
        Trace(() => $"bounds {newer.Version}: {string.Join(", ", until.Select(u => $"{u.Key} until {u.Value}"))}");
        foreach (var node in nodes) After(Random.Next(2000), () => node.Obey(newer));
    }

    /// <summary>A message, at most within its group, perhaps lost, late, or twice.</summary>
    private void Send(SimulatedNode from, SimulatedNode to, Action<SimulatedNode> receive)
    {
        if (from == to)
        {
            receive(to);
            return;
        }
        var copies = IsHealing ? 1 : Random.Next(20) switch { < 2 => 0, 2 => 2, _ => 1 };
        for (var i = 0; i < copies; i++)
        {
            After(Random.Next(1, IsHealing ? 50 : 300), () =>
            {
                if (to.IsUp && from.Group == to.Group) receive(to);
            });
        }
    }

    private void Upkeep(SimulatedNode node)
    {
        node.Do(
            r =>
            {
                r.Age();
                return r.Purge(3);
            },
            _ => { });
        if (node.IsUp && nodes[Random.Next(nodes.Length)] is var other && other != node) Pull(node, other);
        After(isSlow ? Day / 4 : 5_000, () => Upkeep(node));
    }

    private void Heal()
    {
        Trace(() => "heal");
        IsHealing = true;
        Join();
        foreach (var node in nodes)
        {
            node.Restart();
            node.Obey(bounds[^1]);
        }
        // Clocks two minutes apart refuse each other's newest stamps for so long.
        RunFor(150_000);
        Exchange();
        if (!isSlow) return;
        // What was near its end when the groups joined is not told any more, and not yet forgotten.
        RunFor(2 * Day);
        Exchange();
    }

    private void Exchange()
    {
        for (var round = 0; round < 12; round++)
        {
            foreach (var node in nodes)
            {
                node.Do(
                    static r =>
                    {
                        r.Age();
                        while (r.Purge(100))
                        {
                        }
                        return true;
                    },
                    static _ => { });
                foreach (var other in nodes.Where(n => n != node)) Pull(node, other);
            }
            RunFor(1000);
        }
    }
}
