using System.Diagnostics;
using System.Globalization;
using Spectre.Console;

namespace Florete.Cli.Local;

/// <summary>What the operating system says of the nodes' processes.</summary>
internal static class LocalStatus
{
    public static Table Table(IEnumerable<(string Node, string Program, int Id, int Restarts, string State)> rows)
    {
        var table = new Table { Border = TableBorder.Rounded };
        table.AddColumns("node", "program", "process", "state", "CPU s", "memory MB", "restarts");
        var before = "";
        foreach (var (node, program, id, restarts, state) in rows)
        {
            var (cpu, memory) = Usage(id);
            table.AddRow(
                node == before ? "" : node,
                program,
                id == 0 ? "-" : id.ToString(CultureInfo.InvariantCulture),
                Markup.Escape(state),
                cpu.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture),
                (memory / 1_000_000.0).ToString("0", CultureInfo.InvariantCulture),
                restarts.ToString(CultureInfo.InvariantCulture));
            before = node;
        }
        return table;
    }

    public static (TimeSpan Cpu, long MemoryBytes) Usage(int id)
    {
        try
        {
            if (id == 0) return default;
            using var process = Process.GetProcessById(id);
            return (process.TotalProcessorTime, process.WorkingSet64);
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return default;
        }
    }
}
