using System.Net;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Channels;
using Florete.Identities;
using Florete.Portals;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Links;

/// <summary>Who may be believed and what is allowed.</summary>
/// <param name="Cluster">Of both ends.</param>
/// <param name="Verifier">Proves neighbours.</param>
/// <param name="Bounds">Which vertices may link.</param>
/// <param name="Events">Told of who was refused.</param>
public sealed record LinkTrust(ClusterIdentity Cluster, IPeerVerifier Verifier, IBounds Bounds, SecurityEvents? Events = null);

/// <summary>
/// The link layer <c>udp</c> as a portal: vertices publish themselves to take links, and connect to neighbours. All links of a node share one
/// UDP port. Connections are datagram connections; each is one link, and ends when the link is down: connect again.
/// </summary>
public sealed partial class UdpLinkPortal : IPortal, IAsyncDisposable
{
    private readonly LinkPort port;
    private readonly QuicPort quic;
    private readonly UdpLinkOptions options;
    private readonly LinkTrust trust;
    private readonly byte[] clusterHash;
    private readonly ulong run = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8));
    private readonly Dictionary<uint, UdpLink> links = [];
    private readonly Dictionary<(SpiffeId Local, SpiffeId Remote), UdpLink> byPair = [];
    private readonly Dictionary<string, Publication> published = [];
    private readonly Dictionary<SpiffeId, Vertex> vertices = [];
    private readonly Dictionary<SpiffeId, UdpNeighbour> neighbours = [];
    private readonly List<ChannelWriter<ServiceChange>> watchers = [];
    private JoinServer? joins;
    private UdpLink? latest;
    private bool isStarted;
    private bool isClosed;

    /// <param name="loop">The loop of the vertices that use this portal.</param>
    /// <param name="pool">The loop's packets.</param>
    /// <param name="socket">Owned from now on.</param>
    /// <param name="options">Validated here.</param>
    /// <param name="trust">Who may be believed.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public UdpLinkPortal(EventLoop loop, PacketPool pool, IDatagramSocket socket, UdpLinkOptions options, LinkTrust trust)
    {
        options.Validate();
        (this.options, this.trust) = (options, trust);
        clusterHash = Hello.HashOf(trust.Cluster);
        Local = socket.Local;
        foreach (var neighbour in options.Neighbours) neighbours[neighbour.Vertex] = neighbour;
        port = new LinkPort(loop, pool, socket);
        quic = new QuicPort(port, options) { Accept = AcceptHandshake };
        trust.Bounds.Changed += OnBoundsChanged;
    }

    /// <summary>Where the UDP port is bound.</summary>
    public UdpAddress Local { get; }

    /// <summary>What became of every received datagram.</summary>
    public DatagramCounters Counters => port.Counters;

    /// <summary>Links now, those in their handshake included; elsewhere than on the loop it may be a moment old.</summary>
    public int LinkCount => links.Count;

    /// <summary>Handshakes whose other side was not believed or is not allowed; elsewhere than on the loop it may be a moment old.</summary>
    public long RefusedHandshakes { get; private set; }

    /// <summary>One line for the log about a link or a handshake, in a turn of the loop.</summary>
    public event Action<string>? Noted;

    /// <summary>Opens the UDP socket that fits this system.</summary>
    /// <exception cref="System.ComponentModel.Win32Exception">The port cannot be bound.</exception>
    /// <exception cref="System.Net.Sockets.SocketException">The port cannot be bound.</exception>
    public static IDatagramSocket OpenSocket(ThreadLoop loop, IPEndPoint local) =>
        OperatingSystem.IsLinux() && IntPtr.Size == 8 ? new Linux.LinuxUdpSocket(loop, local) : new PortableUdpSocket(loop, local);

    public async ValueTask<IAsyncDisposable> PublishAsync(HeldIdentity identity, IAcceptor acceptor, CancellationToken cancellationToken = default)
    {
        var name = RequireVertex(identity.Id);
        return await port.Loop.RunAsync(() =>
        {
            ThrowIfClosed();
            Hold(identity);
            var publication = new Publication(this, name, identity, acceptor);
            if (!published.TryAdd(name, publication)) throw new PortalException(PortalError.LimitReached, $"{identity.Id} is published on this port already.");
            Start();
            return Task.FromResult(publication);
        });
    }

    public async ValueTask<PortalConnection> ConnectAsync(
        HeldIdentity caller, SpiffeId target, ConnectOptions options, CancellationToken cancellationToken = default)
    {
        RequireVertex(caller.Id);
        RequireVertex(target);
        if (options.Mode != ConnectionMode.Datagram) throw new PortalException(PortalError.Refused, "A link carries datagrams only: connect with ConnectionMode.Datagram.");
        return await port.Loop.RunAsync(() => DialAsync(caller, target, options.Timeout ?? ConnectOptions.DefaultTimeout, cancellationToken));
    }

    public async IAsyncEnumerable<ServiceChange> DiscoverAsync(
        ServiceQuery query, bool watch, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        // A watcher that does not read loses the oldest changes, not our memory.
        var changes = Channel.CreateBounded<ServiceChange>(new BoundedChannelOptions(1024) { FullMode = BoundedChannelFullMode.DropOldest });
        await port.Loop.RunAsync(() =>
        {
            foreach (var neighbour in neighbours.Keys.Union(byPair.Keys.Select(static p => p.Remote)))
                changes.Writer.TryWrite(new ServiceChange(neighbour, neighbour, byPair.Keys.Any(p => p.Remote == neighbour)));
            if (watch && !isClosed) watchers.Add(changes.Writer);
            else changes.Writer.Complete();
            return Task.CompletedTask;
        });
        try
        {
            await foreach (var change in changes.Reader.ReadAllAsync(cancellationToken))
            {
                if ((query.Target is null || query.Target == change.Service) && (query.Kind ?? IdentityKind.Vertex) == IdentityKind.Vertex) yield return change;
            }
        }
        finally
        {
            port.Loop.Post(() => watchers.Remove(changes.Writer));
        }
    }

    /// <summary>Replaces the neighbours to which links may be dialled; links that are up stay.</summary>
    public Task UpdateNeighboursAsync(IReadOnlyList<UdpNeighbour> newer)
    {
        (options with { Neighbours = newer }).Validate();
        return port.Loop.RunAsync(() =>
        {
            neighbours.Clear();
            foreach (var neighbour in newer) neighbours[neighbour.Vertex] = neighbour;
            return Task.CompletedTask;
        });
    }

    /// <summary>Lets strangers with a token join through this port, or no longer (null).</summary>
    public Task LetJoinAsync(IJoinRelay? relay) => port.Loop.RunAsync(() =>
    {
        joins?.Close();
        joins = relay is null ? null : new JoinServer(port.Loop, relay, Note, Joins);
        return Task.CompletedTask;
    });

    /// <summary>How joins through this port ended.</summary>
    public JoinCounters Joins { get; } = new();

    public Task<UdpPortStatus> StatusAsync() => port.Loop.RunAsync(() => Task.FromResult(new UdpPortStatus(
        Local.ToString(), Counters.Received, Counters.Pending, Enum.GetValues<DatagramFate>().ToDictionary(static f => f, f => Counters[f]), quic.HalfOpen,
        [.. links.Values.Select(static l => l.Status())])));

    public async ValueTask DisposeAsync()
    {
        trust.Bounds.Changed -= OnBoundsChanged;
        await port.Loop.RunAsync(async () =>
        {
            if (isClosed) return;
            isClosed = true;
            joins?.Close();
            foreach (var dial in dials.Values.ToArray()) dial.Fail(new PortalException(PortalError.Closed, "The portal was closed."));
            foreach (var link in links.Values.ToArray()) link.Close(GoodbyeReason.Orderly, "The vertex stops.", new PortalException(PortalError.Closed, "The portal was closed."), tellNeighbour: true);
            // One more turn, so that the goodbyes leave.
            await Task.Yield();
            quic.Close();
            foreach (var vertex in vertices.Values) vertex.Dispose();
            foreach (var watcher in watchers) watcher.TryComplete();
            port.Socket.Dispose();
        });
    }

    private static string RequireVertex(SpiffeId id) => id.Kind == IdentityKind.Vertex
        ? MeshName.ToSni(id)
        : throw new PortalException(PortalError.Refused, $"{id} is not a vertex; only vertices form links.");

    // Not before there is somebody to answer: what neighbours send until then waits in the socket, instead of being refused.
    private void Start()
    {
        if (isStarted) return;
        isStarted = true;
        port.Socket.Start(new Receiver(this));
    }

    private void ThrowIfClosed()
    {
        if (isClosed) throw new PortalException(PortalError.Closed, "The portal was closed.");
    }

    private void Note(string line) => Noted?.Invoke(line);

    private void Announce(SpiffeId neighbour, bool isPresent)
    {
        foreach (var watcher in watchers) watcher.TryWrite(new ServiceChange(neighbour, neighbour, isPresent));
    }

    private Vertex Hold(HeldIdentity identity)
    {
        if (vertices.TryGetValue(identity.Id, out var known)) return known;
        return vertices[identity.Id] = new Vertex(identity, () => port.Loop.Post(() => OnRenewed(identity.Id)));
    }

    private void OnRenewed(SpiffeId id)
    {
        foreach (var link in links.Values)
        {
            if (link.Local == id) link.ScheduleRenewal(atOnce: true);
        }
    }

    private void OnBoundsChanged() => port.Loop.Post(() =>
    {
        foreach (var link in links.Values.ToArray())
        {
            if (trust.Bounds.MayLink(link.Local, link.Remote).Refusal is { } refusal)
                link.Close(GoodbyeReason.ForbiddenByBounds, refusal, new PortalException(PortalError.Refused, refusal), tellNeighbour: true);
        }
    });

    private sealed class Receiver(UdpLinkPortal portal) : IDatagramReceiver
    {
        public void OnDatagrams(UdpAddress from, ReadOnlySpan<byte> datagrams, int datagramBytes)
        {
            if (datagrams.IsEmpty) portal.OnDatagram(from, datagrams);
            while (!datagrams.IsEmpty)
            {
                var bytes = Math.Min(datagramBytes, datagrams.Length);
                portal.OnDatagram(from, datagrams[..bytes]);
                datagrams = datagrams[bytes..];
            }
        }

        public void OnWritable() => portal.port.OnWritable();

        public void OnMediumChanged()
        {
            foreach (var link in portal.byPair.Values) link.AskAtOnce();
        }
    }

    private void OnDatagram(UdpAddress from, ReadOnlySpan<byte> datagram)
    {
        port.Counters.Received++;
        if (!datagram.IsEmpty && SegmentHeader.IsQuic(datagram[0]))
        {
            quic.OnPacket(from, datagram);
            return;
        }
        if (!SegmentHeader.TryRead(datagram, out var header))
        {
            port.Counters.Count(DatagramFate.Malformed);
            return;
        }
        var link = latest;
        if (link is null || link.Index != header.LinkIndex || link.IsClosed)
        {
            if (!links.TryGetValue(header.LinkIndex, out link))
            {
                port.Counters.Count(DatagramFate.UnknownIndex);
                return;
            }
            latest = link;
        }
        link.OnSegment(from, header, datagram);
    }

    /// <summary>One of our identities with the credentials made from its newest SVID.</summary>
    private sealed class Vertex : IDisposable
    {
        private readonly Action onRenewed;
        private X509Svid? svid;
        private QuicCredentials? credentials;

        public Vertex(HeldIdentity identity, Action onRenewed)
        {
            (Identity, this.onRenewed) = (identity, onRenewed);
            identity.Renewed += OnRenewed;
        }

        public HeldIdentity Identity { get; }

        public QuicCredentials Credentials
        {
            get
            {
                var current = Identity.Current;
                if (svid == current) return credentials!;
                credentials?.Dispose();
                using var key = current.Leaf.GetECDsaPrivateKey() ?? throw new CryptographicException($"The SVID of {current.Id} has no ECDSA key.");
                credentials = QuicCredentials.Create([current.Leaf.RawData, .. current.Intermediates.Select(static i => i.RawData)], key.ExportPkcs8PrivateKey());
                svid = current;
                return credentials;
            }
        }

        public void Dispose()
        {
            Identity.Renewed -= OnRenewed;
            credentials?.Dispose();
        }

        private void OnRenewed(HeldIdentity identity) => onRenewed();
    }

    private sealed class Publication(UdpLinkPortal portal, string name, HeldIdentity identity, IAcceptor acceptor) : IAsyncDisposable
    {
        public HeldIdentity Identity { get; } = identity;

        public IAcceptor Acceptor { get; } = acceptor;

        public async ValueTask DisposeAsync() => await portal.port.Loop.RunAsync(() =>
        {
            if (portal.published.TryGetValue(name, out var mine) && mine == this) portal.published.Remove(name);
            return Task.CompletedTask;
        });
    }
}
