namespace Florete.Cli.Local;

/// <summary>Where the flor program is: beside florctl when both are installed, in <c>artifacts/bin</c> when they are built here, or in PATH.</summary>
internal static class FlorProgram
{
    private const string Name = "flor", Project = "Florete.Proxy";

    /// <param name="told">The program that the user names; null: it is looked for.</param>
    /// <exception cref="CliException">There is none.</exception>
    public static string Find(string? told) => Find(told, AppContext.BaseDirectory, Environment.GetEnvironmentVariable("PATH") ?? "");

    /// <param name="told">The program that the user names; null: it is looked for.</param>
    /// <param name="beside">The folder of florctl.</param>
    /// <param name="path">Folders, as PATH has them.</param>
    /// <exception cref="CliException">There is none.</exception>
    public static string Find(string? told, string beside, string path)
    {
        if (told is not null)
        {
            return File.Exists(told) ? Path.GetFullPath(told) : throw new CliException($"{told}: there is no such program.", "Name the flor program with --flor.");
        }
        var own = new DirectoryInfo(Path.TrimEndingDirectorySeparator(beside));
        // artifacts/bin/<project>/<configuration>/. Other projects' folders have copies of flor, which their own builds alone renew.
        IEnumerable<string> built = own.Parent?.Parent is { } projects ? [Path.Combine(projects.FullName, Project, own.Name)] : [];
        var installed = path.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        return built.Prepend(own.FullName).Concat(installed).Select(static place => Path.Combine(place, Name)).FirstOrDefault(File.Exists)
            ?? throw new CliException("The flor program is not found.", "Build it with 'make build', or name it with --flor.");
    }
}
