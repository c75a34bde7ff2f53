using Florete.Quic;
using Florete.Runtime;

namespace Florete.Links;

/// <summary>The QUIC connections of one UDP port: finds the connection of a packet, limits half-open ones, sends.</summary>
internal sealed class QuicPort(LinkPort link, UdpLinkOptions options)
{
    private readonly Dictionary<ConnectionId, ControlChannel> channels = [];
    private readonly Dictionary<UdpAddress, int> halfOpenByAddress = [];
    private readonly Dictionary<ControlChannel, UdpAddress> halfOpen = [];
    private readonly QuicEndpointSecret secret = new();
    private readonly DatagramBatch batch = new();
    private readonly byte[] memory = GC.AllocateUninitializedArray<byte>(QuicOptions.LeastPacketBytes, pinned: true);
    private readonly byte[] address = new byte[UdpAddress.Bytes];

    public EventLoop Loop => link.Loop;

    public SendChunkPool Chunks { get; } = new(2048, 16);

    /// <summary>Handshakes that others began and that are not done.</summary>
    public int HalfOpen => halfOpen.Count;

    /// <summary>Begins a connection from a first packet; false when the packet begins none.</summary>
    public required Func<UdpAddress, ReadOnlyMemory<byte>, QuicRetryProof?, ControlChannel?> Accept { get; init; }

    public void OnPacket(UdpAddress source, ReadOnlySpan<byte> packet)
    {
        if (!QuicPacketHeader.TryParse(packet, ConnectionId.Bytes, out var header))
        {
            link.Counters.Count(DatagramFate.Malformed);
            return;
        }
        if (channels.TryGetValue(header.Destination, out var channel))
        {
            link.Counters.Count(DatagramFate.Quic);
            channel.Receive(packet);
            return;
        }
        if (!header.IsSupportedVersion)
        {
            link.Counters.Count(DatagramFate.QuicUnknown);
            Send(source, QuicPacketHeader.WriteVersionNegotiation(header, packet.Length, memory));
            return;
        }
        // Only a full-sized Initial may begin something (RFC 9000 §14.1); the rest belongs to connections that are gone.
        if (!header.IsInitial || packet.Length < QuicOptions.LeastPacketBytes) link.Counters.Count(DatagramFate.QuicUnknown);
        else Begin(source, packet, header);
    }

    public void Add(ConnectionId id, ControlChannel channel) => channels.TryAdd(id, channel);

    public void Remove(ConnectionId id, ControlChannel channel)
    {
        if (channels.TryGetValue(id, out var holder) && holder == channel) channels.Remove(id);
    }

    public void Remove(ControlChannel channel)
    {
        Settled(channel);
        // Rare, and a connection has a handful of IDs among a few hundred.
        foreach (var (id, holder) in channels.ToArray())
        {
            if (holder == channel) channels.Remove(id);
        }
    }

    /// <summary>The handshake is done, or over: it no longer counts as half-open.</summary>
    public void Settled(ControlChannel channel)
    {
        if (!halfOpen.Remove(channel, out var source)) return;
        // Keyed without the port: one host is one source.
        var host = source with { Port = 0 };
        if (--halfOpenByAddress[host] == 0) halfOpenByAddress.Remove(host);
    }

    public void Write(QuicConnection quic, UdpAddress to)
    {
        // The control channel sends a few packets; one call each keeps this simple.
        while (quic.Write(memory, Loop.Now) is var bytes and > 0) Send(to, bytes);
        quic.BurstDone(Loop.Now);
    }

    public void Close()
    {
        foreach (var channel in channels.Values.Distinct().ToArray()) channel.Drop();
    }

    private void Begin(UdpAddress source, ReadOnlySpan<byte> packet, scoped QuicPacketHeader header)
    {
        var host = source with { Port = 0 };
        halfOpenByAddress.TryGetValue(host, out var ofHost);
        if (halfOpen.Count >= options.MaxHalfOpen || ofHost >= options.MaxHalfOpenPerHost)
        {
            link.Counters.Count(DatagramFate.TooManyHandshakes);
            return;
        }
        QuicRetryProof? proof = null;
        if (halfOpen.Count >= options.RetryAbove)
        {
            source.Write(address);
            proof = secret.TryVerifyToken(header, address, Loop.Now);
            if (proof is null)
            {
                link.Counters.Count(DatagramFate.Quic);
                Span<byte> retry = stackalloc byte[QuicEndpointSecret.LargestRetryBytes];
                var bytes = secret.WriteRetry(header, address, retry, Loop.Now);
                retry[..bytes].CopyTo(memory);
                Send(source, bytes);
                return;
            }
        }
        if (Accept(source, packet.ToArray(), proof) is not { } channel)
        {
            link.Counters.Count(DatagramFate.QuicUnknown);
            return;
        }
        link.Counters.Count(DatagramFate.Quic);
        halfOpen[channel] = source;
        halfOpenByAddress[host] = ofHost + 1;
    }

    private void Send(UdpAddress to, int bytes)
    {
        if (bytes <= 0) return;
        batch.Clear(to);
        batch.TryAdd([], memory.AsSpan(0, bytes));
        // What cannot leave now is lost; QUIC sends it again.
        link.Socket.Send(batch);
    }
}
