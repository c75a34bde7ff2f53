using Florete.Identities;

namespace Florete.Cli.Local;

/// <summary>The folder of a local cluster: an operator's folder, made and remade by <c>florctl local up</c>.</summary>
internal static class LocalFolder
{
    private const string ShapeFile = "local-shape";

    // A Unix socket's path has at most 107 bytes; below the folder it is nodes/<name>/run/coordinator.portal, and a '~' while it is made.
    private const int MaxFolderLength = 74;

    // For the first node, until its florete-identity renews them.
    private static readonly TimeSpan Life = TimeSpan.FromDays(30);

    /// <summary>Makes the cluster and its first node, the issuer; or takes one of the same shape as it is. The other nodes join.</summary>
    /// <returns>What is allowed in it.</returns>
    /// <exception cref="CliException">The folder holds something else, or its path is too long.</exception>
    public static IBounds Prepare(string folder, LocalPlan plan)
    {
        if (folder.Length > MaxFolderLength)
        {
            throw new CliException($"{folder} is too long a path for the sockets below it ({MaxFolderLength} characters at most).", "Choose another with --dir.");
        }
        using var from = Open(folder, plan);
        var bounds = new Bounds(BoundsDocument.Load(from.BoundsFile));
        var first = plan.First(bounds);
        var issuer = NodeFolderOf(folder, first.Vertex.Name);
        if (!NodeFolder.IsMade(issuer)) NodeFolder.Write(issuer, first, from, Life);
        IssuerCommand.Enable(from, issuer);
        foreach (var node in plan.Names.Select(name => NodeFolderOf(folder, name)).Where(NodeFolder.IsMade)) RenewAuthority(node, from);
        return bounds;
    }

    public static string NodeFolderOf(string folder, string name) => Path.Combine(folder, "nodes", name);

    private static OperatorFolder Open(string folder, LocalPlan plan)
    {
        var shape = Path.Combine(folder, ShapeFile);
        var isOfShape = File.Exists(shape) && File.ReadAllText(shape) == plan.Shape;
        // The signed bounds come last: without them making it was cut short.
        if (isOfShape && File.Exists(Path.Combine(folder, "bounds.signed"))) return OperatorFolder.Open(folder);
        if (!isOfShape && File.Exists(shape)) Console.WriteLine($"The cluster in {folder} has another shape, or is of an earlier version: it is made anew, without what it stored.");
        Clear(folder, shape);
        Directory.CreateDirectory(folder);
        // First: what is cut short from here on is ours to clear.
        AtomicFile.Write(shape, plan.Shape, AtomicFile.EveryoneReads);
        var made = OperatorFolder.Create(folder, LocalPlan.Cluster, plan.Bounds(1));
        made.SignBounds();
        return made;
    }

    // The issuer renews the others while it runs; a cluster that was down for a month has none that could.
    private static void RenewAuthority(string node, OperatorFolder from)
    {
        string name;
        using (var kept = NodeAuthority.Load(node))
        {
            if (kept.NotAfter > DateTimeOffset.UtcNow) return;
            name = kept.Node.Name;
        }
        using var renewed = from.Authority.IssueNodeAuthority(name, NodeAuthority.DefaultLifetime, DateTimeOffset.UtcNow);
        renewed.Save(node);
    }

    private static void Clear(string folder, string shape)
    {
        if (!Directory.Exists(folder) || !Directory.EnumerateFileSystemEntries(folder).Any()) return;
        if (!File.Exists(shape))
        {
            throw new CliException($"{folder} holds something else than a local cluster, and nothing is overwritten.", "Choose another with --dir, or remove it.");
        }
        foreach (var name in new[] { "nodes", "operator", "logs", "revocations" })
        {
            if (Directory.Exists(Path.Combine(folder, name))) Directory.Delete(Path.Combine(folder, name), recursive: true);
        }
        foreach (var name in new[] { "root.pem", "root.key", "bundle.pem", "bounds.yaml", "bounds.signed" }) File.Delete(Path.Combine(folder, name));
    }
}
