namespace Florete.Cli.Local;

/// <summary>Where a program of Florete is: beside florctl, as builds and installations have it, or in PATH.</summary>
/// <param name="Name">Its file.</param>
/// <param name="Remedy">What to do when there is none.</param>
internal sealed record BuiltProgram(string Name, string Remedy = "Build it with 'make build', and run artifacts/programs/florctl.")
{
    public static readonly BuiltProgram Flor = new("flor", "Build it with 'make build', run artifacts/programs/florctl, or name it with --flor.");
    public static readonly BuiltProgram Agent = new("florete-agent");
    public static readonly BuiltProgram Identity = new("florete-identity");
    public static readonly BuiltProgram Ncs = new("florete-ncs");
    public static readonly BuiltProgram Coordinator = new("florete-coordinator");
    public static readonly BuiltProgram Storage = new("florete-storage");

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
        return path.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries).Prepend(beside).Select(place => Path.Combine(place, Name)).FirstOrDefault(File.Exists)
            ?? throw new CliException($"The {Name} program is not found.", Remedy);
    }
}
