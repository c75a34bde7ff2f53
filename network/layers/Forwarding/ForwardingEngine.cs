using System.Diagnostics.CodeAnalysis;
using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// Moves the packets of a layer: out for local users, on for others, in for this vertex. It computes next hops and repairs from the
/// topology, and switches to repairs by itself when an adjacency goes. Loop-affine; it owns no socket, only the flows it is given.
/// </summary>
public sealed partial class ForwardingEngine
{
    private readonly EventLoop loop;
    private readonly ForwardingOptions options;
    private readonly Dictionary<SpiffeId, NeighbourLinks> neighbours = [];
    private readonly Dictionary<uint, SpiffeId> adjacencySegments = [];
    private readonly ILocalReceiver?[] receivers = new ILocalReceiver?[byte.MaxValue + 1];
    private readonly Loopback loopback;
    private readonly uint hashSeed;
    private RouteTable table = RouteTable.Empty;
    private Label? segment;
    private Label? formerSegment;

    /// <param name="loop">The loop of the vertex.</param>
    /// <param name="pool">For the packets that the engine makes itself.</param>
    /// <param name="self">The vertex.</param>
    /// <param name="options">Settings.</param>
    /// <exception cref="ArgumentException">A setting is out of range.</exception>
    public ForwardingEngine(EventLoop loop, PacketPool pool, SpiffeId self, ForwardingOptions? options = null)
    {
        this.loop = loop;
        this.options = options ?? new ForwardingOptions();
        this.options.Validate();
        Self = self;
        // Each vertex spreads flows by another hash: with one for all, the second vertex on a path would see only flows that choose alike.
        foreach (var c in self.ToString()) hashSeed = (hashSeed * 31) + c;
        loopback = new Loopback(this);
        computation = new Computation(this);
        decided = new DecidedPaths(self, neighbour => neighbours.TryGetValue(neighbour, out var links) && links.Best is not null);
        oam = new OamEndpoint(this, loop, pool, this.options);
        receivers[(byte)PayloadType.Oam] = oam;
        holdTimer = loop.CreateTimer(EndHold);
        computeTimer = loop.CreateTimer(Compute);
    }

    public SpiffeId Self { get; }

    public ForwardingCounters Counters { get; } = new();

    /// <summary>The own node segment; null until it is set.</summary>
    public Label? Segment => segment;

    /// <summary>The standing adjacencies.</summary>
    public IEnumerable<Adjacency> Adjacencies => neighbours.Values.SelectMany(static n => n.All);

    /// <summary>Next hops, repairs or adjacencies have changed: a path may be better, worse, or gone.</summary>
    public event Action? PathsChanged;

    /// <summary>After <see cref="PathsChanged"/>: links that were there before are not, here or elsewhere; packets on them are lost.</summary>
    public event Action? LinksLost;

    /// <summary>Sets the own node segment. After a conflict the former one goes on being understood until another vertex has it.</summary>
    public void SetSegment(Label own)
    {
        if (!Label.Nodes.Contains(own)) throw new ArgumentOutOfRangeException(nameof(own), own, "Not a node segment.");
        if (segment == own) return;
        formerSegment = segment;
        segment = own;
    }

    /// <summary>Chooses who receives the packets of a payload type; OAM packets are the engine's own.</summary>
    /// <exception cref="ArgumentException">The type is OAM.</exception>
    public void SetReceiver(PayloadType type, ILocalReceiver receiver)
    {
        if (type == PayloadType.Oam) throw new ArgumentException("OAM packets are the engine's own.", nameof(type));
        receivers[(byte)type] = receiver;
    }

    /// <summary>
    /// Sends a payload to a vertex by the path that is decided for it, else by the best one; to itself: delivered at the end of the turn. The header is pushed
    /// in place. Takes ownership of the packet.
    /// </summary>
    public SendResult Send(
        PacketBuffer payload,
        PayloadType type,
        SpiffeId vertex,
        uint flowLabel,
        TrafficClass trafficClass,
        byte timeToLive = LayerSizes.InitialTimeToLive)
    {
        if (vertex == Self) return Send(payload, type, segment, [], flowLabel, trafficClass, timeToLive);
        var route = table.Find(vertex);
        return Send(payload, type, route?.Segment, route?.Decided is { } path ? path.Segments : [], flowLabel, trafficClass, timeToLive);
    }

    /// <summary>
    /// Sends a payload by a path of segments (node segments; adjacency segments of the vertex reached until then), at the end of which
    /// the vertex's own segment is put; without any: by the best path, whatever is decided. Takes ownership of the packet.
    /// </summary>
    public SendResult Send(
        PacketBuffer payload,
        PayloadType type,
        SpiffeId vertex,
        ReadOnlySpan<Label> via,
        uint flowLabel,
        TrafficClass trafficClass,
        byte timeToLive = LayerSizes.InitialTimeToLive) =>
        Send(payload, type, vertex == Self ? segment : table.Find(vertex)?.Segment, via, flowLabel, trafficClass, timeToLive);

    /// <summary>Sends a payload to the other end of one link, in the control class. Takes ownership of the packet.</summary>
    public SendResult SendToNeighbour(Adjacency adjacency, PacketBuffer payload, PayloadType type)
    {
        LabelStack.PushNeighbour(payload, type);
        if (payload.Length > adjacency.Flow.MaxDatagramBytes) return Drop(payload, DropReason.TooLarge, SendResult.TooLarge);
        Counters.Sent++;
        adjacency.Flow.Send(payload, TrafficClass.Control);
        return SendResult.Sent;
    }

    /// <summary>The vertex that has this node segment.</summary>
    public bool TryResolve(Label backward, [NotNullWhen(true)] out SpiffeId? vertex)
    {
        vertex = IsOwn(backward) ? Self : table.Find(backward)?.Id;
        return vertex is not null;
    }

    private SendResult Send(
        PacketBuffer payload, PayloadType type, Label? destination, ReadOnlySpan<Label> via, uint flowLabel, TrafficClass trafficClass, byte timeToLive)
    {
        if (via.Length >= LayerSizes.MaxSegments) return Drop(payload, DropReason.TooManySegments, SendResult.TooLarge);
        if (segment is not { } own || destination is not { } last) return Drop(payload, DropReason.NoRoute, SendResult.NoRoute);
        LabelStack.Push(payload, type, own, flowLabel, via, last, trafficClass, timeToLive);
        return Process(payload, via.Length + 1 + LabelStack.TrailingEntries, null);
    }

    private bool IsOwn(Label label) => label == segment || (label == formerSegment && table.Find(label) is null);

    private SendResult Drop(PacketBuffer packet, DropReason reason, SendResult result)
    {
        Counters.Drop(reason);
        packet.Return();
        return result;
    }

    /// <summary>Packets from this vertex to itself: delivered at the end of the turn, so that nobody is called back from within a send.</summary>
    private sealed class Loopback(ForwardingEngine engine) : ITurnEnd
    {
        // A turn's worth; local users are held back by their own windows long before.
        private const int MaxPackets = 1024;
        private readonly Queue<(PacketBuffer Packet, PacketHeader Header)> queue = new();

        public bool IsQueued { get; set; }

        public bool TryAdd(PacketBuffer packet, in PacketHeader header)
        {
            if (queue.Count >= MaxPackets) return false;
            queue.Enqueue((packet, header));
            engine.loop.AtEndOfTurn(this);
            return true;
        }

        public void OnTurnEnd()
        {
            // Only what was there: an answer to itself waits for the next round.
            for (var count = queue.Count; count > 0; count--)
            {
                var (packet, header) = queue.Dequeue();
                engine.GiveToReceiver(packet, header);
            }
        }
    }
}
