namespace Florete.Agent.Processes;

/// <summary>Finds the program of a workload.</summary>
internal static class ProgramPath
{
    /// <summary>With a slash it is a path from the workload's folder; without, it is beside the agent, as builds and installations have it, or in PATH.</summary>
    /// <exception cref="IOException">There is none.</exception>
    public static string Find(string program, string folder)
    {
        var candidates = program.Contains('/', StringComparison.Ordinal)
            ? [Path.GetFullPath(program, folder)]
            : Places().Select(place => Path.Combine(place, program)).ToArray();
        return candidates.FirstOrDefault(IsExecutable)
            ?? throw new IOException($"there is no program '{program}' {(candidates.Length == 1 ? $"at {candidates[0]}" : "beside the agent or in PATH")}; install it, or correct run:");
    }

    private static IEnumerable<string> Places()
    {
        yield return AppContext.BaseDirectory;
        foreach (var place in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries)) yield return place;
    }

    private static bool IsExecutable(string file) =>
        File.Exists(file) && (File.GetUnixFileMode(file) & (UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute)) != 0;
}
