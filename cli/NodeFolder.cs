using Florete.Configuration;
using Florete.Identities;

namespace Florete.Cli;

/// <summary>Writes the folder that a node runs from: its authority, identities, bundle, bounds, <c>flor.yaml</c>.</summary>
public static class NodeFolder
{
    private const string MakingSuffix = ".making";
    private const string ConfigurationFile = "flor.yaml";

    /// <exception cref="CliException">The folder exists already.</exception>
    /// <exception cref="IdentityException">The root cannot issue.</exception>
    public static void Write(string folder, NodePlan plan, OperatorFolder from, TimeSpan life)
    {
        using var making = Begin(folder, plan, from, life);
        making.Complete();
    }

    /// <summary>
    /// Makes all of the folder but the bounds, under another name beside it, or in it if it is there already (it may be the mount point of a
    /// volume, which cannot be replaced), so that a failure leaves nothing.
    /// </summary>
    /// <exception cref="CliException">The folder exists already.</exception>
    /// <exception cref="IdentityException">The root cannot issue.</exception>
    public static Making Begin(string folder, NodePlan plan, OperatorFolder from, TimeSpan life)
    {
        CheckIsFree(folder);
        var target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        var beside = new Making(target, Path.Combine(Path.GetDirectoryName(target)!, $".{Path.GetFileName(target)}{MakingSuffix}"), from);
        var making = Directory.Exists(target) ? new Making(target, Path.Combine(target, MakingSuffix), from) : beside;
        try
        {
            beside.Clear();
            making.Clear();
            var now = DateTimeOffset.UtcNow;
            // As long as what it issues, so that a folder without florete-identity lives as long as was asked for.
            using var authority = from.Authority.IssueNodeAuthority(plan.Vertex.Name, life > NodeAuthority.DefaultLifetime ? life : NodeAuthority.DefaultLifetime, now);
            authority.Save(making.Path);
            var revoked = from.ReadRevocations();
            foreach (var id in plan.All) SvidFiles.Write(IdentitiesFolder(making.Path), authority.Issue(id, life, IssueTime(revoked.Find(id), now)));
            File.Copy(from.BundleFile, Path.Combine(making.Path, "bundle.pem"));
            var bounds = new Bounds(BoundsDocument.Load(from.BoundsFile));
            AtomicFile.Write(Path.Combine(making.Path, ControlPlane.AgentFileName), ControlPlane.AgentFile(plan, bounds), AtomicFile.EveryoneReads);
            AtomicFile.Write(Path.Combine(making.Path, ConfigurationFile), NodeConfiguration.Text(plan), AtomicFile.EveryoneReads);
            return making;
        }
        catch
        {
            making.Dispose();
            throw;
        }
    }

    /// <exception cref="CliException">The folder exists already, and holds more than what a killed run has left.</exception>
    public static void CheckIsFree(string folder)
    {
        if (!Directory.Exists(folder) || Directory.EnumerateFileSystemEntries(folder).All(static e => Path.GetFileName(e) == MakingSuffix)) return;
        throw new CliException(
            $"{folder} exists already, and nothing is overwritten.",
            "Choose another folder with --out; to renew what the node holds: florctl identity issue.");
    }

    /// <summary>Is it a node's folder, and complete?</summary>
    public static bool IsMade(string folder) => !folder.EndsWith(MakingSuffix, StringComparison.Ordinal) && File.Exists(Path.Combine(folder, ConfigurationFile));

    /// <summary>Issues or renews identities in a node's folder; all, or nothing is written.</summary>
    /// <exception cref="IdentityException">The root cannot issue.</exception>
    public static void Issue(string folder, IEnumerable<SpiffeId> identities, OperatorFolder from, TimeSpan life)
    {
        var now = DateTimeOffset.UtcNow;
        var revoked = from.ReadRevocations();
        var issued = identities.Select(id => from.Authority.Issue(id, life, IssueTime(revoked.Find(id), now))).ToArray();
        foreach (var svid in issued) SvidFiles.Write(IdentitiesFolder(folder), svid);
    }

    // What begins before the revocation would be refused (docs/protocols/revocation.md "Clocks").
    private static DateTimeOffset IssueTime(Revocation? revocation, DateTimeOffset now) => revocation?.ReissueTime(now) ?? now;

    public static string IdentitiesFolder(string folder) => Path.Combine(folder, "identities");

    /// <summary>A folder that is being made, and is removed unless it is completed.</summary>
    public sealed class Making(string target, string path, OperatorFolder from) : IDisposable
    {
        internal string Path => path;

        /// <summary>Adds the bounds as they are signed now, and gives the folder its name.</summary>
        public void Complete()
        {
            File.Copy(from.SignedBoundsFile, System.IO.Path.Combine(path, "bounds.signed"));
            if (!Directory.Exists(target))
            {
                Directory.Move(path, target);
                return;
            }
            // The configuration last: with it the folder is made.
            foreach (var entry in Directory.GetFileSystemEntries(path).OrderBy(static e => System.IO.Path.GetFileName(e) == ConfigurationFile))
            {
                Directory.Move(entry, System.IO.Path.Combine(target, System.IO.Path.GetFileName(entry)));
            }
            Directory.Delete(path);
        }

        public void Dispose() => Clear();

        // Also what a run that was killed has left.
        internal void Clear()
        {
            if (Directory.Exists(path)) Directory.Delete(path, recursive: true);
        }
    }
}
