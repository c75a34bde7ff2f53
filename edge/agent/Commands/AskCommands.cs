using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Florete.Agent.Contracts;

namespace Florete.Agent.Commands;

/// <summary>The commands that ask a running agent: status, restart, reload, logs.</summary>
internal static class AskCommands
{
    private static readonly TimeSpan FollowEvery = TimeSpan.FromMilliseconds(200);
    private static readonly JsonWriterOptions Indented = new() { Indented = true };

    public static Command Status()
    {
        var (control, json) = (CommonOptions.Control(), CommonOptions.Json());
        var status = new Command("status", "Shows what this node runs: ends with 0 if all of it is ready, else with 1.") { control, json };
        status.SetAction((parsed, cancellationToken) => AskAsync(parsed.GetRequiredValue(control), async client =>
        {
            var all = await client.StatusAsync(cancellationToken).ConfigureAwait(false);
            Console.Write(parsed.GetValue(json) ? Json(all) : Table(all));
            return all.All(static one => one.Phase == WorkloadPhase.Ready) ? 0 : 1;
        }));
        return status;
    }

    public static Command Restart()
    {
        var control = CommonOptions.Control();
        var name = new Argument<string>("name") { Description = "The workload." };
        var restart = new Command("restart", "Starts a workload anew.") { control, name };
        restart.SetAction((parsed, cancellationToken) => AskAsync(parsed.GetRequiredValue(control), async client =>
        {
            var workload = parsed.GetRequiredValue(name);
            if (await client.RestartAsync(workload, cancellationToken).ConfigureAwait(false)) return 0;
            var known = (await client.StatusAsync(cancellationToken).ConfigureAwait(false)).Select(static one => one.Name);
            await Console.Error.WriteLineAsync($"florete-agent: there is no workload '{workload}'; there are {string.Join(", ", known)}.").ConfigureAwait(false);
            return 1;
        }));
        return restart;
    }

    public static Command Reload()
    {
        var control = CommonOptions.Control();
        var reload = new Command("reload", "Makes the agent read its file again.") { control };
        reload.SetAction((parsed, cancellationToken) => AskAsync(parsed.GetRequiredValue(control), async client =>
        {
            var problems = await client.ReloadAsync(cancellationToken).ConfigureAwait(false);
            foreach (var problem in problems) await Console.Error.WriteLineAsync(problem).ConfigureAwait(false);
            if (problems.Length == 0) Console.WriteLine("The file is in force.");
            return problems.Length == 0 ? 0 : 1;
        }));
        return reload;
    }

    public static Command Logs()
    {
        var control = CommonOptions.Control();
        var name = new Argument<string>("name") { Description = "The workload." };
        var follow = new Option<bool>("--follow", "-f") { Description = "Goes on with what is written, until it is stopped." };
        var logs = new Command("logs", "Prints what a workload has written.") { control, name, follow };
        logs.SetAction((parsed, cancellationToken) => AskAsync(parsed.GetRequiredValue(control), async client =>
        {
            var all = await client.StatusAsync(cancellationToken).ConfigureAwait(false);
            if (all.FirstOrDefault(one => one.Name == parsed.GetRequiredValue(name)) is not { } workload)
            {
                await Console.Error.WriteLineAsync($"florete-agent: there is no workload '{parsed.GetRequiredValue(name)}'; there are {string.Join(", ", all.Select(static one => one.Name))}.").ConfigureAwait(false);
                return 1;
            }
            await CopyAsync(workload.LogFile, parsed.GetValue(follow), cancellationToken).ConfigureAwait(false);
            return 0;
        }));
        return logs;
    }

    private static async Task<int> AskAsync(string path, Func<AgentClient, Task<int>> ask)
    {
        try
        {
            using var client = new AgentClient(Path.GetFullPath(path));
            return await ask(client).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return 0;
        }
        catch (Exception e) when (e is IOException or HttpRequestException or JsonException)
        {
            await Console.Error.WriteLineAsync($"florete-agent: {(e as HttpRequestException)?.InnerException?.Message ?? e.Message}").ConfigureAwait(false);
            return 1;
        }
    }

    private static async Task CopyAsync(string file, bool isFollowed, CancellationToken cancellationToken)
    {
        if (!File.Exists(file)) return;
        await using var output = Console.OpenStandardOutput();
        await using var log = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        while (true)
        {
            // The agent empties a log that has grown too long.
            if (log.Length < log.Position) log.Seek(0, SeekOrigin.Begin);
            await log.CopyToAsync(output, cancellationToken).ConfigureAwait(false);
            await output.FlushAsync(cancellationToken).ConfigureAwait(false);
            if (!isFollowed) return;
            await Task.Delay(FollowEvery, cancellationToken).ConfigureAwait(false);
        }
    }

    private static string Json(WorkloadStatus[] all)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, Indented)) JsonSerializer.Serialize(writer, all, AgentJson.Default.WorkloadStatusArray);
        return Encoding.UTF8.GetString(buffer.ToArray()) + "\n";
    }

    private static string Table(WorkloadStatus[] all)
    {
        var text = new StringBuilder();
        var width = Math.Max(8, all.Select(static one => one.Name.Length).DefaultIfEmpty(0).Max());
        text.Append(CultureInfo.InvariantCulture, $"{"WORKLOAD".PadRight(width)}  {"PHASE",-8}  {"PROCESS",8}  {"RESTARTS",8}  {"SINCE",-20}  REASON\n");
        foreach (var one in all)
        {
            text.Append(CultureInfo.InvariantCulture, $"{one.Name.PadRight(width)}  {one.Phase,-8}  {one.ProcessId?.ToString(CultureInfo.InvariantCulture) ?? "-",8}  {one.Restarts,8}  {one.Since.UtcDateTime:yyyy-MM-ddTHH:mm:ssZ}  {one.Reason}\n");
        }
        return text.ToString();
    }
}
