using System.Diagnostics;

namespace Florete.Proxy.Tests.Harness;

/// <summary>The built flor as a process on a folder.</summary>
internal sealed class FlorProcess : IDisposable
{
    private readonly Process process;

    public FlorProcess(string configuration)
    {
        var start = new ProcessStartInfo(
            Path.Combine(AppContext.BaseDirectory, "flor"), ["run", "--config", configuration, "--exit-with-parent", Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture)])
        {
            RedirectStandardError = true,
        };
        process = Process.Start(start)!;
        // Its log is bounded by the pipe unless somebody reads it.
        process.ErrorDataReceived += static (_, _) => { };
        process.BeginErrorReadLine();
    }

    /// <summary>As kill -9: it has no time for anything.</summary>
    public void Kill()
    {
        process.Kill();
        process.WaitForExit();
    }

    public void Dispose()
    {
        Kill();
        process.Dispose();
    }
}
