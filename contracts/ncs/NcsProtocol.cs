namespace Florete.Ncs.Contracts;

/// <summary>Names and numbers of docs/protocols/ncs.md.</summary>
public static class NcsProtocol
{
    /// <summary>Name of the service: <c>service/ncs</c>.</summary>
    public const string Service = "ncs";

    /// <summary>The queue of requests.</summary>
    public const string Queue = "ncs";

    /// <summary>Disjoint paths of one request.</summary>
    public const int MaxPaths = 4;

    /// <summary>Names in <see cref="PathRequest.Avoid"/>.</summary>
    public const int MaxAvoided = 256;

    /// <summary>Paths in <see cref="PathRequest.DisjointFrom"/>.</summary>
    public const int MaxDisjointFrom = 8;

    /// <summary>Links of a path: a packet lives for so many.</summary>
    public const int MaxLinks = 64;

    /// <summary>Segments of a path above the destination's: with it, one of the six that a packet has room for remains for a repair.</summary>
    public const int MaxSegments = 4;

    public const int MaxVertices = 4096;

    /// <summary>In each direction.</summary>
    public const int MaxTopologyLinks = 65_536;

    /// <summary>For an answer.</summary>
    public static readonly TimeSpan AnswerTime = TimeSpan.FromSeconds(2);
}
