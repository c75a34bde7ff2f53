namespace Florete.EndToEnd.Tests.Harness;

/// <summary>The programs under test, as they are shipped: in one folder, and compiled ahead when built as Release.</summary>
public static class Programs
{
    /// <summary>The root of the repository.</summary>
    public static string Repository { get; } = FindRepository();

    public static string Flor { get; } = Find("flor");

    public static string Florctl { get; } = Find("florctl");

    public static string Storage { get; } = Find("florete-storage");

    public static string Identity { get; } = Find("florete-identity");

    public static string Coordinator { get; } = Find("florete-coordinator");

    public static string Ncs { get; } = Find("florete-ncs");

    public static string Agent { get; } = Find("florete-agent");

    private static string Find(string program)
    {
        var found = Path.Combine(Repository, "artifacts", "programs", program);
        return File.Exists(found) ? found : throw new InvalidOperationException($"{found} is not built: run `make build`, or build the whole solution.");
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
