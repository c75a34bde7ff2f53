namespace Florete.Agent.Processes;

/// <summary>Finds the program of a workload.</summary>
internal static class ProgramPath
{
    /// <summary>With a slash it is a path from the workload's folder; without, it is beside the agent, where builds put it, or in PATH.</summary>
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
        var own = AppContext.BaseDirectory.TrimEnd('/');
        yield return own;
        // artifacts/bin/<project>/<configuration>/: each program of a build is in its own project's folder.
        if (Path.GetDirectoryName(Path.GetDirectoryName(own)) is { } projects && Path.GetFileName(projects) == "bin")
        {
            var configuration = Path.GetFileName(own);
            // Tests have copies of the programs that they refer to, which their own builds alone renew.
            foreach (var project in Directory.EnumerateDirectories(projects, "Florete.*").Where(static project => !project.EndsWith("Tests", StringComparison.Ordinal)).Order(StringComparer.Ordinal))
            {
                yield return Path.Combine(project, configuration);
            }
        }
        foreach (var place in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries)) yield return place;
    }

    private static bool IsExecutable(string file) =>
        File.Exists(file) && (File.GetUnixFileMode(file) & (UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute)) != 0;
}
