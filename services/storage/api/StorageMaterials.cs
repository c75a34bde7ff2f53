using Florete.Identities;
using Microsoft.Extensions.Logging;

namespace Florete.Storage.Api;

/// <summary>
/// The trust bundle and the signed bounds of the node, looked at every second as flor does: what is usable and not older takes effect, anything else
/// leaves the old in force. The newest bounds obeyed are remembered in the storage's own state folder.
/// </summary>
public sealed partial class StorageMaterials : IAsyncDisposable
{
    // Narrowed bounds must be in force within 5 s; looking costs two stat calls.
    private static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(1);

    private readonly BundleVerifier verifier;
    private readonly BoundsFile bounds;
    private readonly FileStamps stamps;
    private readonly TimeProvider clock;
    private readonly ILogger logger;
    private readonly CancellationTokenSource stopping = new();
    private readonly Task polling;
    private string lastProblems = "";

    private StorageMaterials(BundleVerifier verifier, BoundsFile bounds, FileStamps stamps, TimeProvider clock, ILogger logger)
    {
        (this.verifier, this.bounds, this.stamps, this.clock, this.logger) = (verifier, bounds, stamps, clock, logger);
        polling = Task.Run(PollAsync);
    }

    /// <summary>Raised, on a thread of its own, after another bundle has taken effect. Bounds tell of their changes themselves.</summary>
    public event Action? BundleChanged;

    /// <summary>The bounds in force; the same object over all changes.</summary>
    public Bounds Bounds => bounds.Bounds;

    /// <summary>Proves authors against the bundle in force.</summary>
    public IPeerVerifier Verifier => verifier;

    public ClusterIdentity Cluster => verifier.Cluster;

    /// <exception cref="IdentityException">A file is unusable, or the bounds are older than those obeyed before; names the file and the remedy.</exception>
    public static StorageMaterials Open(StorageOptions options, TimeProvider clock, ILogger<StorageMaterials> logger)
    {
        var stamps = new FileStamps(folder: null, options.BundleFile, options.BoundsFile);
        stamps.Changed();
        var verifier = new BundleVerifier(options.BundleFile);
        var bounds = BoundsFile.Open(options.BoundsFile, verifier, BoundsStore.Open(options.StateFolder, verifier.Cluster), clock.GetUtcNow());
        // Of what nodes issued, what the bounds let them.
        verifier.Obey(bounds.Bounds);
        return new StorageMaterials(verifier, bounds, stamps, clock, logger);
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        await polling.ConfigureAwait(false);
        stopping.Dispose();
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

    private void Refresh()
    {
        var problems = new List<string>();
        if (verifier.Reload() is { } bundleProblem) problems.Add(bundleProblem);
        else BundleChanged?.Invoke();
        var version = Bounds.Current.Version;
        var verdict = bounds.Reload(clock.GetUtcNow());
        if (!verdict.IsAllowed) problems.Add(verdict.Refusal!);
        else if (Bounds.Current.Version != version) BoundsInForce(Bounds.Current.Version);
        // The same problem every second is one problem.
        var text = string.Join(Environment.NewLine, problems);
        if (text != lastProblems && text.Length > 0) Unusable(text);
        lastProblems = text;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Bounds version {Version} are in force")]
    private partial void BoundsInForce(long version);

    [LoggerMessage(Level = LogLevel.Error, Message = "Changed files cannot be used, what was there stays in force: {Problems}")]
    private partial void Unusable(string problems);

    [LoggerMessage(Level = LogLevel.Critical, Message = "Changed files are no longer noticed; restart florete-storage")]
    private partial void PollFaulted(Exception fault);
}
