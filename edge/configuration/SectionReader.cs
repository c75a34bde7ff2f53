using System.Globalization;
using Florete.Identities;

namespace Florete.Configuration;

/// <summary>
/// Reads the keys of one mapping of a configuration and collects every problem with its line. What was read is known; what is left over at
/// <see cref="Finish"/> is unknown. A problem gives null, and reading goes on, so that one run names them all.
/// </summary>
internal sealed class SectionReader
{
    private readonly ConfigurationProblems problems;
    private readonly YamlMapping mapping;
    private readonly string path;
    private readonly List<string> known = [];

    private SectionReader(ConfigurationProblems problems, YamlMapping mapping, string path)
    {
        (this.problems, this.mapping, this.path) = (problems, mapping, path);
        foreach (var repeated in mapping.Entries.GroupBy(entry => entry.Key.Text, StringComparer.Ordinal).Where(group => group.Count() > 1))
        {
            foreach (var (key, _) in repeated.Skip(1))
            {
                problems.Add(key.Line, Field(key.Text), $"it is given twice, first in line {repeated.First().Key.Line}; keep one");
            }
        }
    }

    public int Line => mapping.Line;

    /// <summary>Reads a node as a section; reports it when it is none.</summary>
    public static SectionReader? Of(ConfigurationProblems problems, YamlTree node, string path)
    {
        if (node is YamlMapping mapping) return new SectionReader(problems, mapping, path);
        problems.Add(node.Line, path, $"it must be a section of keys, and is {Kind(node)}; write its keys below it, indented");
        return null;
    }

    /// <summary>Every key as it is written, for sections whose keys are the user's own.</summary>
    public IEnumerable<string> Keys => mapping.Entries.Select(static entry => entry.Key.Text).Distinct(StringComparer.Ordinal).ToArray();

    public bool Has(string key) => Find(key) is not null;

    /// <summary>The line of a key, or of the section when it is absent.</summary>
    public int LineOf(string key) => Find(key)?.Line ?? Line;

    public void Problem(string key, string message) => problems.Add(LineOf(key), Field(key), message);

    public SectionReader? Section(string key) => Find(key) is { } node ? Of(problems, node, Field(key)) : null;

    /// <summary>The elements of a list; a key that is absent is an empty list.</summary>
    public IEnumerable<(YamlTree Node, string Path)> List(string key)
    {
        var node = Find(key);
        if (node is null) return [];
        if (node is YamlSequence sequence) return sequence.Items.Select((item, index) => (item, $"{Field(key)}[{index}]"));
        problems.Add(node.Line, Field(key), $"it must be a list, and is {Kind(node)}; write one '- …' line for each");
        return [];
    }

    /// <summary>The sections of a list.</summary>
    public IEnumerable<SectionReader> Sections(string key) =>
        List(key).Select(item => Of(problems, item.Node, item.Path)).OfType<SectionReader>().ToArray();

    /// <summary>A word or text; <paramref name="remedy"/> says what to write when it is missing, null when it may be.</summary>
    public string? Text(string key, string? remedy)
    {
        var node = Find(key);
        if (node is null)
        {
            if (remedy is not null) problems.Add(Line, Field(key), $"it is missing; {remedy}");
            return null;
        }
        return Scalar(node, Field(key), remedy ?? "write a word");
    }

    /// <summary>A scalar node's text.</summary>
    public string? Scalar(YamlTree node, string field, string remedy)
    {
        if (node is not YamlScalar scalar)
        {
            problems.Add(node.Line, field, $"it must be a single value, and is {Kind(node)}; {remedy}");
            return null;
        }
        if (scalar.Text.Length > 0) return scalar.Text;
        problems.Add(node.Line, field, $"it is empty; {remedy}");
        return null;
    }

    /// <summary>Text that a parser makes a value of.</summary>
    public T? Value<T>(string key, string? remedy, Parse<T> parse)
        where T : class
    {
        if (Text(key, remedy) is not { } text) return null;
        if (parse(text, out var value, out var error)) return value;
        problems.Add(LineOf(key), Field(key), error!);
        return null;
    }

    public bool? Flag(string key)
    {
        var text = Text(key, null);
        if (text is null) return null;
        if (text is "true" or "false") return text == "true";
        problems.Add(LineOf(key), Field(key), $"'{Short(text)}' is neither true nor false; write true or false");
        return null;
    }

    public long? Number(string key, long least, long most, string remedy)
    {
        if (Text(key, remedy) is not { } text) return null;
        if (!long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number))
        {
            problems.Add(LineOf(key), Field(key), $"'{Short(text)}' is no whole number; {remedy}");
        }
        else if (number < least || number > most)
        {
            problems.Add(LineOf(key), Field(key), least == most ? $"it is {number}, and this program knows {least}; {remedy}" : $"{number} is not between {least} and {most}; {remedy}");
        }
        else
        {
            return number;
        }
        return null;
    }

    /// <summary>Reports what nobody asked for.</summary>
    public void Finish()
    {
        foreach (var (key, _) in mapping.Entries.Where(entry => !known.Contains(entry.Key.Text)))
        {
            problems.Add(key.Line, Field(key.Text), $"there is no such key here; {Nearest.Suggest(key.Text, known)}");
        }
    }

    internal static string Short(string text) => text.Length <= 80 ? text : text[..80] + "…";

    private YamlTree? Find(string key)
    {
        if (!known.Contains(key)) known.Add(key);
        return mapping.Entries.FirstOrDefault(entry => entry.Key.Text == key).Value;
    }

    private string Field(string key) => path.Length == 0 ? Short(key) : $"{path}.{Short(key)}";

    private static string Kind(YamlTree node) => node switch
    {
        YamlMapping => "a section of keys",
        YamlSequence => "a list",
        _ => "a single value",
    };

    internal delegate bool Parse<T>(string text, out T? value, out string? error);
}
