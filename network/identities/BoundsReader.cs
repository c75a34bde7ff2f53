using System.Globalization;

namespace Florete.Identities;

/// <summary>Reads the YAML of bounds and collects every problem with its line.</summary>
internal sealed class BoundsReader(string source)
{
    // 1 000 vertices with ten rules each.
    private const int MaxRules = 10_000;

    // Enough to mend a file by; garbage would otherwise fill the screen.
    private const int MaxProblems = 50;

    private readonly List<string> problems = [];

    public IReadOnlyList<string> Problems => problems;

    public BoundsDocument? Read(string yaml)
    {
        if (yaml.Length > BoundsDocument.MaxBytes)
        {
            Report(1, $"it has {yaml.Length} characters; at most {BoundsDocument.MaxBytes} are allowed");
            return null;
        }
        if (!YamlTree.TryParse(yaml, out var root, out var line, out var error))
        {
            Report(line, error!);
            return null;
        }
        if (Keys(root, "bounds", "version", "cluster", "links", "hosts", "connect", "store", "coordinate") is not { } keys) return null;
        var version = Version(keys, root);
        var cluster = "";
        if (!keys.TryGetValue("cluster", out var clusterNode)) Report(root.Line, "'cluster' is missing; add cluster: <name>");
        else cluster = Name(clusterNode, "cluster", allowAny: false);
        return new BoundsDocument(
            version,
            cluster,
            Rules(keys, "links", Link),
            Rules(keys, "hosts", Host),
            Rules(keys, "connect", Connect),
            Rules(keys, "store", Store))
        {
            Coordinate = Coordinators(keys),
        };
    }

    private long Version(Dictionary<string, YamlTree> keys, YamlTree root)
    {
        if (!keys.TryGetValue("version", out var node))
        {
            Report(root.Line, "'version' is missing; add version: 1 and raise it with every change");
            return 0;
        }
        if (node is YamlScalar scalar
            && long.TryParse(scalar.Text, NumberStyles.None, CultureInfo.InvariantCulture, out var version) && version >= 1)
        {
            return version;
        }
        Report(node.Line, "'version' must be a whole number of at least 1");
        return 0;
    }

    private LinkRule? Link(YamlTree node)
    {
        if (Keys(node, "a rule of links", "between") is not { } keys) return null;
        if (!keys.TryGetValue("between", out var between) || between is not YamlSequence { Items.Count: 2 } pair)
        {
            Report(node.Line, "a rule of links names two vertices; write between: [a, b]");
            return null;
        }
        var (a, b) = (Name(pair.Items[0], "between", allowAny: true), Name(pair.Items[1], "between", allowAny: true));
        if (a == b && a.Length > 0 && a != "*") Report(pair.Line, $"a vertex has no link to itself; name two vertices instead of '{a}' twice");
        return new LinkRule(a, b);
    }

    private HostRule? Host(YamlTree node)
    {
        if (Keys(node, "a rule of hosts", "node", "identities") is not { } keys) return null;
        var name = "";
        if (keys.TryGetValue("node", out var nodeName)) name = Name(nodeName, "node", allowAny: true);
        else Report(node.Line, "a rule of hosts needs 'node'; write node: a");
        return new HostRule(name, Patterns(keys, "identities", node));
    }

    private ConnectRule? Connect(YamlTree node) => Keys(node, "a rule of connect", "from", "to") is { } keys
        ? new ConnectRule(Patterns(keys, "from", node), Patterns(keys, "to", node))
        : null;

    private StoreRule? Store(YamlTree node)
    {
        if (Keys(node, "a rule of store", "collection", "read", "write", "until") is not { } keys) return null;
        var collection = "";
        if (keys.TryGetValue("collection", out var name)) collection = Collection(name);
        else Report(node.Line, "a rule of store needs 'collection'; write collection: apps, or '*' for all");
        if (!keys.ContainsKey("read") && !keys.ContainsKey("write"))
        {
            Report(node.Line, "a rule of store allows nothing without 'read' or 'write'; write read: [user/alice]");
        }
        DateTimeOffset? end = null;
        if (keys.TryGetValue("until", out var until))
        {
            end = Time(until);
            if (!keys.ContainsKey("write")) Report(until.Line, "'until' ends the writing, and this rule has no 'write'; add it, or remove until");
        }
        return new StoreRule(
            collection,
            keys.ContainsKey("read") ? Patterns(keys, "read", node) : [],
            keys.ContainsKey("write") ? Patterns(keys, "write", node) : [],
            end);
    }

    private IReadOnlyList<string> Coordinators(Dictionary<string, YamlTree> keys)
    {
        if (keys.GetValueOrDefault("coordinate") is YamlScalar { Text: "*" }) return ["*"];
        var names = Rules(keys, "coordinate", node => Name(node, "coordinate", allowAny: true) is { Length: > 0 } name ? new Coordinator(name, node.Line) : null);
        foreach (var twice in names.GroupBy(static named => named.Name, StringComparer.Ordinal).Where(static group => group.Count() > 1))
        {
            Report(twice.Last().Line, $"'coordinate' names '{twice.Key}' twice; keep one");
        }
        return [.. names.Select(static named => named.Name)];
    }

    private string Collection(YamlTree node)
    {
        // docs/protocols/storage.md has the same rule.
        if (node is YamlScalar { Text: var text }
            && (text == "*" || (text.Length is > 0 and <= 63 && char.IsAsciiLetterLower(text[0]) && text.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-'))))
        {
            return text;
        }
        Report(node.Line, "'collection' must be 1 to 63 of a-z, 0-9 and '-' that begin with a letter, or '*' for all");
        return "";
    }

    private DateTimeOffset? Time(YamlTree node)
    {
        if (node is YamlScalar scalar
            && DateTimeOffset.TryParseExact(scalar.Text, "yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time))
        {
            return time;
        }
        Report(node.Line, "'until' must be a time in UTC; write until: 2026-12-31T00:00:00Z");
        return null;
    }

    private List<T> Rules<T>(Dictionary<string, YamlTree> keys, string key, Func<YamlTree, T?> read) where T : class
    {
        var rules = new List<T>();
        if (!keys.TryGetValue(key, out var node) || node is YamlScalar { Text: "" or "~" or "null", IsPlain: true }) return rules;
        if (node is not YamlSequence sequence)
        {
            Report(node.Line, $"'{key}' must be a list; begin each rule with '- '");
            return rules;
        }
        if (sequence.Items.Count > MaxRules)
        {
            Report(node.Line, $"'{key}' has {sequence.Items.Count} rules; at most {MaxRules} are allowed, use '*' to say more with fewer");
            return rules;
        }
        foreach (var item in sequence.Items)
        {
            if (read(item) is { } rule) rules.Add(rule);
        }
        return rules;
    }

    private List<IdentityPattern> Patterns(Dictionary<string, YamlTree> keys, string key, YamlTree owner)
    {
        var patterns = new List<IdentityPattern>();
        if (!keys.TryGetValue(key, out var node))
        {
            Report(owner.Line, $"'{key}' is missing; write {key}: [service/hello]");
            return patterns;
        }
        if (node is not YamlSequence { Items.Count: > 0 } sequence)
        {
            Report(node.Line, $"'{key}' must be a list of identities; write {key}: [service/hello]");
            return patterns;
        }
        foreach (var item in sequence.Items)
        {
            if (item is not YamlScalar scalar) Report(item.Line, $"an entry of '{key}' must be <kind>/<name>");
            else if (IdentityPattern.TryParse(scalar.Text, out var pattern, out var error)) patterns.Add(pattern);
            else Report(item.Line, error);
        }
        return patterns;
    }

    private string Name(YamlTree node, string key, bool allowAny)
    {
        if (node is YamlScalar scalar)
        {
            if ((allowAny && scalar.Text == "*") || SpiffeId.TryParse($"spiffe://{scalar.Text}/vertex/{scalar.Text}", out _, out _)) return scalar.Text;
            Report(node.Line, $"'{key}': '{scalar.Text}' is not a name; use 1 to 63 of a-z, 0-9 and '-'{(allowAny ? ", or '*'" : "")}");
            return "";
        }
        Report(node.Line, $"'{key}' must be a name");
        return "";
    }

    private Dictionary<string, YamlTree>? Keys(YamlTree node, string what, params string[] known)
    {
        if (node is not YamlMapping mapping)
        {
            Report(node.Line, $"{what} must have keys; write {known[0]}: …");
            return null;
        }
        var keys = new Dictionary<string, YamlTree>(StringComparer.Ordinal);
        foreach (var (key, value) in mapping.Entries)
        {
            if (!known.Contains(key.Text)) Report(key.Line, $"{what}: '{key.Text}' is not a key; {Nearest.Suggest(key.Text, known)}");
            else if (!keys.TryAdd(key.Text, value)) Report(key.Line, $"{what}: '{key.Text}' is there twice; keep one");
        }
        return keys;
    }

    private void Report(int line, string problem)
    {
        if (problems.Count < MaxProblems) problems.Add($"{source}:{line}: {problem}.".Replace("?.", "?", StringComparison.Ordinal));
        else if (problems.Count == MaxProblems) problems.Add($"{source}: there are more problems; mend these first.");
    }

    private sealed record Coordinator(string Name, int Line);
}
