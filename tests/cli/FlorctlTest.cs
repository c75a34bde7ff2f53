using System.Diagnostics;

namespace Florete.Cli.Tests;

/// <summary>The built florctl, run as a process in a folder of its own.</summary>
public abstract class FlorctlTest : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("florctl-").FullName;

    public void Dispose()
    {
        Directory.Delete(folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    protected string At(string path) => Path.Combine(folder, path);

    protected (string Output, string Errors) Run(int code, params string[] words)
    {
        var (actual, output, errors) = Start(Path.Combine(AppContext.BaseDirectory, "florctl"), words);
        Assert.True(actual == code, $"florctl {string.Join(' ', words)} ended with {actual}:\n{output}{errors}");
        return (output, errors);
    }

    protected (int Code, string Output, string Errors) Start(string program, string[] words)
    {
        var start = new ProcessStartInfo(program, words) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder };
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, errors.Result);
    }
}
