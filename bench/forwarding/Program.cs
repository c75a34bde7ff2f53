// Transit of one packet through the forwarding engine (no sockets, no sealing), and the computation of paths in a large layer.
using System.Diagnostics;
using Florete.Identities;
using Florete.Layers;
using Florete.Portals;
using Florete.Runtime;

var clock = new VirtualClock();
var loop = new VirtualLoop(clock);
var pool = new PacketPool();
const int Packets = 5_000_000;

Transit("line: one next hop", ring: false);
Transit("ring of four: two equal next hops", ring: true);
Paths(vertices: 1_000, linksEach: 2);
Paths(vertices: 1_000, linksEach: 8);
return;

void Transit(string name, bool ring)
{
    var ids = Enumerable.Range(0, 4).Select(Id).ToArray();
    (int, int)[] links = ring ? [(0, 1), (1, 2), (2, 3), (3, 0)] : [(0, 1), (1, 2), (2, 3)];
    var engine = new ForwardingEngine(loop, pool, ids[1]);
    engine.SetSegment(Segment(1));
    var from = new Adjacency(ids[0], new Label(16), new NullFlow(loop, pool));
    var to = new Adjacency(ids[2], new Label(17), new NullFlow(loop, pool));
    engine.AddAdjacency(from);
    engine.AddAdjacency(to);
    loop.Post(() => engine.Update(Topology(ids, links)));
    clock.Run(TimeSpan.FromSeconds(1));
    var header = new byte[1400];
    // To the vertex across the ring, or to the end of the line.
    new LabelStackEntry(Segment(3), 0, false, 64).Write(header);
    new LabelStackEntry(new Label(77_777), 0, false, 64).Write(header.AsSpan(4));
    new LabelStackEntry(Segment(0), 0, true, 64).Write(header.AsSpan(8));
    header[12] = (byte)PayloadType.Quic;
    IDatagramSink sink = from;
    for (var round = 0; round < 4; round++)
    {
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < Packets; i++)
        {
            var packet = pool.Rent();
            header.AsSpan(0, 16).CopyTo(packet.Append(1400));
            sink.OnDatagram(packet);
        }
        var elapsed = Stopwatch.GetElapsedTime(start);
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        if (round > 0) Console.WriteLine($"{name}: {elapsed.TotalNanoseconds / Packets:F1} ns and {(double)allocated / Packets:F2} bytes allocated a packet, pool included");
    }
    if (engine.Counters.Forwarded != 4L * Packets) throw new InvalidOperationException("Not every packet was forwarded.");
}

void Paths(int vertices, int linksEach)
{
    var random = new Random(1);
    var ids = Enumerable.Range(0, vertices).Select(Id).ToArray();
    var links = new HashSet<(int, int)>();
    for (var v = 1; v < vertices; v++)
    {
        for (var i = 0; i < linksEach; i++) links.Add((random.Next(v), v));
    }
    var topology = Topology(ids, links);
    var engine = new ForwardingEngine(loop, pool, ids[0]);
    engine.SetSegment(Segment(0));
    foreach (var (adjacency, at) in topology.Find(ids[0])!.Adjacencies.Select((a, i) => (a, i)))
    {
        engine.AddAdjacency(new Adjacency(adjacency.Neighbour, new Label(16 + (uint)at), new NullFlow(loop, pool)));
    }
    for (var round = 0; round < 3; round++)
    {
        var start = Stopwatch.GetTimestamp();
        loop.Post(() => engine.Update(topology));
        clock.Run(TimeSpan.FromSeconds(1));
        var status = engine.Status();
        Console.WriteLine(
            $"{vertices} vertices, {links.Count} links, {topology.Find(ids[0])!.Adjacencies.Count} neighbours: next hops and repairs in "
            + $"{Stopwatch.GetElapsedTime(start).TotalMilliseconds:F0} ms; {status.Routes.Count} routes, {status.Routes.Count(r => r.Repair is null)} without repair");
    }
}

static SpiffeId Id(int v) => SpiffeId.Of("bench", IdentityKind.Vertex, $"v{v}");

static Label Segment(int v) => new(5_000 + (uint)v);

static Topology Topology(SpiffeId[] ids, IEnumerable<(int A, int B)> links)
{
    var adjacencies = ids.Select(_ => new List<TopologyAdjacency>()).ToArray();
    foreach (var (a, b) in links)
    {
        var metric = 1_000 + (uint)(((a * 7) + (b * 13)) % 50 * 100);
        if (ids.Length == 4) metric = 1_000;
        adjacencies[a].Add(new TopologyAdjacency(ids[b], new Label(16 + (uint)adjacencies[a].Count), metric, 0, 0));
        adjacencies[b].Add(new TopologyAdjacency(ids[a], new Label(16 + (uint)adjacencies[b].Count), metric, 0, 0));
    }
    return new Topology(ids.Select((id, v) => new TopologyVertex(id, Segment(v), adjacencies[v])));
}

/// <summary>Takes packets and forgets them.</summary>
internal sealed class NullFlow(EventLoop loop, PacketPool pool) : DatagramFlow
{
    public override EventLoop Loop { get; } = loop;

    public override PacketPool Pool { get; } = pool;

    public override int MaxDatagramBytes => 17_160;

    public override int UnsegmentedDatagramBytes => 1_432;

    public override FlowQuality Quality => default;

    public override void Send(PacketBuffer packet, TrafficClass trafficClass) => packet.Return();
}
