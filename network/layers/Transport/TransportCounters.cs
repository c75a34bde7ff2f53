namespace Florete.Layers;

/// <summary>What happened at a transport endpoint so far. Loop-affine.</summary>
public sealed class TransportCounters
{
    /// <summary>Connections refused by the bounds, here or for arriving ones.</summary>
    public long Refused { get; set; }

    /// <summary>Peers whose proof of identity was refused.</summary>
    public long Unproved { get; set; }

    /// <summary>Connections ended because an identity or the vertex at the other end was revoked.</summary>
    public long ClosedRevoked { get; set; }

    /// <summary>Packets that belong to no connection.</summary>
    public long Strays { get; set; }

    /// <summary>First packets dropped because a limit was reached.</summary>
    public long OverLimit { get; set; }

    /// <summary>Packets that are not QUIC packets.</summary>
    public long Malformed { get; set; }

    /// <summary>Portal connections opened by local callers, and accepted for local targets.</summary>
    public long Opened { get; set; }

    public long Accepted { get; set; }

    public long Failed { get; set; }
}
