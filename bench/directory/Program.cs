// Measures the budget of design: a directory of 1 000 vertices and 10 000 service records in 64 MB and 5 s of CPU at start.
// dotnet run -c Release --project bench/directory [vertices] [services per vertex] [milliseconds of one-way delay]
using System.Diagnostics;
using System.Globalization;
using Florete.Identities;
using Florete.Layers;
using Florete.Runtime;
using Florete.Simulation;
using Microsoft.Extensions.Logging.Abstractions;
using Directory = Florete.Layers.Directory;

var vertexCount = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 1000;
var servicesEach = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 10;
var delay = TimeSpan.FromMilliseconds(args.Length > 2 ? double.Parse(args[2], CultureInfo.InvariantCulture) : 5);

var clock = new VirtualClock();
var now = clock.WallClock.GetUtcNow();
using var authority = CertificateAuthority.Create("bench", now - TimeSpan.FromHours(1));
var bundle = TrustBundle.Of(authority.Root);
var snapshot = Make();
Console.WriteLine($"{vertexCount} vertices, {vertexCount * servicesEach} services; {snapshot.Records.Sum(r => r.Bytes.Length) / 1e6:F1} MB of records, {snapshot.Chains.Sum(c => c.Length) / 1e6:F1} MB of chains");

var timed = new TimedVerifier(new PeerVerifier(bundle));
var source = Start("source", new LoadedCache(snapshot), out var sourceLoop);
var (cpu, wall) = (Cpu(), Stopwatch.StartNew());
if (!clock.RunUntil(() => source.Status().Records == snapshot.Records.Count + 1, TimeSpan.FromMinutes(1))) Console.WriteLine("The cache was not taken whole.");
Console.WriteLine($"start from the cache: {(Cpu() - cpu).TotalSeconds:F2} s of CPU, {wall.Elapsed.TotalSeconds:F2} s, of it {timed.Spent.Elapsed.TotalSeconds:F2} s in the verifier of certificates");

GC.Collect();
var before = GC.GetTotalMemory(true);
var target = Start("target", null, out var targetLoop);
DirectoryPeer? toTarget = null, toSource = null;
InTurn(sourceLoop, () => toTarget = source.AddPeer(target.Vertex, m => Carry(m, targetLoop, p => target.Receive(toSource!, p))));
InTurn(targetLoop, () => toSource = target.AddPeer(source.Vertex, m => Carry(m, sourceLoop, p => source.Receive(toTarget!, p))));
(cpu, wall) = (Cpu(), Stopwatch.StartNew());
var began = clock.Now;
if (!clock.RunUntil(() => target.Digest() == source.Digest(), TimeSpan.FromMinutes(10))) Console.WriteLine("The neighbours did not come into step.");
Console.WriteLine($"start from one neighbour: {(Cpu() - cpu).TotalSeconds:F2} s of CPU for both ends, {(clock.Now - began).TotalSeconds:F1} s of network time at {delay.TotalMilliseconds} ms one way");
var status = target.Status();
Console.WriteLine($"sent by the source: {status.Peers[0].ReceivedBytes / 1e6:F1} MB in {status.Peers[0].ReceivedMessages} messages, {source.Status().Peers[0].RepeatedRecords} records repeated");
clock.Run(TimeSpan.FromSeconds(10));
GC.Collect();
Console.WriteLine($"memory of one directory: {(GC.GetTotalMemory(true) - before) / 1e6:F1} MB on the managed heap ({status.Bytes / 1e6:F1} MB of it records and chains)");
Console.WriteLine($"topology: {target.Topology.Vertices.Count} vertices; refused: {string.Join(", ", status.Refused)}");

cpu = Cpu();
clock.Run(TimeSpan.FromMinutes(10));
Console.WriteLine($"idle, per directory and minute: {(Cpu() - cpu).TotalMilliseconds / 20:F1} ms of CPU");
GC.KeepAlive(snapshot);
GC.KeepAlive(source);

DirectorySnapshot Make()
{
    var (chains, records) = (new List<ReadOnlyMemory<byte>>(), new List<CachedRecord>());
    var random = new Random(1);
    var ids = Enumerable.Range(0, vertexCount).Select(i => SpiffeId.Of("bench", IdentityKind.Vertex, $"vertex-{i}")).ToArray();
    for (var i = 0; i < vertexCount; i++)
    {
        int[] neighbours = [(i + 1) % vertexCount, (i + vertexCount - 1) % vertexCount, (i + (vertexCount / 2)) % vertexCount];
        var adjacencies = neighbours.Select((n, at) => new TopologyAdjacency(ids[n], new Label(16 + (uint)at), (uint)random.Next(100, 50_000), 0, 1_000_000_000)).ToArray();
        Add(RecordKind.Vertex, ids[i], "", new VertexBody(0, adjacencies).Encode(2000));
    }
    for (var i = 0; i < vertexCount * servicesEach; i++)
    {
        Add(RecordKind.Service, SpiffeId.Of("bench", IdentityKind.Service, $"service-{i}"), ids[i % vertexCount].ToString(), []);
    }
    return new DirectorySnapshot(now, chains, records);

    void Add(RecordKind kind, SpiffeId id, string subject, ReadOnlySpan<byte> body)
    {
        var svid = authority.Issue(id, TimeSpan.FromHours(24), now);
        records.Add(new CachedRecord(1799, RecordWriter.Sign("cluster", kind, 0, 1, 1, svid, subject, body)));
        chains.Add(EncodedChain.Encode(svid));
        svid.Leaf.Dispose();
    }
}

Directory Start(string name, IDirectoryCache? cache, out VirtualLoop loop)
{
    var made = new VirtualLoop(clock);
    loop = made;
    var held = new HeldIdentity(authority.Issue(SpiffeId.Of("bench", IdentityKind.Vertex, name), TimeSpan.FromHours(24), now));
    Directory? directory = null;
    InTurn(made, () => directory = new Directory(new DirectoryOptions(), made, held, cache is null ? new PeerVerifier(bundle) : timed, new OpenBounds(), cache, NullLogger.Instance));
    return directory!;
}

void InTurn(VirtualLoop loop, Action action)
{
    var done = false;
    loop.Post(() =>
    {
        action();
        done = true;
    });
    clock.RunUntil(() => done, TimeSpan.Zero);
}

void Carry(ReadOnlySpan<byte> message, VirtualLoop to, Action<byte[]> deliver)
{
    var copy = message.ToArray();
    to.CreateTimer(() => deliver(copy)).Set(clock.Now + delay);
}

static TimeSpan Cpu()
{
    using var process = Process.GetCurrentProcess();
    return process.TotalProcessorTime;
}

internal sealed class TimedVerifier(IPeerVerifier verifier) : IPeerVerifier
{
    public Stopwatch Spent { get; } = new();

    public PeerVerification Verify(IReadOnlyList<byte[]> derChain, DateTimeOffset now)
    {
        Spent.Start();
        var proof = verifier.Verify(derChain, now);
        Spent.Stop();
        return proof;
    }
}

internal sealed class LoadedCache(DirectorySnapshot snapshot) : IDirectoryCache
{
    public VertexState LoadVertex() => default;

    public void SaveVertex(VertexState state)
    {
    }

    public DirectorySnapshot LoadSnapshot() => snapshot;

    public void SaveSnapshot(DirectorySnapshot snapshot)
    {
    }
}
