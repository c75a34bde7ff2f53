using Florete.Identities;

namespace Florete.Simulation;

/// <summary>Bounds that allow everything, until they are narrowed. For tests and benchmarks, and for who means harm in them. Not thread-safe.</summary>
public sealed class OpenBounds : IBounds
{
    private Func<SpiffeId, SpiffeId, bool> connects = static (_, _) => true;
    private Func<SpiffeId, SpiffeId, bool> hosts = static (_, _) => true;

    public event Action? Changed;

    /// <summary>From now on a caller may connect to a target only if this says so. Raises <see cref="Changed"/>, on this thread.</summary>
    public void Narrow(Func<SpiffeId, SpiffeId, bool> mayConnect)
    {
        connects = mayConnect;
        Changed?.Invoke();
    }

    /// <summary>From now on a vertex may host an identity only if this says so. Raises <see cref="Changed"/>, on this thread.</summary>
    public void NarrowHosting(Func<SpiffeId, SpiffeId, bool> mayHost)
    {
        hosts = mayHost;
        Changed?.Invoke();
    }

    public Verdict MayLink(SpiffeId vertex, SpiffeId neighbour) => Verdict.Allowed;

    public Verdict MayConnect(SpiffeId caller, SpiffeId target) =>
        connects(caller, target) ? Verdict.Allowed : Verdict.Refused($"no rule lets {caller} connect to {target}");

    public Verdict MayHost(SpiffeId vertex, SpiffeId identity) =>
        hosts(vertex, identity) ? Verdict.Allowed : Verdict.Refused($"no rule lets {vertex} hold {identity}");
}
