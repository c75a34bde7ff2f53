using System.Diagnostics;
using System.Globalization;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>A real program that a test started: its last lines are kept for the failure's text, and it is stopped by its own pid.</summary>
public sealed class ManagedProcess : IAsyncDisposable
{
    private const int KeptLines = 400;
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(10);

    private readonly Process process;
    private readonly Queue<string> lines = new();
    private readonly Lock sync = new();
    private bool stopping;

    private ManagedProcess(string name, Process process)
    {
        Name = name;
        this.process = process;
    }

    public string Name { get; }

    public int Id => process.Id;

    public bool HasExited => process.HasExited;

    public int ExitCode => process.ExitCode;

    /// <summary>True when the process ended and nobody asked it to.</summary>
    public bool Died => process.HasExited && !stopping;

    /// <summary>Resident memory in bytes.</summary>
    public long ResidentBytes
    {
        get
        {
            var line = File.ReadLines($"/proc/{Id}/status").First(text => text.StartsWith("VmRSS:", StringComparison.Ordinal));
            return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
        }
    }

    /// <summary>What it wrote last, both streams in the order of arrival.</summary>
    public string Log
    {
        get
        {
            lock (sync)
            {
                return string.Join('\n', lines);
            }
        }
    }

    /// <summary>Starts a program; <paramref name="network"/> names the namespace, null is the machine's own.</summary>
    public static ManagedProcess Start(
        string name,
        NetworkNamespace? network,
        IReadOnlyList<string> command,
        string? folder = null,
        IReadOnlyDictionary<string, string>? environment = null)
    {
        ArgumentNullException.ThrowIfNull(command);
        // `ip netns exec` replaces itself by the program, so the pid is the program's.
        string[] whole = network is null ? [.. command] : ["ip", "netns", "exec", network.Name, .. command];
        var start = new ProcessStartInfo(whole[0], whole[1..])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            UseShellExecute = false,
            WorkingDirectory = folder ?? Path.GetTempPath(),
        };
        foreach (var (key, value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[key] = value;
        }

        var process = new Process { StartInfo = start };
        var managed = new ManagedProcess(name, process);
        process.OutputDataReceived += (_, e) => managed.Keep(e.Data);
        process.ErrorDataReceived += (_, e) => managed.Keep(e.Data);
        _ = process.Start();
        process.StandardInput.Close();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return managed;
    }

    /// <summary>Ends it at once, as a crash does.</summary>
    public async Task KillAsync()
    {
        stopping = true;
        if (!process.HasExited)
        {
            _ = Native.Kill(Id, Native.Sigkill);
        }

        await process.WaitForExitAsync();
    }

    /// <summary>Asks it to end, waits, and ends it when it does not. Returns false when it had to be ended.</summary>
    public async Task<bool> StopAsync()
    {
        stopping = true;
        if (!process.HasExited)
        {
            _ = Native.Kill(Id, Native.Sigterm);
            using var limit = new CancellationTokenSource(Grace);
            try
            {
                await process.WaitForExitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                await KillAsync();
                return false;
            }
        }

        return true;
    }

    /// <summary>Waits for its end.</summary>
    /// <exception cref="TimeoutException">it does not end in time</exception>
    public async Task<int> WaitAsync(TimeSpan? deadline = null)
    {
        using var limit = new CancellationTokenSource(deadline ?? Eventually.Deadline);
        try
        {
            await process.WaitForExitAsync(limit.Token);
            return process.ExitCode;
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"{Name} did not end:\n{Log}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        _ = await StopAsync();
        process.Dispose();
    }

    private void Keep(string? line)
    {
        if (line is null)
        {
            return;
        }

        lock (sync)
        {
            lines.Enqueue(line.Length > 2000 ? line[..2000] : line);
            if (lines.Count > KeptLines)
            {
                _ = lines.Dequeue();
            }
        }
    }
}
