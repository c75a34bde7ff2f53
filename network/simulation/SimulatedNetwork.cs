using System.Net;
using Florete.Links;
using Florete.Runtime;

namespace Florete.Simulation;

/// <summary>How datagrams fare in one direction between two addresses.</summary>
public sealed record PathProperties
{
    public TimeSpan Delay { get; init; } = TimeSpan.FromMilliseconds(1);

    /// <summary>Added to the delay, uniformly between 0 and this: more than the gap between packets reorders them.</summary>
    public TimeSpan Jitter { get; init; }

    /// <summary>Fraction lost, 0 to 1.</summary>
    public double Loss { get; init; }

    /// <summary>Fraction that arrives twice.</summary>
    public double Duplication { get; init; }

    /// <summary>Null: as fast as it comes.</summary>
    public long? BitsPerSecond { get; init; }

    /// <summary>What waits for the rate at most; more is dropped.</summary>
    public int QueueBytes { get; init; } = 256 * 1024;

    /// <summary>Largest datagram; larger ones vanish, as with don't-fragment.</summary>
    public int DatagramBytes { get; init; } = 1472;
}

/// <summary>
/// A network of datagrams in virtual time. Everything follows from the seed. Sockets of several <see cref="VirtualLoop"/>s on one clock.
/// </summary>
public sealed class SimulatedNetwork(int seed)
{
    private const int OverheadBytes = 28; // IPv4 and UDP
    private readonly Random random = new(seed);
    private readonly Dictionary<UdpAddress, SimulatedSocket> sockets = [];
    private readonly Dictionary<(UdpAddress From, UdpAddress To), Wire> wires = [];
    private PathProperties common = new();

    /// <summary>Datagrams handed over to sockets.</summary>
    public long Delivered { get; private set; }

    /// <summary>Sees every datagram that is sent; may change it, or return false to lose it. For hostile networks.</summary>
    public Func<UdpAddress, UdpAddress, byte[], bool>? Tap { get; set; }

    /// <summary>Opens a socket at an address, such as "10.0.0.1:7000".</summary>
    public SimulatedSocket Open(VirtualLoop loop, string address)
    {
        var local = UdpAddress.Of(IPEndPoint.Parse(address));
        var socket = new SimulatedSocket(this, loop, local);
        sockets.Add(local, socket);
        return socket;
    }

    /// <summary>The properties of all paths that have none of their own.</summary>
    public void SetAll(PathProperties properties)
    {
        common = properties;
        wires.Clear();
    }

    /// <summary>The properties of one direction.</summary>
    public void Set(UdpAddress from, UdpAddress to, PathProperties properties) => wires[(from, to)] = new Wire(properties);

    /// <summary>Cuts one direction, or joins it again.</summary>
    public void Cut(UdpAddress from, UdpAddress to, bool isCut = true) => Find(from, to).IsCut = isCut;

    /// <summary>Puts a datagram in front of a socket at once, whoever seems to have sent it.</summary>
    public void Inject(UdpAddress from, UdpAddress to, byte[] datagram)
    {
        if (sockets.TryGetValue(to, out var socket)) socket.Loop.Post(() => Deliver(from, to, datagram));
    }

    internal void Send(SimulatedSocket sender, UdpAddress to, byte[] datagram)
    {
        var from = sender.Local;
        if (Tap is { } tap && !tap(from, to, datagram)) return;
        var wire = Find(from, to);
        var path = wire.Properties;
        if (wire.IsCut || datagram.Length > path.DatagramBytes || random.NextDouble() < path.Loss) return;
        var copies = random.NextDouble() < path.Duplication ? 2 : 1;
        for (var i = 0; i < copies; i++)
        {
            var now = sender.Loop.Now;
            var leaves = now;
            if (path.BitsPerSecond is { } rate)
            {
                var bits = (datagram.Length + OverheadBytes) * 8L;
                var waiting = wire.FreeAt > now ? wire.FreeAt - now : TimeSpan.Zero;
                if (waiting.TotalSeconds * rate / 8 > path.QueueBytes) continue;
                leaves = wire.FreeAt = now + waiting + TimeSpan.FromSeconds((double)bits / rate);
            }
            var arrives = leaves + path.Delay + (path.Jitter * random.NextDouble());
            if (sockets.TryGetValue(to, out var receiver)) receiver.Loop.CreateTimerAt(arrives, () => Deliver(from, to, datagram));
        }
    }

    internal void Move(SimulatedSocket socket, UdpAddress to)
    {
        sockets.Remove(socket.Local);
        sockets.Add(to, socket);
    }

    internal void Close(SimulatedSocket socket) => sockets.Remove(socket.Local);

    private void Deliver(UdpAddress from, UdpAddress to, byte[] datagram)
    {
        if (!sockets.TryGetValue(to, out var socket)) return;
        Delivered++;
        socket.Receiver?.OnDatagrams(from, datagram, Math.Max(1, datagram.Length));
    }

    private Wire Find(UdpAddress from, UdpAddress to)
    {
        if (!wires.TryGetValue((from, to), out var wire)) wires[(from, to)] = wire = new Wire(common);
        return wire;
    }

    private sealed class Wire(PathProperties properties)
    {
        public PathProperties Properties { get; } = properties;

        public bool IsCut { get; set; }

        public Instant FreeAt { get; set; }
    }
}

/// <summary>A UDP port in a <see cref="SimulatedNetwork"/>.</summary>
public sealed class SimulatedSocket : IDatagramSocket
{
    private readonly SimulatedNetwork network;

    internal SimulatedSocket(SimulatedNetwork network, VirtualLoop loop, UdpAddress local) => (this.network, Loop, Local) = (network, loop, local);

    public UdpAddress Local { get; private set; }

    /// <summary>False: every send fails, as after <c>ip link set down</c>.</summary>
    public bool HasRoute { get; set; } = true;

    internal VirtualLoop Loop { get; }

    internal IDatagramReceiver? Receiver { get; private set; }

    public void Start(IDatagramReceiver receiver) => Receiver = receiver;

    /// <summary>The system tells that a network device has changed.</summary>
    public void TellOfChange() => Loop.Post(() => Receiver?.OnMediumChanged());

    /// <summary>The address changes, as it does for a laptop in another network.</summary>
    public void MoveTo(string address)
    {
        var to = UdpAddress.Of(IPEndPoint.Parse(address));
        network.Move(this, to);
        Local = to;
    }

    public SendResult Send(DatagramBatch batch)
    {
        if (!HasRoute) return SendResult.Unreachable;
        Span<byte> buffer = stackalloc byte[2048];
        for (var i = 0; i < batch.Count; i++) network.Send(this, batch.To, buffer[..batch.Copy(i, buffer)].ToArray());
        return SendResult.Sent;
    }

    public void Dispose()
    {
        Receiver = null;
        network.Close(this);
    }
}

internal static class LoopTimers
{
    public static void CreateTimerAt(this VirtualLoop loop, Instant at, Action callback) => loop.CreateTimer(callback).Set(at);
}
