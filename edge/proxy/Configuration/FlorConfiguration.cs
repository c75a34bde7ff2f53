using System.Net;
using Florete.Identities;
using Florete.Portals;

namespace Florete.Proxy.Configuration;

/// <summary>A node's configuration as it was asked for: validated, immutable, paths absolute. See docs/configuration.md.</summary>
public sealed record FlorConfiguration
{
    /// <summary>The file it was read from.</summary>
    public required string File { get; init; }

    public required string Cluster { get; init; }

    /// <summary>The vertex that this node is in its cluster's layer.</summary>
    public required SpiffeId Vertex { get; init; }

    public required string IdentitiesFolder { get; init; }

    public required string BundleFile { get; init; }

    public required string BoundsFile { get; init; }

    public required string StateFolder { get; init; }

    public required string ControlSocket { get; init; }

    /// <summary>Null: the node has no links, and is a cluster of one.</summary>
    public UdpLinksConfiguration? Udp { get; init; }

    public IReadOnlyList<InboundConfiguration> Inbounds { get; init; } = [];

    public IReadOnlyList<OutboundConfiguration> Outbounds { get; init; } = [];

    public IReadOnlyList<PortalSocketConfiguration> Portals { get; init; } = [];

    /// <summary>Where metrics and health are served; null: only by the control socket.</summary>
    public IPEndPoint? Metrics { get; init; }
}

/// <param name="Listen">The UDP address of this node.</param>
/// <param name="Neighbours">Whom to form links with.</param>
/// <param name="Join">Strangers with a token may join through this port.</param>
public sealed record UdpLinksConfiguration(IPEndPoint Listen, IReadOnlyList<NeighbourConfiguration> Neighbours, bool Join = false);

/// <param name="Vertex">The neighbour.</param>
/// <param name="Addresses">Where it may be found, as host:port; empty: it finds us.</param>
/// <param name="CapacityBitsPerSecond">What the link carries to the neighbour; null: measured.</param>
public sealed record NeighbourConfiguration(SpiffeId Vertex, IReadOnlyList<string> Addresses, long? CapacityBitsPerSecond);

/// <param name="Line">Where it begins in the file.</param>
/// <param name="Listen">The TCP address.</param>
/// <param name="As">The identity that local programs act as.</param>
/// <param name="Credentials">Null when it is shared by this machine.</param>
/// <param name="Forward">What it forwards to; null: it is a proxy.</param>
public sealed record InboundConfiguration(
    int Line, IPEndPoint Listen, SpiffeId As, CredentialsConfiguration? Credentials, ForwardConfiguration? Forward);

/// <param name="User">The user's name.</param>
/// <param name="PasswordFile">Its first line is the password.</param>
public sealed record CredentialsConfiguration(string User, string PasswordFile);

/// <param name="Target">The identity that every connection goes to.</param>
/// <param name="Instance">The vertex whose instance is wanted; null: the nearest.</param>
/// <param name="Class">QoS class.</param>
public sealed record ForwardConfiguration(SpiffeId Target, SpiffeId? Instance, TrafficClass Class);

/// <param name="Line">Where it begins in the file.</param>
/// <param name="Service">What is published.</param>
/// <param name="Target">The local program's TCP address: <see cref="IPEndPoint"/> or <see cref="DnsEndPoint"/>.</param>
public sealed record OutboundConfiguration(int Line, SpiffeId Service, EndPoint Target);

/// <param name="Line">Where it begins in the file.</param>
/// <param name="Identity">Whom the program behind the socket acts as.</param>
/// <param name="Socket">Path of the Unix socket.</param>
/// <param name="Owner">The system user who may open it, besides root.</param>
public sealed record PortalSocketConfiguration(int Line, SpiffeId Identity, string Socket, string Owner);
