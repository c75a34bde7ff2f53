using System.Globalization;
using System.Runtime.InteropServices;

namespace Florete.Agent.Processes;

/// <summary>What /proc and kill(2) say and do. Linux only.</summary>
internal static partial class LinuxProcesses
{
    public const int Terminate = 15;
    public const int Kill = 9;

    private const int MaxEnvironmentBytes = 256 * 1024;

    /// <summary>Every process that this agent, or one before it with the same state folder, has started and that still runs.</summary>
    public static IReadOnlyList<FoundProcess> Find(string stateFolder)
    {
        var found = new List<FoundProcess>();
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture, out var id)) continue;
            // What a workload starts has its mark too; the workload itself leads the session (proc_pid_stat(5), field 6).
            if (StatOf(id) is not { } stat || stat.Session != id) continue;
            if (WorkloadMark.Read(EnvironmentOf(id), stateFolder) is { } mark) found.Add(new FoundProcess(id, stat.Start, mark));
        }
        return found;
    }

    /// <summary>Does this very process still run? Ids are used again, a start is not.</summary>
    public static bool IsAlive(int id, long start) => StatOf(id)?.Start == start;

    /// <summary>When it was started, in clock ticks since boot; null: it is gone.</summary>
    public static long? StartOf(int id) => StatOf(id)?.Start;

    public static void Signal(int id, int signal) => _ = SendSignal(id, signal);

    /// <summary>Signals the process group that the workload leads; whoever is left of it.</summary>
    public static void SignalGroup(int id, int signal) => _ = SendSignal(-id, signal);

    private static ReadOnlySpan<byte> EnvironmentOf(int id)
    {
        try
        {
            using var file = File.OpenRead($"/proc/{id}/environ");
            var bytes = new byte[MaxEnvironmentBytes];
            return bytes.AsSpan(0, file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Gone meanwhile, or another user's.
            return [];
        }
    }

    // The name, field 2, is in parentheses and may hold anything; the fields after it begin with the third.
    private static (long Start, int Session)? StatOf(int id)
    {
        try
        {
            var stat = File.ReadAllText($"/proc/{id}/stat");
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            if (fields[0] is "Z" or "X") return null;
            return (long.Parse(fields[19], CultureInfo.InvariantCulture), int.Parse(fields[3], CultureInfo.InvariantCulture));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int SendSignal(int process, int signal);
}

/// <param name="Id">Process id, also of its session and group.</param>
/// <param name="Start">Clock ticks since boot.</param>
/// <param name="Mark">What it was started as.</param>
internal sealed record FoundProcess(int Id, long Start, WorkloadMark Mark);
