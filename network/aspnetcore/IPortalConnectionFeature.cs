using Florete.Identities;

namespace Florete.AspNetCore;

/// <summary>Who is at the other end of a connection that came through a portal; among the features of the connection and of every request on it.</summary>
public interface IPortalConnectionFeature
{
    /// <summary>The published identity that was called.</summary>
    SpiffeId Service { get; }

    /// <summary>The proved identity of the caller, allowed by the bounds.</summary>
    SpiffeId Caller { get; }

    /// <summary>The vertex where the caller lives.</summary>
    SpiffeId CallerVertex { get; }
}
