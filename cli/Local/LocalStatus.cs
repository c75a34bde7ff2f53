using System.Diagnostics;
using System.Globalization;
using Spectre.Console;

namespace Florete.Cli.Local;

/// <summary>What the operating system says of the nodes' processes.</summary>
internal static class LocalStatus
{
    public static Table Table(IEnumerable<(KnownProcess Process, int Restarts)> nodes)
    {
        var table = new Table { Border = TableBorder.Rounded };
        table.AddColumns("node", "process", "state", "CPU s", "memory MB", "restarts");
        foreach (var (process, restarts) in nodes)
        {
            var (cpu, memory) = Usage(process);
            table.AddRow(
                process.Name,
                process.Id.ToString(CultureInfo.InvariantCulture),
                process.IsAlive ? "runs" : "ended",
                cpu.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture),
                (memory / 1_000_000.0).ToString("0", CultureInfo.InvariantCulture),
                restarts.ToString(CultureInfo.InvariantCulture));
        }
        return table;
    }

    public static (TimeSpan Cpu, long MemoryBytes) Usage(KnownProcess known)
    {
        try
        {
            if (!known.IsAlive) return default;
            using var process = Process.GetProcessById(known.Id);
            return (process.TotalProcessorTime, process.WorkingSet64);
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return default;
        }
    }
}
