using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Florete.Identities;

namespace Florete.Cli.Local;

/// <summary>A process by its id and start, so that a reused id is never taken for it.</summary>
public sealed record KnownProcess(string Name, int Id, long Start)
{
    public bool IsAlive => StartOf(Id) == Start;

    public static KnownProcess Of(string name, int id) => new(name, id, StartOf(id) ?? 0);

    // Field 22 of /proc/<pid>/stat, in clock ticks since boot; the name before it is in parentheses and may hold anything.
    private static long? StartOf(int id)
    {
        try
        {
            if (!OperatingSystem.IsLinux()) return Process.GetProcessById(id).StartTime.Ticks;
            var stat = File.ReadAllText($"/proc/{id}/stat");
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields[0] == "Z" ? null : long.Parse(fields[19], CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or InvalidOperationException)
        {
            return null;
        }
    }
}

/// <summary>
/// The processes of a local cluster, on disk, so that <c>down</c>, <c>status</c> and the next <c>up</c> find them even after the florctl that
/// started them was killed.
/// </summary>
public sealed partial class ProcessList(string folder)
{
    private const int SigTerm = 15;
    private const int SigKill = 9;

    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(100);

    private readonly string file = Path.Combine(folder, "processes.json");

    /// <summary>Those that still run; florctl itself first.</summary>
    public IReadOnlyList<KnownProcess> Running
    {
        get
        {
            try
            {
                var all = JsonSerializer.Deserialize<KnownProcess[]>(File.ReadAllText(file)) ?? [];
                return all.Where(process => process.IsAlive).ToArray();
            }
            catch (Exception e) when (e is IOException or JsonException)
            {
                return [];
            }
        }
    }

    public void Save(IEnumerable<KnownProcess> processes) =>
        AtomicFile.Write(file, JsonSerializer.Serialize(processes.ToArray()), AtomicFile.OwnerOnly);

    public void Clear()
    {
        if (File.Exists(file)) File.Delete(file);
    }

    /// <summary>Asks all to end, in order, and kills what has not ended in time.</summary>
    public async Task StopAllAsync(TimeSpan patience)
    {
        foreach (var process in Running)
        {
            await StopAsync(process, patience);
        }
        Clear();
    }

    public static async Task StopAsync(KnownProcess process, TimeSpan patience)
    {
        var waited = Stopwatch.StartNew();
        if (process.IsAlive) _ = Kill(process.Id, SigTerm);
        while (process.IsAlive)
        {
            if (waited.Elapsed > patience) _ = Kill(process.Id, SigKill);
            await Task.Delay(Poll);
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
