using Florete.Identities;

namespace Florete.Cli;

/// <summary>The identities that an operator's folder knows of: those that it has issued, and those that the bounds name.</summary>
internal static class KnownIdentities
{
    /// <summary>Their paths, as <c>service/hello</c>.</summary>
    public static IReadOnlyList<string> Of(OperatorFolder folder)
    {
        var known = new SortedSet<string>(StringComparer.Ordinal) { folder.Signer.Id.Path };
        foreach (var node in Directory.Exists(folder.NodesFolder) ? Directory.GetDirectories(folder.NodesFolder) : [])
        {
            known.Add($"node/{Path.GetFileName(node)}");
            var identities = NodeFolder.IdentitiesFolder(node);
            foreach (var file in Directory.Exists(identities) ? Directory.GetFiles(identities, "*.pem") : [])
            {
                // <kind>-<name>.pem, and names may hold hyphens.
                var name = Path.GetFileNameWithoutExtension(file);
                var hyphen = name.IndexOf('-', StringComparison.Ordinal);
                if (hyphen > 0) known.Add($"{name[..hyphen]}/{name[(hyphen + 1)..]}");
            }
        }
        if (File.Exists(folder.BoundsFile) && BoundsDocument.TryParse(File.ReadAllText(folder.BoundsFile), folder.BoundsFile, out var bounds, out _)) AddNamed(bounds, known);
        return [.. known];
    }

    private static void AddNamed(BoundsDocument bounds, SortedSet<string> known)
    {
        foreach (var vertex in bounds.Links.SelectMany(static rule => new[] { rule.A, rule.B }).Concat(bounds.Hosts.Select(static rule => rule.Node)).Where(static name => name != "*"))
        {
            known.Add($"vertex/{vertex}");
            known.Add($"node/{vertex}");
        }
        foreach (var pattern in bounds.Hosts.SelectMany(static rule => rule.Identities).Concat(bounds.Connect.SelectMany(static rule => rule.From.Concat(rule.To))))
        {
            var text = pattern.ToString();
            if (!text.Contains('*', StringComparison.Ordinal)) known.Add(text);
        }
    }
}
