using Florete.Identities;
using Florete.Layers;
using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Identity;

/// <summary>What the service reads of its node's folder, as it is now: bundle and bounds, verified. Thread-safe.</summary>
public sealed class NodeFiles
{
    private readonly IdentityOptions options;
    private readonly TimeProvider clock;
    private readonly Lock gate = new();
    private readonly BundleVerifier verifier;
    private readonly BoundsFile bounds;
    private (DateTime, long) revocationsRead;

    private NodeFiles(IdentityOptions options, TimeProvider clock, BundleVerifier verifier, BoundsFile bounds) =>
        (this.options, this.clock, this.verifier, this.bounds) = (options, clock, verifier, bounds);

    public ClusterIdentity Cluster => verifier.Cluster;

    public BundleVerifier Verifier => verifier;

    public Bounds Bounds => bounds.Bounds;

    /// <exception cref="IdentityException">A file is missing or unusable; the message names it and the remedy.</exception>
    public static NodeFiles Open(IdentityOptions options, TimeProvider clock)
    {
        var verifier = new BundleVerifier(options.BundleFile);
        // Its own memory of bounds obeyed: flor's is flor's.
        var store = BoundsStore.Open(options.StateFolder, verifier.Cluster);
        var bounds = BoundsFile.Open(options.BoundsFile, verifier, store, clock.GetUtcNow());
        verifier.Obey(bounds.Bounds);
        var opened = new NodeFiles(options, clock, verifier, bounds);
        opened.ReadRevocations();
        return opened;
    }

    /// <summary>Reads both again; what is wrong stays as it was, and is returned.</summary>
    public IReadOnlyList<string> Refresh()
    {
        lock (gate)
        {
            var problems = new List<string>();
            if (verifier.Reload() is { } flaw) problems.Add(flaw);
            try
            {
                ReadRevocations();
            }
            catch (Exception e) when (e is IdentityException or IOException or UnauthorizedAccessException)
            {
                problems.Add(e.Message);
            }
            if (bounds.Reload(clock.GetUtcNow()) is { IsAllowed: false } refused) problems.Add(refused.Refusal!);
            return problems;
        }
    }

    /// <summary>Of all that the service reads again when it changes, the SVIDs included.</summary>
    public FileStamps Stamps() => new(options.IdentitiesFolder, options.BundleFile, options.BoundsFile, RevocationsFile);

    // flor keeps there what the directory has told it.
    private string RevocationsFile => Path.Combine(options.Folder, "state", "directory", "revocations");

    private void ReadRevocations()
    {
        var file = RevocationsFile;
        if (!File.Exists(file)) return;
        var stamp = (File.GetLastWriteTimeUtc(file), new FileInfo(file).Length);
        if (stamp == revocationsRead) return;
        verifier.Revocations.Add(RevocationFile.Open(file, new DirectoryOptions().Layer, verifier, NullLogger.Instance).Loaded.Select(static signed => signed.Content));
        revocationsRead = stamp;
    }

    /// <summary>The texts that a joining node gets.</summary>
    /// <exception cref="IOException">One cannot be read.</exception>
    public (string Bundle, string SignedBounds) Texts() => (File.ReadAllText(options.BundleFile), File.ReadAllText(options.BoundsFile));

    /// <summary>Its own vertex and node identity, and what the bounds let the node hold by name.</summary>
    public IEnumerable<SpiffeId> HeldByName(string node) => Bounds.Current.HeldByName(node)
        .Prepend(SpiffeId.Of(Cluster.Name, IdentityKind.Node, node)).Prepend(SpiffeId.Of(Cluster.Name, IdentityKind.Vertex, node));
}
