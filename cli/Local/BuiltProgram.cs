namespace Florete.Cli.Local;

/// <summary>Where a program of Florete is: beside florctl when both are installed, in <c>artifacts/bin</c> when they are built here, or in PATH.</summary>
/// <param name="Name">Its file.</param>
/// <param name="Project">Whose build makes it.</param>
/// <param name="Remedy">What to do when there is none.</param>
internal sealed record BuiltProgram(string Name, string Project, string Remedy)
{
    public static readonly BuiltProgram Flor = new("flor", "Florete.Proxy", "Build it with 'make build', or name it with --flor.");
    public static readonly BuiltProgram Agent = new("florete-agent", "Florete.Agent", "Build it with 'make build'.");
    public static readonly BuiltProgram Identity = new("florete-identity", "Florete.Identity.Program", "Build it with 'make build'.");
    public static readonly BuiltProgram Ncs = new("florete-ncs", "Florete.Ncs.Program", "Build it with 'make build'.");
    public static readonly BuiltProgram Coordinator = new("florete-coordinator", "Florete.Coordination.Program", "Build it with 'make build'.");
    public static readonly BuiltProgram Storage = new("florete-storage", "Florete.Storage.Host", "Build it with 'make build'.");

    /// <param name="told">The program that the user names; null: it is looked for.</param>
    /// <exception cref="CliException">There is none.</exception>
    public string Find(string? told = null) => Find(told, AppContext.BaseDirectory, Environment.GetEnvironmentVariable("PATH") ?? "");

    /// <param name="told">The program that the user names; null: it is looked for.</param>
    /// <param name="beside">The folder of florctl.</param>
    /// <param name="path">Folders, as PATH has them.</param>
    /// <exception cref="CliException">There is none.</exception>
    public string Find(string? told, string beside, string path)
    {
        if (told is not null)
        {
            return File.Exists(told) ? Path.GetFullPath(told) : throw new CliException($"{told}: there is no such program.", $"Name the {Name} program with --{Name}.");
        }
        var own = new DirectoryInfo(Path.TrimEndingDirectorySeparator(beside));
        // artifacts/bin/<project>/<configuration>/. Other projects' folders have copies of it, which their own builds alone renew.
        IEnumerable<string> built = own.Parent?.Parent is { } projects ? [Path.Combine(projects.FullName, Project, own.Name)] : [];
        var installed = path.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        return built.Prepend(own.FullName).Concat(installed).Select(place => Path.Combine(place, Name)).FirstOrDefault(File.Exists)
            ?? throw new CliException($"The {Name} program is not found.", Remedy);
    }
}
