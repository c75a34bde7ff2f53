using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;
using Florete.Simulation;
using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Layers.Tests.Transport;

/// <summary>Transport endpoints on the engines of a <see cref="SimulatedLayer"/>, in virtual time: what travels between them can be seen and forged.</summary>
internal sealed class EndpointLab : IDisposable
{
    private readonly CertificateAuthority authority;
    private readonly Dictionary<SpiffeId, SpiffeId> published = [];

    public EndpointLab(SimulatedLayer layer, TransportOptions? options = null)
    {
        Layer = layer;
        authority = CertificateAuthority.Create("home", Clock.WallClock.GetUtcNow());
        var verifier = new PeerVerifier(TrustBundle.Of(authority.Root));
        foreach (var vertex in layer.Vertices)
        {
            vertex.Loop.Faulted += Faults.Add;
            var bounds = new OpenBounds();
            Bounds.Add(bounds);
            layer.InTurn(vertex, () => Endpoints.Add(new TransportEndpoint(
                options ?? new TransportOptions(), vertex.Loop, vertex.Pool, vertex.Engine, new Services(this, vertex.Id), verifier, bounds, NullLogger.Instance)));
        }
    }

    public SimulatedLayer Layer { get; }

    public VirtualClock Clock => Layer.Clock;

    public List<TransportEndpoint> Endpoints { get; } = [];

    public List<OpenBounds> Bounds { get; } = [];

    public List<Exception> Faults { get; } = [];

    public HeldIdentity Hold(IdentityKind kind, string name) =>
        new(authority.Issue(SpiffeId.Of("home", kind, name), TimeSpan.FromHours(24), Clock.WallClock.GetUtcNow()));

    public T Run<T>(int vertex, Func<Task<T>> program, int seconds = 30)
    {
        var task = Layer[vertex].Loop.RunAsync(program);
        Clock.RunUntil(() => task.IsCompleted, TimeSpan.FromSeconds(seconds));
        Assert.True(task.IsCompleted, "Not done in time.");
        return task.GetAwaiter().GetResult();
    }

    /// <summary>Publishes at a vertex; the acceptor runs in its turns.</summary>
    public HeldIdentity Publish(int vertex, string name, Action<PortalConnection> accept)
    {
        var identity = Hold(IdentityKind.Service, name);
        Layer.InTurn(Layer[vertex], () => Assert.True(Endpoints[vertex].TryPublish(new Publication(Endpoints[vertex], identity, new Acceptor(accept)))));
        return identity;
    }

    public PortalConnection Connect(int vertex, HeldIdentity caller, SpiffeId target, ConnectionMode mode = ConnectionMode.Datagram) =>
        Run(vertex, () => Endpoints[vertex].ConnectAsync(caller, target, new ConnectOptions(mode), CancellationToken.None));

    /// <summary>A datagram connection from vertex 0 to the last one, both ends with a sink.</summary>
    public Ends Open(string name = "far")
    {
        Ends ends = new();
        var target = Publish(Endpoints.Count - 1, name, c => ends.Take(c, isFar: true));
        ends.Take(Connect(0, Hold(IdentityKind.User, "alice"), target.Id), isFar: false);
        Clock.Run(TimeSpan.FromMilliseconds(50));
        return ends;
    }

    public void Send(int vertex, PortalConnection from, params byte[][] datagrams) => Layer.InTurn(Layer[vertex], () =>
    {
        foreach (var datagram in datagrams)
        {
            var packet = Layer[vertex].Pool.Rent();
            datagram.CopyTo(packet.Append(datagram.Length));
            from.Datagrams!.Send(packet, TrafficClass.Bulk);
        }
    });

    /// <summary>A member of the layer sends what it likes.</summary>
    public void Forge(int from, int to, byte[] payload) => Layer.InTurn(Layer[from], () =>
    {
        var packet = Layer[from].Pool.Rent();
        payload.CopyTo(packet.Append(payload.Length));
        Layer[from].Engine.Send(packet, PayloadType.SealedDatagram, Layer[to].Id, 100, TrafficClass.Bulk);
    });

    /// <summary>Payloads of the sealed datagrams that pass from one vertex to the next from now on.</summary>
    public List<byte[]> Watch(int from, int to, Func<byte[], bool>? passes = null)
    {
        var seen = new List<byte[]>();
        Layer.Flow(from, to).Tap = packet =>
        {
            if (!LabelStack.TryMeasure(packet, out var entries) || packet[entries * LabelStackEntry.Bytes] != (byte)PayloadType.SealedDatagram) return true;
            var payload = packet[((entries * LabelStackEntry.Bytes) + 1)..];
            seen.Add(payload);
            return passes?.Invoke(payload) ?? true;
        };
        return seen;
    }

    public void Dispose()
    {
        foreach (var vertex in Layer.Vertices.Zip(Endpoints)) Layer.InTurn(vertex.First, vertex.Second.Dispose);
        Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Empty(Faults);
        Layer.AssertNoLeak();
        authority.Dispose();
    }

    private sealed class Acceptor(Action<PortalConnection> accept) : IAcceptor
    {
        public ConnectionMode Modes => ConnectionMode.Both;

        public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
        {
            accept(connection);
            return ValueTask.CompletedTask;
        }
    }

    private sealed class Services(EndpointLab lab, SpiffeId vertex) : IServiceDirectory
    {
        public IEnumerable<SpiffeId> VerticesOf(SpiffeId service) => lab.published.TryGetValue(service, out var at) ? [at] : [];

        public IEnumerable<SpiffeId> AnnouncedAt(SpiffeId service) => VerticesOf(service);

        public ulong? IncarnationOf(SpiffeId vertex) => 1;

        public void Announce(HeldIdentity service) => lab.published[service.Id] = vertex;

        public void Withdraw(SpiffeId service) => lab.published.Remove(service);
    }
}

/// <summary>Both ends of a datagram connection, and what came to them.</summary>
internal sealed class Ends
{
    public PortalConnection Near { get; private set; } = null!;

    public PortalConnection Far { get; private set; } = null!;

    public Sink AtNear { get; } = new();

    public Sink AtFar { get; } = new();

    public void Take(PortalConnection connection, bool isFar)
    {
        connection.Datagrams!.Sink = isFar ? AtFar : AtNear;
        if (isFar) Far = connection;
        else Near = connection;
    }

    internal sealed class Sink : IDatagramSink
    {
        public List<byte[]> Datagrams { get; } = [];

        public int News { get; private set; }

        public void OnDatagram(PacketBuffer packet)
        {
            Datagrams.Add(packet.Span.ToArray());
            packet.Return();
        }

        public void OnQualityChanged() => News++;
    }
}
