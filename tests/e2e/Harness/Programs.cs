namespace Florete.EndToEnd.Tests.Harness;

/// <summary>The programs under test, as the build that these tests belong to made them.</summary>
public static class Programs
{
    public static string Flor { get; } = Find("flor");

    public static string Florctl { get; } = Find("florctl");

    /// <summary>The root of the repository.</summary>
    public static string Repository { get; } = FindRepository();

    private static string Find(string program)
    {
        // artifacts/bin/<project>/<configuration>/
        var own = new DirectoryInfo(AppContext.BaseDirectory);
        var found = own.Parent!.Parent!.GetDirectories()
            .Select(project => Path.Combine(project.FullName, own.Name, program))
            .FirstOrDefault(File.Exists);
        return found ?? throw new InvalidOperationException($"{program} is not built as {own.Name}: run `make build`, or build the whole solution.");
    }

    private static string FindRepository()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Florete.sln")))
        {
            folder = folder.Parent ?? throw new InvalidOperationException("these tests do not lie inside the repository");
        }

        return folder.FullName;
    }
}
