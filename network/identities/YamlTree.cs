using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Florete.Identities;

/// <summary>
/// One YAML document as nodes that know their line. Built from parser events, with bounded depth and count, without anchors and aliases:
/// so no input makes it recurse deeply or grow beyond its text.
/// </summary>
internal abstract record YamlTree(int Line)
{
    private const int MaxDepth = 16;
    private const int MaxNodes = 200_000;

    /// <param name="yaml">The text.</param>
    /// <param name="root">The document's node; an empty document is an empty mapping.</param>
    /// <param name="line">Where the error is.</param>
    /// <param name="error">Null, or what is wrong.</param>
    public static bool TryParse(string yaml, out YamlTree root, out int line, out string? error)
    {
        root = new YamlMapping(1, []);
        try
        {
            return TryBuild(new Parser(new StringReader(yaml)), ref root, out line, out error);
        }
        catch (YamlException e)
        {
            (line, error) = ((int)e.Start.Line, $"this is not YAML: {e.Message}");
            return false;
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or FormatException or OverflowException or IndexOutOfRangeException)
        {
            // The parser's own faults on garbage are errors of the text as well.
            (line, error) = (1, "this is not YAML");
            return false;
        }
    }

    private static bool TryBuild(Parser parser, ref YamlTree root, out int line, out string? error)
    {
        var open = new Stack<(YamlTree Node, YamlScalar? Key)>();
        var (documents, nodes) = (0, 0);
        error = null;
        line = 1;
        while (parser.MoveNext())
        {
            var current = parser.Current!;
            line = (int)current.Start.Line;
            YamlTree? complete = null;
            switch (current)
            {
                case DocumentStart when ++documents > 1:
                    error = "there is a second document; keep one";
                    return false;
                case AnchorAlias or NodeEvent { Anchor.IsEmpty: false }:
                    error = "anchors and aliases are not understood here; write the value out";
                    return false;
                case Scalar scalar:
                    complete = new YamlScalar(line, scalar.Value, scalar.Style is ScalarStyle.Plain);
                    break;
                case SequenceStart:
                    open.Push((new YamlSequence(line, []), null));
                    break;
                case MappingStart:
                    open.Push((new YamlMapping(line, []), null));
                    break;
                case SequenceEnd or MappingEnd:
                    complete = open.Pop().Node;
                    break;
            }
            if (open.Count > MaxDepth || ++nodes > MaxNodes)
            {
                error = open.Count > MaxDepth ? $"it is nested deeper than {MaxDepth} levels" : $"it has more than {MaxNodes} parts";
                return false;
            }
            if (complete is null) continue;
            if (open.Count == 0) root = complete;
            else if (!TryAdd(open, complete, ref line, out error)) return false;
        }
        if (root is YamlScalar { Text.Length: 0, IsPlain: true }) root = new YamlMapping(1, []);
        return true;
    }

    private static bool TryAdd(Stack<(YamlTree Node, YamlScalar? Key)> open, YamlTree child, ref int line, out string? error)
    {
        error = null;
        var (node, key) = open.Pop();
        switch (node)
        {
            case YamlSequence sequence:
                sequence.Items.Add(child);
                break;
            case YamlMapping when key is null && child is YamlScalar name:
                key = name;
                open.Push((node, key));
                return true;
            case YamlMapping mapping when key is not null:
                mapping.Entries.Add((key, child));
                break;
            default:
                (line, error) = (child.Line, "a key must be a word");
                return false;
        }
        open.Push((node, null));
        return true;
    }
}

internal sealed record YamlScalar(int Line, string Text, bool IsPlain) : YamlTree(Line);

internal sealed record YamlSequence(int Line, List<YamlTree> Items) : YamlTree(Line);

internal sealed record YamlMapping(int Line, List<(YamlScalar Key, YamlTree Value)> Entries) : YamlTree(Line);
