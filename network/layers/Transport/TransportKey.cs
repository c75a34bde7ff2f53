using Florete.Identities;
using Florete.Portals;

namespace Florete.Layers;

/// <summary>What streams must have in common to share a QUIC connection.</summary>
/// <param name="Caller">Who calls.</param>
/// <param name="Target">Who is called.</param>
/// <param name="Instance">The vertex where.</param>
/// <param name="Class">Of the traffic.</param>
/// <param name="IsInstanceWanted">The caller asked for this very instance: no other is as good.</param>
internal sealed record TransportKey(SpiffeId Caller, SpiffeId Target, SpiffeId Instance, TrafficClass Class, bool IsInstanceWanted);
