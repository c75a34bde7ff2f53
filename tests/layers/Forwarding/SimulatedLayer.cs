using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers.Tests;

/// <summary>A datagram flow into a peer flow, after a delay in virtual time; cut: everything in it and sent to it is lost.</summary>
internal sealed class FakeFlow(EventLoop loop, PacketPool pool, TimeSpan delay) : DatagramFlow
{
    public FakeFlow? Peer { get; set; }

    public bool IsCut { get; set; }

    /// <summary>Sees every packet that is sent; may change it, or return false to lose it.</summary>
    public Func<byte[], bool>? Tap { get; set; }

    public int SentPackets { get; private set; }

    public List<TrafficClass> Classes { get; } = [];

    public FlowQuality Measured { get; set; } = new(TimeSpan.FromMilliseconds(2), 0, null);

    public int MaxBytes { get; set; } = 17_160 + 64;

    public override EventLoop Loop { get; } = loop;

    public override PacketPool Pool { get; } = pool;

    public override int MaxDatagramBytes => MaxBytes;

    public override int UnsegmentedDatagramBytes => 1432;

    public override FlowQuality Quality => Measured;

    public override void Send(PacketBuffer packet, TrafficClass trafficClass)
    {
        SentPackets++;
        if (Classes.Count < 100) Classes.Add(trafficClass);
        var copy = packet.Span.ToArray();
        packet.Return();
        if (Peer is not { } peer || (Tap is { } tap && !tap(copy))) return;
        LoopTimer timer = null!;
        timer = peer.Loop.CreateTimer(() => peer.Arrive(copy));
        timer.Set(Loop.Now + delay);
    }

    public void Arrive(ReadOnlySpan<byte> bytes)
    {
        if (IsCut || Sink is null) return;
        var packet = Pool.Rent();
        bytes.CopyTo(packet.Append(bytes.Length));
        Sink.OnDatagram(packet);
    }
}

internal sealed record Received(byte[] Payload, PacketHeader Header, Instant At);

/// <summary>One vertex: loop, engine, and what it received.</summary>
internal sealed class TestVertex : ILocalReceiver
{
    public TestVertex(VirtualClock clock, string name, uint segment, ForwardingOptions? options = null)
    {
        Loop = new VirtualLoop(clock);
        Id = SpiffeId.Of("home", IdentityKind.Vertex, name);
        Segment = new Label(segment);
        Engine = new ForwardingEngine(Loop, Pool, Id, options);
        Engine.SetSegment(Segment);
        Engine.SetReceiver(PayloadType.Quic, this);
        Engine.SetReceiver(PayloadType.Directory, this);
    }

    public VirtualLoop Loop { get; }

    public PacketPool Pool { get; } = new();

    public SpiffeId Id { get; }

    public Label Segment { get; }

    public ForwardingEngine Engine { get; }

    public Dictionary<SpiffeId, Adjacency> Adjacencies { get; } = [];

    public List<Received> Received { get; } = [];

    public void OnPacket(PacketBuffer payload, in PacketHeader header)
    {
        Received.Add(new Received(payload.Span.ToArray(), header, Loop.Now));
        payload.Return();
    }

    public SendResult Send(TestVertex to, byte[]? payload = null, uint flow = 100, TrafficClass trafficClass = TrafficClass.Bulk, byte timeToLive = 64)
    {
        var packet = Pool.Rent();
        payload ??= [1, 2, 3];
        payload.CopyTo(packet.Append(payload.Length));
        return Engine.Send(packet, PayloadType.Quic, to.Id, flow, trafficClass, timeToLive);
    }
}

/// <summary>Vertices named v0, v1, … with links between them, on one virtual clock.</summary>
internal sealed class SimulatedLayer
{
    private readonly Dictionary<(int, int), (uint There, uint Back)> links = [];
    private readonly HashSet<(int, int)> cut = [];

    public SimulatedLayer(int vertices, ForwardingOptions? options = null)
    {
        for (var i = 0; i < vertices; i++) Vertices.Add(new TestVertex(Clock, $"v{i}", 5000 + (uint)i, options));
    }

    public VirtualClock Clock { get; } = new();

    public List<TestVertex> Vertices { get; } = [];

    public TestVertex this[int index] => Vertices[index];

    public static SimulatedLayer Line(int vertices)
    {
        var layer = new SimulatedLayer(vertices);
        for (var i = 1; i < vertices; i++) layer.Link(i - 1, i);
        layer.Publish();
        return layer;
    }

    public static SimulatedLayer Ring(int vertices)
    {
        var layer = new SimulatedLayer(vertices);
        for (var i = 0; i < vertices; i++) layer.Link(i, (i + 1) % vertices);
        layer.Publish();
        return layer;
    }

    public void Link(int a, int b, uint there = 1000, uint? back = null)
    {
        links.Add((a, b), (there, back ?? there));
        var delay = TimeSpan.FromMicroseconds(500);
        var ab = new FakeFlow(Vertices[a].Loop, Vertices[a].Pool, delay);
        var ba = new FakeFlow(Vertices[b].Loop, Vertices[b].Pool, delay) { Peer = ab };
        ab.Peer = ba;
        Attach(a, b, ab, there);
        Attach(b, a, ba, back ?? there);
    }

    public FakeFlow Flow(int a, int b) => (FakeFlow)Vertices[a].Adjacencies[Vertices[b].Id].Flow;

    /// <summary>The medium fails: nothing passes; both ends notice now.</summary>
    public void Cut(int a, int b)
    {
        var key = links.ContainsKey((a, b)) ? (a, b) : (b, a);
        cut.Add(key);
        Down(a, b);
        Down(b, a);
    }

    public void CutVertex(int v)
    {
        foreach (var (a, b) in links.Keys.Where(k => k.Item1 == v || k.Item2 == v)) Cut(a, b);
    }

    public void Restore()
    {
        foreach (var (a, b) in cut)
        {
            Up(a, b);
            Up(b, a);
        }
        cut.Clear();
    }

    /// <summary>The topology without what is cut.</summary>
    public Topology Topology()
    {
        var adjacencies = Vertices.ToDictionary(static v => v.Id, static _ => new List<TopologyAdjacency>());
        foreach (var ((a, b), (there, back)) in links)
        {
            if (cut.Contains((a, b))) continue;
            adjacencies[Vertices[a].Id].Add(new TopologyAdjacency(Vertices[b].Id, Vertices[a].Adjacencies[Vertices[b].Id].Segment, there, 0, 0));
            adjacencies[Vertices[b].Id].Add(new TopologyAdjacency(Vertices[a].Id, Vertices[b].Adjacencies[Vertices[a].Id].Segment, back, 0, 0));
        }
        return new Topology(Vertices.Select(v => new TopologyVertex(v.Id, v.Segment, adjacencies[v.Id])));
    }

    /// <summary>Gives every vertex the topology as it is, and lets the news settle.</summary>
    public void Publish()
    {
        var topology = Topology();
        foreach (var vertex in Vertices) InTurn(vertex, () => vertex.Engine.Update(topology));
        Run(TimeSpan.FromMilliseconds(30));
    }

    public void InTurn(TestVertex vertex, Action action)
    {
        vertex.Loop.Post(action);
        Clock.RunUntil(() => false, TimeSpan.Zero);
    }

    public SendResult Send(int from, int to, byte[]? payload = null, uint flow = 100, TrafficClass trafficClass = TrafficClass.Bulk, byte timeToLive = 64)
    {
        SendResult result = default;
        InTurn(Vertices[from], () => result = Vertices[from].Send(Vertices[to], payload, flow, trafficClass, timeToLive));
        return result;
    }

    /// <summary>As <see cref="Send"/>, without running anything: for many sends at once.</summary>
    public SendResult SendNow(int from, int to, uint flow) => Vertices[from].Send(Vertices[to], null, flow);

    public void Run(TimeSpan time) => Clock.Run(time);

    public IEnumerable<(int, int)> Links => links.Keys;

    /// <summary>By vertex, the least index of its connected group.</summary>
    public int[] Reachability()
    {
        var group = Enumerable.Range(0, Vertices.Count).ToArray();
        for (var changed = true; changed;)
        {
            changed = false;
            foreach (var (a, b) in links.Keys.Where(k => !cut.Contains(k)))
            {
                if (group[a] == group[b]) continue;
                group[a] = group[b] = Math.Min(group[a], group[b]);
                changed = true;
            }
        }
        return group;
    }

    public override string ToString() => string.Join(' ', links.Select(l => $"{l.Key.Item1}-{l.Key.Item2}:{l.Value.There}/{l.Value.Back}{(cut.Contains(l.Key) ? "x" : "")}"));

    public void AssertNoLeak()
    {
        foreach (var vertex in Vertices) Assert.Equal(0, vertex.Pool.Rented);
    }

    private void Attach(int a, int b, FakeFlow flow, uint metric)
    {
        var vertex = Vertices[a];
        var adjacency = new Adjacency(Vertices[b].Id, new Label(16 + (uint)vertex.Adjacencies.Count), flow) { MetricMicroseconds = metric };
        vertex.Adjacencies.Add(Vertices[b].Id, adjacency);
        InTurn(vertex, () => vertex.Engine.AddAdjacency(adjacency));
    }

    private void Down(int a, int b)
    {
        var adjacency = Vertices[a].Adjacencies[Vertices[b].Id];
        ((FakeFlow)adjacency.Flow).IsCut = true;
        InTurn(Vertices[a], () => Vertices[a].Engine.RemoveAdjacency(adjacency));
    }

    private void Up(int a, int b)
    {
        var adjacency = Vertices[a].Adjacencies[Vertices[b].Id];
        ((FakeFlow)adjacency.Flow).IsCut = false;
        InTurn(Vertices[a], () => Vertices[a].Engine.AddAdjacency(adjacency));
    }
}
