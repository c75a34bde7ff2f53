using Florete.Identities;

namespace Florete.Cli.Local;

/// <summary>The folder of a local cluster: an operator's folder, made and remade by <c>florctl local up</c>.</summary>
internal static class LocalFolder
{
    private const string ShapeFile = "local-shape";

    // A Unix socket's path has at most 107 bytes; below the folder it is nodes/<name>/run/flor.sock.
    private const int MaxFolderLength = 80;

    // The cluster is stopped and started again rather than kept up for longer.
    private static readonly TimeSpan Life = TimeSpan.FromDays(30);

    /// <summary>Makes the cluster, or renews the SVIDs of one of the same shape.</summary>
    /// <exception cref="CliException">The folder holds something else, or its path is too long.</exception>
    public static void Prepare(string folder, LocalPlan plan, LocalPrograms programs)
    {
        Prepare(folder, plan);
        foreach (var name in plan.Names) LocalAgent.Write(NodeFolderOf(folder, name), name, programs);
    }

    public static string NodeFolderOf(string folder, string name) => Path.Combine(folder, "nodes", name);

    private static void Prepare(string folder, LocalPlan plan)
    {
        if (folder.Length > MaxFolderLength)
        {
            throw new CliException($"{folder} is too long a path for the sockets below it ({MaxFolderLength} characters at most).", "Choose another with --dir.");
        }
        var shape = Path.Combine(folder, ShapeFile);
        if (File.Exists(shape) && File.ReadAllText(shape) == plan.Shape)
        {
            using var kept = OperatorFolder.Open(folder);
            for (var i = 0; i < plan.Nodes; i++)
            {
                var node = plan.Node(i);
                NodeFolder.Issue(Path.Combine(kept.NodesFolder, node.Vertex.Name), node.Identities.Prepend(node.Vertex), kept, Life);
            }
            return;
        }
        Clear(folder, shape);
        using var made = OperatorFolder.Create(folder, LocalPlan.Cluster, plan.Bounds(1));
        made.SignBounds();
        for (var i = 0; i < plan.Nodes; i++)
        {
            var node = plan.Node(i);
            NodeFolder.Write(Path.Combine(made.NodesFolder, node.Vertex.Name), node, made, Life);
        }
        // Last: a folder without it was not finished, or is not ours.
        AtomicFile.Write(shape, plan.Shape, AtomicFile.EveryoneReads);
    }

    private static void Clear(string folder, string shape)
    {
        if (!Directory.Exists(folder) || !Directory.EnumerateFileSystemEntries(folder).Any()) return;
        if (!File.Exists(shape))
        {
            throw new CliException($"{folder} holds something else than a local cluster, and nothing is overwritten.", "Choose another with --dir, or remove it.");
        }
        foreach (var name in new[] { "nodes", "operator", "logs" })
        {
            if (Directory.Exists(Path.Combine(folder, name))) Directory.Delete(Path.Combine(folder, name), recursive: true);
        }
        foreach (var name in new[] { "root.pem", "root.key", "bundle.pem", "bounds.yaml", "bounds.signed" }) File.Delete(Path.Combine(folder, name));
    }
}
