using Florete.Identities;
using Florete.Portals;

namespace Florete.Layers;

/// <summary>What streams must have in common to share a QUIC connection.</summary>
internal sealed record TransportKey(SpiffeId Caller, SpiffeId Target, SpiffeId Instance, TrafficClass Class);
