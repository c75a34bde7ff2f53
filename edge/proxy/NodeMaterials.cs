using Florete.Identities;
using Florete.Layers;
using Florete.Proxy.Configuration;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy;

/// <summary>
/// What a node holds on disk: identities with their keys, the trust bundle, the signed bounds. Looks at the files every second, so
/// that renewed SVIDs, new roots and newer bounds take effect without a restart; a file that is unusable leaves the old content in force.
/// </summary>
public sealed partial class NodeMaterials : IAsyncDisposable
{
    // Narrowed bounds must be in force within 5 s (design.md §6); looking costs a few stat calls.
    private static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(1);

    private readonly IdentityFolder folder;
    private readonly BundleVerifier verifier;
    private readonly RevocationFile revocationFile;
    private readonly BoundsFile bounds;
    private readonly FileStamps stamps;
    private readonly TimeProvider clock;
    private readonly ILogger logger;
    private readonly Lock gate = new();
    private readonly CancellationTokenSource stopping = new();
    private readonly Task polling;
    private string lastProblems = "";

    private NodeMaterials(
        IdentityFolder folder, BundleVerifier verifier, RevocationFile revocationFile, BoundsFile bounds, FileStamps stamps, TimeProvider clock, ILogger logger)
    {
        (this.folder, this.verifier, this.revocationFile, this.bounds) = (folder, verifier, revocationFile, bounds);
        (this.stamps, this.clock, this.logger) = (stamps, clock, logger);
        Security = new LayerSecurity(verifier.Revocations, revocationFile, new SecurityEvents(clock));
        polling = Task.Run(PollAsync);
    }

    /// <summary>Raised after identities have been added, on the thread that has read them.</summary>
    public event Action? IdentitiesAdded;

    /// <summary>The bounds in force.</summary>
    public Bounds Bounds => bounds.Bounds;

    /// <summary>What is revoked, and who is told of refusals.</summary>
    public LayerSecurity Security { get; }

    /// <summary>Proves peers against the bundle in force, and refuses what is revoked.</summary>
    public IPeerVerifier Verifier => verifier;

    public ClusterIdentity Cluster => verifier.Cluster;

    /// <summary>The trust bundle in force, PEM.</summary>
    public string BundlePem => verifier.Pem;

    /// <summary>The identities held now.</summary>
    public IReadOnlyList<HeldIdentity> Identities
    {
        get
        {
            lock (gate) return [.. folder.Identities];
        }
    }

    /// <summary>Loads everything, or says all that is wrong.</summary>
    /// <param name="configuration">Where the files are.</param>
    /// <param name="problems">What is wrong, each with its file and remedy; empty on success.</param>
    /// <param name="logger">For what changes later.</param>
    /// <param name="clock">For validity; the system's unless told.</param>
    public static NodeMaterials? Open(FlorConfiguration configuration, out IReadOnlyList<string> problems, ILogger logger, TimeProvider? clock = null)
    {
        clock ??= TimeProvider.System;
        var found = new List<string>();
        var stamps = new FileStamps(configuration.IdentitiesFolder, configuration.BundleFile, configuration.BoundsFile);
        stamps.Changed();
        var folder = Try(() => IdentityFolder.Open(configuration.IdentitiesFolder), found);
        var verifier = Try(() => new BundleVerifier(configuration.BundleFile), found);
        BoundsFile? bounds = null;
        RevocationFile? revocations = null;
        if (verifier is not null)
        {
            if (verifier.Cluster.Name != configuration.Cluster)
            {
                found.Add($"{configuration.BundleFile}: it is of cluster '{verifier.Cluster.Name}', and {configuration.File} says cluster: {configuration.Cluster}; copy the right bundle, or correct cluster.");
            }
            else
            {
                revocations = OpenRevocations(configuration, verifier, logger, found);
                bounds = Try(
                    () => BoundsFile.Open(configuration.BoundsFile, verifier, BoundsStore.Open(configuration.StateFolder, verifier.Cluster), clock.GetUtcNow()), found);
            }
        }
        if (bounds is not null) verifier!.Obey(bounds.Bounds);
        problems = found;
        return found.Count == 0 ? new NodeMaterials(folder!, verifier!, revocations!, bounds!, stamps, clock, logger) : null;
    }

    public HeldIdentity? Find(SpiffeId id)
    {
        lock (gate) return folder.Find(id);
    }

    /// <summary>Reads what has changed now, whatever the stamps say.</summary>
    public void Refresh()
    {
        lock (gate)
        {
            var problems = new List<string>();
            var changes = folder.Reload();
            foreach (var added in changes.Added) IdentityAdded(added.Id);
            foreach (var renewed in changes.Renewed) IdentityRenewed(renewed.Id, renewed.Current.NotAfter);
            foreach (var removed in changes.Removed) IdentityRemoved(removed.Id);
            if (changes.Added.Count > 0) IdentitiesAdded?.Invoke();
            problems.AddRange(changes.Problems);
            if (verifier.Reload() is { } bundleProblem) problems.Add(bundleProblem);
            var version = Bounds.Current.Version;
            var verdict = bounds.Reload(clock.GetUtcNow());
            if (!verdict.IsAllowed) problems.Add(verdict.Refusal!);
            else if (Bounds.Current.Version != version) BoundsInForce(Bounds.Current.Version);
            // The same problem every second is one problem.
            var text = string.Join(Environment.NewLine, problems);
            if (text != lastProblems && text.Length > 0) Unusable(text);
            lastProblems = text;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        await polling.ConfigureAwait(false);
        stopping.Dispose();
        await revocationFile.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>First of all, so that nothing is believed that was revoked: the bounds too are signed by somebody.</summary>
    private static RevocationFile? OpenRevocations(FlorConfiguration configuration, BundleVerifier verifier, ILogger logger, List<string> found)
    {
        var file = Path.Combine(configuration.StateFolder, "directory", "revocations");
        var opened = Try(() => RevocationFile.Open(file, new DirectoryOptions().Layer, verifier, logger), found);
        verifier.Revocations.Add(opened?.Loaded.Select(static kept => kept.Content) ?? []);
        return opened;
    }

    private static T? Try<T>(Func<T> open, List<string> problems)
        where T : class
    {
        try
        {
            return open();
        }
        catch (Exception e) when (e is IdentityException or IOException or UnauthorizedAccessException)
        {
            problems.Add(e.Message);
            return null;
        }
    }

    private async Task PollAsync()
    {
        try
        {
            await stamps.WatchAsync(PollInterval, Refresh, stopping.Token).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            PollFaulted(e);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Identity {Id} is held now")]
    private partial void IdentityAdded(SpiffeId id);

    [LoggerMessage(Level = LogLevel.Information, Message = "Identity {Id} is renewed until {NotAfter:u}")]
    private partial void IdentityRenewed(SpiffeId id, DateTimeOffset notAfter);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Identity {Id}: its files are gone; it is kept until its SVID expires")]
    private partial void IdentityRemoved(SpiffeId id);

    [LoggerMessage(Level = LogLevel.Information, Message = "Bounds version {Version} are in force")]
    private partial void BoundsInForce(long version);

    [LoggerMessage(Level = LogLevel.Error, Message = "Changed files cannot be used, what was there stays in force: {Problems}")]
    private partial void Unusable(string problems);

    [LoggerMessage(Level = LogLevel.Critical, Message = "Changed files are no longer noticed; restart flor")]
    private partial void PollFaulted(Exception fault);
}
