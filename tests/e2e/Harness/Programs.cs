namespace Florete.EndToEnd.Tests.Harness;

/// <summary>The programs under test, as the build that these tests belong to made them.</summary>
public static class Programs
{
    public static string Flor { get; } = Find("Florete.Proxy", "flor");

    public static string Florctl { get; } = Find("Florete.Cli", "florctl");

    public static string Storage { get; } = Find("Florete.Storage.Host", "florete-storage");

    public static string Identity { get; } = Find("Florete.Identity.Program", "florete-identity");

    public static string Coordinator { get; } = Find("Florete.Coordination.Program", "florete-coordinator");

    public static string Ncs { get; } = Find("Florete.Ncs.Program", "florete-ncs");

    public static string Agent { get; } = Find("Florete.Agent", "florete-agent");

    /// <summary>The root of the repository.</summary>
    public static string Repository { get; } = FindRepository();

    private static string Find(string project, string program)
    {
        // artifacts/bin/<project>/<configuration>/
        var own = new DirectoryInfo(AppContext.BaseDirectory);
        var found = Path.Combine(own.Parent!.Parent!.FullName, project, own.Name, program);
        return File.Exists(found) ? found : throw new InvalidOperationException($"{program} is not built as {own.Name}: run `make build`, or build the whole solution.");
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
