using System.Diagnostics;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>What a program that ran to its end left behind.</summary>
public sealed record CommandResult(string Line, int ExitCode, string Output, string Error, TimeSpan Took)
{
    /// <summary>Itself, when the program succeeded.</summary>
    /// <exception cref="InvalidOperationException">it did not; the text carries what it wrote</exception>
    public CommandResult Succeeded() => ExitCode == 0
        ? this
        : throw new InvalidOperationException($"`{Line}` ended with {ExitCode} after {Took.TotalSeconds:0.0} s:\n{Error}\n{Output}");
}

/// <summary>Runs a program to its end.</summary>
public static class Command
{
    private const int LongestShown = 300;

    /// <summary>Runs it in a namespace (null: the machine's own) and never longer than the deadline.</summary>
    /// <exception cref="TimeoutException">it had to be ended</exception>
    public static async Task<CommandResult> RunAsync(
        NetworkNamespace? network,
        IReadOnlyList<string> command,
        TimeSpan? deadline = null,
        string? folder = null,
        IReadOnlyDictionary<string, string>? environment = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(command);
        string[] whole = network is null ? [.. command] : ["ip", "netns", "exec", network.Name, .. command];
        var line = string.Join(' ', whole);
        line = line.Length > LongestShown ? line[..LongestShown] + "…" : line;
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

        using var process = new Process { StartInfo = start };
        var watch = Stopwatch.StartNew();
        _ = process.Start();
        process.StandardInput.Close();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(deadline ?? Eventually.Deadline);
        var output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        var error = process.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync(CancellationToken.None);
            cancellation.ThrowIfCancellationRequested();
            throw new TimeoutException($"`{line}` ran for {watch.Elapsed.TotalSeconds:0} s and was ended:\n{await error}\n{await output}");
        }

        return new CommandResult(line, process.ExitCode, await output, await error, watch.Elapsed);
    }

    /// <summary>Runs a line of shell: for the pipes between real clients.</summary>
    public static Task<CommandResult> ShellAsync(NetworkNamespace? network, string script, TimeSpan? deadline = null, string? folder = null,
        CancellationToken cancellation = default) =>
        RunAsync(network, ["bash", "-c", "set -o pipefail; " + script], deadline, folder, cancellation: cancellation);
}
