using Florete.Identities;

namespace Florete.Layers;

/// <summary>What a transport endpoint needs of the layer's directory: where identities are published. Loop-affine.</summary>
internal interface IServiceDirectory
{
    /// <summary>The vertices that publish the identity and can be reached.</summary>
    IEnumerable<SpiffeId> VerticesOf(SpiffeId service);

    /// <summary>The vertices that publish the identity, also those that cannot be reached.</summary>
    IEnumerable<SpiffeId> AnnouncedAt(SpiffeId service);

    /// <summary>A number that changes when the vertex has been restarted; null: the vertex is not known.</summary>
    ulong? IncarnationOf(SpiffeId vertex);

    void Announce(HeldIdentity service);

    void Withdraw(SpiffeId service);
}
