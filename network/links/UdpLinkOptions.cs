using System.Net;
using Florete.Identities;
using Florete.Sealing;

namespace Florete.Links;

/// <summary>A vertex to which links may be dialled.</summary>
/// <param name="Vertex">Who it is.</param>
/// <param name="Addresses">Where, each an <see cref="IPEndPoint"/> or a <see cref="DnsEndPoint"/>; tried in turn.</param>
/// <param name="CapacityBitsPerSecond">What the medium carries towards it, if known.</param>
public sealed record UdpNeighbour(SpiffeId Vertex, IReadOnlyList<EndPoint> Addresses, long? CapacityBitsPerSecond = null);

/// <summary>What a <see cref="UdpLinkPortal"/> is set to.</summary>
public sealed record UdpLinkOptions
{
    public IReadOnlyList<UdpNeighbour> Neighbours { get; init; } = [];

    /// <summary>Links at a time. A vertex has a handful; each costs some 600 KB when busy.</summary>
    public int MaxLinks { get; init; } = 256;

    /// <summary>Handshakes of others at a time; each costs some 40 KB.</summary>
    public int MaxHalfOpen { get; init; } = 1024;

    /// <summary>As <see cref="MaxHalfOpen"/>, from one IP address.</summary>
    public int MaxHalfOpenPerHost { get; init; } = 16;

    /// <summary>Above this number of half-open handshakes others must show that they receive at their address (Retry, RFC 9000 § 8.1).</summary>
    public int RetryAbove { get; init; } = 64;

    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(5);

    public QueueDiscipline QueueDiscipline { get; init; } = QueueDiscipline.Strict;

    public RekeyLimits RekeyLimits { get; init; } = RekeyLimits.Default;

    /// <exception cref="ArgumentException">Names the field out of range and its range.</exception>
    public void Validate()
    {
        if (MaxLinks is < 1 or > 65536) throw Bad(nameof(MaxLinks), "must be 1 to 65536");
        if (MaxHalfOpen is < 1 or > 65536) throw Bad(nameof(MaxHalfOpen), "must be 1 to 65536");
        if (MaxHalfOpenPerHost < 1) throw Bad(nameof(MaxHalfOpenPerHost), "must be at least 1");
        if (RetryAbove < 0) throw Bad(nameof(RetryAbove), "must be at least 0");
        if (HandshakeTimeout < TimeSpan.FromMilliseconds(100) || HandshakeTimeout > TimeSpan.FromMinutes(1)) throw Bad(nameof(HandshakeTimeout), "must be 100 ms to 60 s");
        RekeyLimits.Validated();
        foreach (var neighbour in Neighbours)
        {
            if (neighbour.Vertex.Kind != IdentityKind.Vertex) throw Bad(nameof(Neighbours), $"names {neighbour.Vertex}, which is not a vertex");
            if (neighbour.CapacityBitsPerSecond <= 0) throw Bad(nameof(Neighbours), $"gives {neighbour.Vertex} a capacity that is not positive");
            if (neighbour.Addresses.FirstOrDefault(static a => a is not (IPEndPoint or DnsEndPoint)) is { } wrong) throw Bad(nameof(Neighbours), $"has an address of unknown form, {wrong}");
        }
    }

    private static ArgumentException Bad(string field, string rule) => new($"{nameof(UdpLinkOptions)}.{field} {rule}.");
}
