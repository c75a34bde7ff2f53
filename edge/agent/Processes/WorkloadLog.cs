namespace Florete.Agent.Processes;

/// <summary>The log file of a workload: written by its process alone, kept within bounds by the agent.</summary>
internal sealed class WorkloadLog(string folder, string workload)
{
    /// <summary>A day of a chatty program; with the copy twice that is kept.</summary>
    public const long MaxBytes = 16 * 1024 * 1024;

    public string File { get; } = Path.Combine(folder, $"{workload}.log");

    /// <summary>
    /// Copies a log that has grown too long, and empties it. The process appends, so it goes on at the new end. What it writes between copy and
    /// emptying is lost; renaming instead would need every program to open its log again.
    /// </summary>
    /// <exception cref="IOException">The disk is full, or the folder not writable.</exception>
    public void KeepWithinBounds(long maxBytes = MaxBytes)
    {
        if (new FileInfo(File) is not { Exists: true } info || info.Length <= maxBytes) return;
        System.IO.File.Copy(File, $"{File}.1", overwrite: true);
        using var log = new FileStream(File, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        log.SetLength(0);
    }

    /// <summary>The last lines, for people; empty when there are none.</summary>
    public IReadOnlyList<string> Tail(int lines)
    {
        const int MostBytes = 64 * 1024;
        if (!System.IO.File.Exists(File)) return [];
        using var log = new FileStream(File, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var isCut = log.Length > MostBytes;
        if (isCut) log.Seek(-MostBytes, SeekOrigin.End);
        using var reader = new StreamReader(log);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(isCut ? 1 : 0).TakeLast(lines).ToArray();
    }
}
