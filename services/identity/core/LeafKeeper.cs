using Florete.Identities;
using Microsoft.Extensions.Logging;

namespace Florete.Identity;

/// <summary>
/// Keeps the SVIDs of a node's folder alive: issues what is missing and renews at half life, by the node's own authority, asking nobody. Called
/// from one thread at a time.
/// </summary>
public sealed partial class LeafKeeper(IdentityOptions options, NodeFiles files, EventFile events, IdentityMetrics metrics, TimeProvider clock, ILogger logger)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1), MostPause = TimeSpan.FromMinutes(1);

    private readonly Dictionary<SpiffeId, Failure> failures = [];
    private readonly Dictionary<SpiffeId, (DateTimeOffset NotAfter, double Luck)> luck = [];
    private readonly Random random = new();
    private IdentityFolder? folder;

    /// <summary>What is not as it should be, for the health of the service; empty: all is well.</summary>
    public IReadOnlyList<string> Problems { get; private set; } = [];

    /// <summary>Until then there is nothing to do, as long as no file, no revocation and not the authority changes.</summary>
    public DateTimeOffset NextDue { get; private set; } = DateTimeOffset.MinValue;

    /// <summary>Does what is due now.</summary>
    public void Tend(NodeAuthority authority)
    {
        var now = clock.GetUtcNow();
        var next = DateTimeOffset.MaxValue;
        var problems = new List<string>();
        var held = Read(problems);
        foreach (var id in files.HeldByName(authority.Node.Name).Concat(held.Keys).Distinct())
        {
            held.TryGetValue(id, out var svid);
            if (svid is not null && now < DueAt(svid) && !IsWorthlessNow(svid, authority))
            {
                if (DueAt(svid) < next) next = DueAt(svid);
                continue;
            }
            // Whether it is done now or cannot be: it is looked at again.
            next = now;
            if (NodeAuthority.MayIssue(authority.Node.Name, id, files.Bounds) is { IsAllowed: false } refused)
            {
                // Somebody else's to renew: the operator's.
                if (svid is not null) problems.Add($"{id.Path} is not renewed: {refused.Refusal}");
                continue;
            }
            var revocation = files.Verifier.Revocations.Find(id);
            if (revocation is not null && !MayFollow(revocation, authority, svid))
            {
                // A revocation would be worth nothing if it ended with the next renewal (docs/protocols/revocation.md "Clocks").
                problems.Add($"{revocation.Describe(id.Path)}, so this node does not renew it; let the operator issue it (florctl identity issue), or let the node join again if the node itself is revoked.");
                continue;
            }
            if (failures.TryGetValue(id, out var failure) && now < failure.NotBefore)
            {
                problems.Add(failure.Problem);
                continue;
            }
            if (Issue(authority, id, svid, revocation?.ReissueTime(now) ?? now) is { } problem) problems.Add(problem);
        }
        metrics.EarliestEnd = held.Count > 0 ? held.Values.Min(static s => s.NotAfter) : null;
        NextDue = problems.Count > 0 ? now : next;
        Problems = problems;
    }

    // Its authority was revoked, and the node has another since: nobody believes the old one, so half life is too late.
    private bool IsWorthlessNow(X509Svid svid, NodeAuthority authority) =>
        svid.Intermediates.Count > 0 && svid.Intermediates[0].NotBefore < authority.Certificate.NotBefore && files.Verifier.Revocations.Refusal(svid) is not null;

    // Somebody who may has issued after it: the SVID at hand, or, where the node was revoked, its authority.
    private static bool MayFollow(Revocation revocation, NodeAuthority authority, X509Svid? svid) =>
        svid?.NotBefore >= revocation.Before || (revocation.IsOfNode && authority.NotBefore >= revocation.Before);

    private Dictionary<SpiffeId, X509Svid> Read(List<string> problems)
    {
        Directory.CreateDirectory(options.IdentitiesFolder);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(options.IdentitiesFolder, AtomicFile.OwnerOnlyFolder);
        // A file that is broken is renewed over, if it is one of the names that are held anyway.
        folder ??= IdentityFolder.OpenAny(options.IdentitiesFolder);
        problems.AddRange(folder.Reload().Problems);
        return folder.Identities.Where(held => File.Exists(SvidFiles.CertificatePath(options.IdentitiesFolder, held.Id))).ToDictionary(static held => held.Id, static held => held.Current);
    }

    private string? Issue(NodeAuthority authority, SpiffeId id, X509Svid? before, DateTimeOffset now)
    {
        try
        {
            var svid = authority.Issue(id, options.SvidLifetime, now);
            SvidFiles.Write(options.IdentitiesFolder, svid);
            failures.Remove(id);
            metrics.Renewed("svid", succeeded: true);
            events.Add("issue", id.ToString(), authority.Node.ToString(), $"SVID until {svid.NotAfter:u}");
            if (before is null) Issued(id.Path, svid.NotAfter);
            else Renewed(id.Path, svid.NotAfter);
            return null;
        }
        catch (Exception e) when (e is IdentityException or IOException or UnauthorizedAccessException)
        {
            var count = (failures.GetValueOrDefault(id)?.Count ?? 0) + 1;
            var problem = $"{id.Path} cannot be renewed: {e.Message}";
            failures[id] = new Failure(count, clock.GetUtcNow() + RenewalTimes.BackOff(count, FirstPause, MostPause, random.NextDouble()), problem);
            metrics.Renewed("svid", succeeded: false);
            NotRenewed(id.Path, e.Message);
            return problem;
        }
    }

    private DateTimeOffset DueAt(X509Svid svid)
    {
        if (!luck.TryGetValue(svid.Id, out var drawn) || drawn.NotAfter != svid.NotAfter) luck[svid.Id] = drawn = (svid.NotAfter, random.NextDouble());
        return RenewalTimes.DueAt(svid.NotBefore, svid.NotAfter, drawn.Luck);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Id} is issued until {NotAfter:u}")]
    private partial void Issued(string id, DateTimeOffset notAfter);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Id} is renewed until {NotAfter:u}")]
    private partial void Renewed(string id, DateTimeOffset notAfter);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Id} cannot be renewed, trying again: {Problem}")]
    private partial void NotRenewed(string id, string problem);

    private sealed record Failure(int Count, DateTimeOffset NotBefore, string Problem);
}
