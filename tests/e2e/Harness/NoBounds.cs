using Florete.Identities;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>Who means harm minds no rule.</summary>
internal sealed class NoBounds : IBounds
{
    public event Action? Changed
    {
        add { }
        remove { }
    }

    public Verdict MayLink(SpiffeId vertex, SpiffeId neighbour) => Verdict.Allowed;

    public Verdict MayConnect(SpiffeId caller, SpiffeId target) => Verdict.Allowed;

    public Verdict MayHost(SpiffeId vertex, SpiffeId identity) => Verdict.Allowed;
}
