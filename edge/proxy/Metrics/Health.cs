using Florete.Proxy.Control;

namespace Florete.Proxy.Metrics;

/// <summary>
/// Is the node fit for its work, and if not, what is missing? A node that waits for others is alive all the same: whoever watches it must not
/// restart it for that, but send no new work.
/// </summary>
internal static class Health
{
    /// <returns>What is wrong, a sentence each with the remedy; empty: healthy.</returns>
    public static IReadOnlyList<string> ProblemsOf(StatusReport status, DateTimeOffset now)
    {
        var problems = new List<string>();
        foreach (var identity in status.Identities.Where(identity => identity.NotAfter <= now))
        {
            problems.Add($"The SVID of {identity.Name} has expired at {identity.NotAfter:u}; issue a new one (florctl identity issue), and look at the clock of this machine.");
        }
        foreach (var identity in status.Identities)
        {
            if (identity.Revoked is { } revoked) problems.Add($"{revoked} Issue {identity.Name} again (florctl identity issue).");
        }
        if (status.RevocationProblem is { } unsaved) problems.Add($"Revocations are in force, but cannot be saved: {unsaved} Free the disk, or correct the owner of the state folder.");
        // A node that is dialled by all its neighbours knows of them by what they publish.
        if (status.Links.All(static link => link.State != "up") && (status.Links.Count > 0 || status.Services.Any(static service => service.OutOfReach is { Count: > 0 })))
        {
            var links = status.Links.Count > 0 ? string.Join("; ", status.Links.Select(static l => $"{l.Neighbour}: {l.Reason ?? l.State}")) : "its neighbours dial this node; see there";
            problems.Add($"No link is up, so only this node's own services can be reached: {links}");
        }
        return problems;
    }
}
