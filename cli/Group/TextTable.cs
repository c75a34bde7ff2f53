using System.Text;
using Spectre.Console;

namespace Florete.Cli.Group;

/// <summary>Columns as wide as their widest cell, a line a row however narrow the terminal is: what is cut or folded cannot be searched.</summary>
/// <param name="Head">None: no line of heads.</param>
/// <param name="Rows">Each as long as the head.</param>
internal sealed record TextTable(IReadOnlyList<string> Head, IReadOnlyList<IReadOnlyList<string>> Rows)
{
    /// <summary>Without colours.</summary>
    public string Plain => Render(static (cell, padded) => padded);

    /// <summary>In Spectre.Console's markup, the words of states in their colours.</summary>
    public string Coloured => Render(static (cell, padded) => States.ColourOf(cell) is { } colour ? $"[{colour}]{Markup.Escape(padded)}[/]" : Markup.Escape(padded));

    private string Render(Func<string, string, string> cell)
    {
        var all = Head.Count == 0 ? Rows : [Head, .. Rows];
        var columns = all.Count == 0 ? 0 : all[0].Count;
        var widths = Enumerable.Range(0, columns).Select(column => all.Max(row => row[column].Length)).ToArray();
        var text = new StringBuilder();
        foreach (var row in all)
        {
            var last = columns - 1;
            while (last > 0 && row[last].Length == 0) last--;
            for (var column = 0; column <= last; column++)
            {
                // What others have written may hold line ends and worse.
                var content = string.Concat(row[column].Select(static c => char.IsControl(c) ? ' ' : c));
                text.Append(column > 0 ? "  " : "").Append(cell(content, column == last ? content : content.PadRight(widths[column])));
            }
            text.Append('\n');
        }
        return text.ToString();
    }
}
