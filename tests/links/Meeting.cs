using System.Net;
using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;
using Florete.Simulation;

namespace Florete.Links.Tests;

/// <summary>Vertices with link portals in one simulated network, in virtual time.</summary>
internal sealed class Meeting : IDisposable
{
    private readonly Pump pump = new();

    public Meeting(int seed = 1)
    {
        SynchronizationContext.SetSynchronizationContext(pump);
        Network = new SimulatedNetwork(seed);
        Authority = CertificateAuthority.Create("home", Clock.WallClock.GetUtcNow());
    }

    public VirtualClock Clock { get; } = new();

    public SimulatedNetwork Network { get; }

    public CertificateAuthority Authority { get; }

    public TestBounds Bounds { get; } = new();

    public static SpiffeId Id(string name) => SpiffeId.Of("home", IdentityKind.Vertex, name);

    public Member Join(string name, string address, UdpLinkOptions? options = null, CertificateAuthority? authority = null, HeldIdentity? identity = null, params (string Name, string Address)[] neighbours)
    {
        authority ??= Authority;
        identity ??= new HeldIdentity(authority.Issue(Id(name), TimeSpan.FromHours(24), Clock.WallClock.GetUtcNow()));
        options = (options ?? new UdpLinkOptions()) with
        {
            Neighbours = [.. neighbours.Select(static n => new UdpNeighbour(Id(n.Name), [IPEndPoint.Parse(n.Address)]))],
        };
        return new Member(this, identity, address, options, new LinkTrust(authority.ClusterIdentity, new PeerVerifier(TrustBundle.Of(authority.Root), Bounds), Bounds));
    }

    /// <summary>Runs virtual time until the task is done.</summary>
    public T Wait<T>(ValueTask<T> task, int seconds = 20) => Wait(task.AsTask(), seconds);

    public T Wait<T>(Task<T> task, int seconds = 20)
    {
        Clock.RunUntil(
            () =>
            {
                pump.Run();
                return task.IsCompleted;
            },
            TimeSpan.FromSeconds(seconds));
        Assert.True(task.IsCompleted, "Not done in time.");
        return task.GetAwaiter().GetResult();
    }

    public void Dispose()
    {
        SynchronizationContext.SetSynchronizationContext(null);
        Authority.Dispose();
    }

    /// <summary>Continuations of the test's own awaits, run by the test's own thread: no pool, no chance.</summary>
    private sealed class Pump : SynchronizationContext
    {
        private readonly System.Collections.Concurrent.ConcurrentQueue<(SendOrPostCallback Callback, object? State)> work = new();

        public override void Post(SendOrPostCallback d, object? state) => work.Enqueue((d, state));

        public void Run()
        {
            while (work.TryDequeue(out var item)) item.Callback(item.State);
        }
    }
}

internal sealed class TestBounds : IBounds
{
    private Func<SpiffeId, SpiffeId, bool> mayLink = static (_, _) => true;

    public event Action? Changed;

    public Func<SpiffeId, SpiffeId, bool> Allow
    {
        set
        {
            mayLink = value;
            Changed?.Invoke();
        }
    }

    public Verdict MayLink(SpiffeId vertex, SpiffeId neighbour) =>
        mayLink(vertex, neighbour) && mayLink(neighbour, vertex) ? Verdict.Allowed : Verdict.Refused($"No rule lets {vertex} link to {neighbour}.");

    public Verdict MayConnect(SpiffeId caller, SpiffeId target) => Verdict.Allowed;

    public Verdict MayHost(SpiffeId vertex, SpiffeId identity) => Verdict.Allowed;
}

/// <summary>A vertex: a loop, a socket, a portal; takes every link.</summary>
internal sealed class Member : IAcceptor
{
    public Member(Meeting meeting, HeldIdentity identity, string address, UdpLinkOptions options, LinkTrust trust)
    {
        Identity = identity;
        Loop = new VirtualLoop(meeting.Clock);
        Loop.Faulted += e => Faults.Add(e);
        Socket = meeting.Network.Open(Loop, address);
        Portal = new UdpLinkPortal(Loop, Pool, Socket, options, trust);
        Portal.Noted += Notes.Add;
        meeting.Wait(Portal.PublishAsync(identity, this));
    }

    public HeldIdentity Identity { get; }

    public VirtualLoop Loop { get; }

    public PacketPool Pool { get; } = new();

    public SimulatedSocket Socket { get; }

    public UdpLinkPortal Portal { get; }

    public List<string> Notes { get; } = [];

    public List<Exception> Faults { get; } = [];

    public List<PortalConnection> Accepted { get; } = [];

    public Collector Sink { get; } = new();

    public PortalException? Refuses { get; set; }

    /// <summary>Taking a link waits for this.</summary>
    public Task Delay { get; set; } = Task.CompletedTask;

    public async ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
    {
        if (Refuses is { } refusal) throw refusal;
        await Delay.WaitAsync(cancellationToken);
        Accepted.Add(connection);
        connection.Datagrams!.Sink = Sink;
    }

    public ValueTask<PortalConnection> Connect(string name, int seconds = 10) =>
        Portal.ConnectAsync(Identity, Meeting.Id(name), new ConnectOptions(ConnectionMode.Datagram, Timeout: TimeSpan.FromSeconds(seconds)));

    public void Send(PortalConnection link, int bytes, byte fill, TrafficClass trafficClass = TrafficClass.Bulk) => Loop.Post(() =>
    {
        var packet = Pool.Rent();
        packet.Append(bytes).Fill(fill);
        link.Datagrams!.Send(packet, trafficClass);
    });
}

internal sealed class Collector : IDatagramSink
{
    public List<byte[]> Datagrams { get; } = [];

    public long Count { get; private set; }

    public bool CountsOnly { get; set; }

    public void OnDatagram(PacketBuffer packet)
    {
        Count++;
        if (!CountsOnly) Datagrams.Add(packet.Span.ToArray());
        packet.Return();
    }

    public void OnQualityChanged()
    {
    }
}
