using System.Text.RegularExpressions;
using Florete.Identities;

namespace Florete.Cli;

/// <summary>
/// Adds rules to the text of a bounds file, line by line, so that the operator's comments and order stay. A file that is written in a way
/// that this cannot extend is left alone.
/// </summary>
public sealed partial class BoundsEditor
{
    private readonly string file;
    private readonly List<string> lines;
    private readonly BoundsDocument before;
    private bool changed;

    /// <exception cref="IdentityException">The file has problems; the message lists all.</exception>
    public BoundsEditor(string file)
    {
        this.file = file;
        before = BoundsDocument.Load(file);
        lines = [.. File.ReadAllText(file).ReplaceLineEndings("\n").TrimEnd('\n').Split('\n')];
    }

    /// <summary>Adds a rule for the link, unless the bounds allow it.</summary>
    public void AllowLink(string a, string b)
    {
        if (!before.Links.Any(rule => rule.Allows(a, b))) Append("links", $"- between: [{a}, {b}]");
    }

    /// <summary>Adds a rule for what of the identities the bounds do not let the node hold.</summary>
    public void AllowHosting(string node, IEnumerable<SpiffeId> identities)
    {
        var missing = identities.Where(id => !before.Hosts.Any(rule => rule.Allows(node, id))).Select(id => id.Path).ToArray();
        if (missing.Length > 0) Append("hosts", $"- {{node: {node}, identities: [{string.Join(", ", missing)}]}}");
    }

    /// <summary>Raises the version and writes the file, if anything was added. Returns the version in the file.</summary>
    /// <exception cref="CliException">The outcome would not be valid; the file is as it was.</exception>
    public long Save()
    {
        if (!changed) return before.Version;
        var version = lines.FindIndex(line => VersionLine().IsMatch(line));
        if (version < 0) throw CannotExtend("version");
        lines[version] = VersionLine().Replace(lines[version], $"${{key}}{before.Version + 1}");
        var text = string.Join('\n', lines) + "\n";
        if (!BoundsDocument.TryParse(text, file, out var after, out _) || after.Version != before.Version + 1) throw CannotExtend("links and hosts");
        AtomicFile.Write(file, text, AtomicFile.EveryoneReads);
        return after.Version;
    }

    private void Append(string key, string rule)
    {
        changed = true;
        var start = lines.FindIndex(line => line.StartsWith(key + ":", StringComparison.Ordinal));
        if (start < 0)
        {
            lines.AddRange(["", $"{key}:", $"  {rule}"]);
            return;
        }
        if (!KeyAlone().IsMatch(lines[start])) throw CannotExtend(key);
        lines[start] = EmptyList().Replace(lines[start], ":");
        // The block reaches to the next key at the margin; the rule goes after its last line that is no comment.
        var (last, indent) = (start, "  ");
        var found = false;
        for (var i = start + 1; i < lines.Count && !KeyAtMargin().IsMatch(lines[i]); i++)
        {
            var content = lines[i].TrimStart();
            if (content.Length == 0 || content[0] == '#') continue;
            if (!found && content[0] == '-') (found, indent) = (true, lines[i][..^content.Length]);
            last = i;
        }
        lines.Insert(last + 1, indent + rule);
    }

    private CliException CannotExtend(string what) => new(
        $"{file}: rules could not be added under {what}, because of the way the file is written; it was not changed.",
        "Write each rule on a line of its own that begins with '- ', or add the rules by hand and leave out --allow.");

    [GeneratedRegex(@"^(?<key>version:\s*)\d+")]
    private static partial Regex VersionLine();

    // `links:` or `links: []`, a comment may follow.
    [GeneratedRegex(@"^\w+:\s*(\[\s*\])?\s*(#.*)?$")]
    private static partial Regex KeyAlone();

    [GeneratedRegex(@":\s*\[\s*\]")]
    private static partial Regex EmptyList();

    [GeneratedRegex(@"^[^\s#-]")]
    private static partial Regex KeyAtMargin();
}
