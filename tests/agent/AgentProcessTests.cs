using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Florete.Agent.Contracts;

namespace Florete.Agent.Tests;

/// <summary>The real agent, as a process, over real processes.</summary>
public sealed partial class AgentProcessTests : IDisposable
{
    private const int SigHangUp = 1;
    private const int SigKill = 9;
    private const int SigTerm = 15;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string folder = Directory.CreateTempSubdirectory("agent-").FullName;
    private readonly List<Process> agents = [];

    public void Dispose()
    {
        foreach (var agent in agents)
        {
            if (!agent.HasExited) agent.Kill();
            agent.Dispose();
        }
        foreach (var found in Processes.LinuxProcesses.Find(Path.Combine(folder, "state"))) Processes.LinuxProcesses.SignalGroup(found.Id, SigKill);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task What_ends_is_started_again_and_says_its_last_words()
    {
        var agent = Start("""
              - name: short
                run: [sh, -c, 'echo last words of $$; exit 3']
            """);
        await UntilAsync(() => Status("short") is { Restarts: >= 2 });
        Assert.Contains("short: ended with code 3; its last words: last words of", agent.Log);
        Assert.Contains("last words of", File.ReadAllText(Path.Combine(folder, "logs", "short.log")));
        await StopAsync(agent);
    }

    [Fact]
    public async Task Stopping_goes_in_the_reverse_order_and_leaves_nothing()
    {
        const string Script = "trap \"echo $0 >>order; exit 0\" TERM; while :; do sleep 0.05; done";
        var agent = Start($"""
              - name: first
                run: [sh, -c, '{Script}', first]
              - name: second
                run: [sh, -c, '{Script}', second]
              - name: deaf
                run: [sh, -c, 'trap "" TERM; sleep 1000 & while :; do sleep 0.05; done']
                stopWithin: 300ms
            """);
        await UntilAsync(() => Status("deaf") is { Phase: WorkloadPhase.Ready } && Status("first") is { ProcessId: not null } && Status("second") is { ProcessId: not null });
        var deaf = Status("deaf")!.ProcessId!.Value;
        await UntilAsync(() => ChildrenOf(deaf).Any());
        var children = ChildrenOf(deaf).ToArray();
        await StopAsync(agent);
        Assert.Equal(["second", "first"], File.ReadAllLines(Path.Combine(folder, "order")));
        Assert.Contains("deaf: has not ended within", agent.Log);
        Assert.All(children.Append(deaf), id => Assert.False(Runs(id)));
    }

    [Fact]
    public async Task An_agent_that_is_killed_leaves_workloads_running_and_the_next_takes_them_over()
    {
        const string Workloads = """
              - name: kept
                run: [sh, -c, 'while :; do sleep 0.05; done']
              - name: changed
                run: [sh, -c, 'while :; do sleep 0.05; done', one]
              - name: dropped
                run: [sh, -c, 'while :; do sleep 0.05; done']
            """;
        var agent = Start(Workloads);
        await UntilAsync(() => new[] { "kept", "changed", "dropped" }.All(name => Status(name) is { Phase: WorkloadPhase.Ready, ProcessId: not null }));
        var (kept, changed, dropped) = (Status("kept")!.ProcessId, Status("changed")!.ProcessId, Status("dropped")!.ProcessId!.Value);
        agent.Process.Kill();
        await agent.Process.WaitForExitAsync();
        Assert.True(Runs(kept!.Value));

        var next = Start(Workloads[..Workloads.IndexOf("  - name: dropped", StringComparison.Ordinal)].Replace(", one]", ", two]", StringComparison.Ordinal));
        await UntilAsync(() => Status("kept") is { Phase: WorkloadPhase.Ready } && Status("changed") is { Phase: WorkloadPhase.Ready, ProcessId: not null });
        Assert.Equal(kept, Status("kept")!.ProcessId);
        Assert.NotEqual(changed, Status("changed")!.ProcessId);
        Assert.False(Runs(changed!.Value));
        Assert.False(Runs(dropped));

        // One that was taken over is watched like one's own.
        _ = Kill(kept.Value, SigKill);
        await UntilAsync(() => Status("kept") is { Phase: WorkloadPhase.Ready, ProcessId: { } id } && id != kept);
        await StopAsync(next);
    }

    [Fact]
    public async Task Killed_at_random_moments_it_never_runs_a_workload_twice()
    {
        const string Workloads = """
              - name: one
                run: [sh, -c, 'echo $$ >>starts; while :; do sleep 0.05; done']
              - name: two
                run: [sh, -c, 'sleep 0.1; exit 1']
            """;
        var random = new Random(11);
        for (var i = 0; i < 15; i++)
        {
            var agent = Start(Workloads, isAwaited: false);
            await Task.Delay(random.Next(400));
            agent.Process.Kill();
            await agent.Process.WaitForExitAsync();
            Assert.InRange(Processes.LinuxProcesses.Find(Path.Combine(folder, "state")).Count(static found => found.Mark.Workload == "one"), 0, 1);
        }
        var last = Start(Workloads);
        await UntilAsync(() => Status("one") is { Phase: WorkloadPhase.Ready, ProcessId: not null });
        Assert.Single(File.ReadAllLines(Path.Combine(folder, "starts")));
        await StopAsync(last);
    }

    [Fact]
    public async Task A_second_agent_with_the_same_state_folder_refuses_to_start()
    {
        var agent = Start("  - {name: x, run: [sleep, '1000']}");
        await UntilAsync(() => Status("x") is { Phase: WorkloadPhase.Ready, ProcessId: not null });
        var second = Start("  - {name: x, run: [sleep, '1000']}", isAwaited: false);
        await second.Process.WaitForExitAsync();
        Assert.Equal(1, second.Process.ExitCode);
        Assert.Contains("another agent has this state folder", second.Log);
        await StopAsync(agent);
    }

    [Fact]
    public async Task Health_by_a_socket_makes_it_ready_and_its_loss_starts_it_anew()
    {
        var agent = Start("""
              - name: serves
                run: [python3, -c, 'import socket,os,time; s=socket.socket(socket.AF_UNIX); os.path.exists("s.sock") and os.remove("s.sock"); time.sleep(0.3); s.bind("s.sock"); s.listen(); time.sleep(1000)']
                health: {socket: s.sock, every: 100ms, failures: 2}
            """);
        await UntilAsync(() => Status("serves") is { Phase: WorkloadPhase.Ready });
        var first = Status("serves")!;
        Assert.NotNull(first.ReadyMilliseconds);
        File.Delete(Path.Combine(folder, "s.sock"));
        await UntilAsync(() => Status("serves") is { Phase: WorkloadPhase.Ready, Restarts: 1 } now && now.ProcessId != first.ProcessId);
        Assert.Contains("not healthy 2 times in a row", agent.Log);
        await StopAsync(agent);
    }

    [Fact]
    public async Task A_file_read_again_touches_only_what_differs_and_one_with_a_mistake_nothing()
    {
        var agent = Start("""
              - {name: same, run: [sleep, '1000']}
              - {name: gone, run: [sleep, '1000']}
            """);
        await UntilAsync(() => new[] { "same", "gone" }.All(name => Status(name) is { ProcessId: not null }));
        var (same, gone) = (Status("same")!.ProcessId, Status("gone")!.ProcessId!.Value);
        Write("  - {name: same, run: sleep}");
        _ = Kill(agent.Process.Id, SigHangUp);
        await UntilAsync(() => agent.Log.Contains("must be a list", StringComparison.Ordinal));
        Assert.True(Runs(gone));
        Write("""
              - {name: same, run: [sleep, '1000']}
              - {name: new, run: [sleep, '1000']}
            """);
        _ = Kill(agent.Process.Id, SigHangUp);
        await UntilAsync(() => Status("new") is { ProcessId: not null });
        Assert.Equal(same, Status("same")!.ProcessId);
        Assert.False(Runs(gone));
        await StopAsync(agent);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Stop_ends_an_agent_and_what_a_killed_one_has_left(bool isKilled)
    {
        var agent = Start("""
              - {name: one, run: [sleep, '1000']}
              - {name: two, run: [sleep, '1000']}
            """);
        await UntilAsync(() => new[] { "one", "two" }.All(name => Status(name) is { Phase: WorkloadPhase.Ready, ProcessId: not null }));
        int[] ids = [Status("one")!.ProcessId!.Value, Status("two")!.ProcessId!.Value];
        if (isKilled) agent.Process.Kill();
        if (isKilled) await agent.Process.WaitForExitAsync();
        using var stop = Process.Start(new ProcessStartInfo(Program, ["stop", "--config", Path.Combine(folder, "agent.yaml")]) { RedirectStandardOutput = true })!;
        var said = await stop.StandardOutput.ReadToEndAsync();
        await stop.WaitForExitAsync();
        Assert.Equal(isKilled ? "Stopped: two, one.\n" : "Stopped: agent.\n", said);
        Assert.All(ids, id => Assert.False(Runs(id)));
        await agent.Process.WaitForExitAsync().WaitAsync(Patience);
    }

    [Fact]
    public async Task An_agent_that_is_to_end_with_another_process_stops_everything_then()
    {
        using var parent = Process.Start("sleep", "1000");
        var agent = Start("  - {name: x, run: [sleep, '1000']}", isAwaited: true, "--exit-with-parent", parent.Id.ToString(CultureInfo.InvariantCulture));
        await UntilAsync(() => Status("x") is { Phase: WorkloadPhase.Ready, ProcessId: not null });
        var id = Status("x")!.ProcessId!.Value;
        parent.Kill();
        await agent.Process.WaitForExitAsync().WaitAsync(Patience);
        Assert.False(Runs(id));
    }

    [Fact]
    public async Task A_program_that_does_not_exist_is_named_with_the_remedy()
    {
        var agent = Start("  - {name: x, run: [no-such-program]}");
        await UntilAsync(() => Status("x") is { Reason: { } reason } && reason.Contains("there is no program 'no-such-program'", StringComparison.Ordinal));
        Assert.Null(Status("x")!.ProcessId);
        await StopAsync(agent);
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    private static bool Runs(int id) => Processes.LinuxProcesses.StartOf(id) is not null;

    private static IEnumerable<int> ChildrenOf(int id)
    {
        var file = $"/proc/{id}/task/{id}/children";
        return File.Exists(file) ? File.ReadAllText(file).Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(static text => int.Parse(text, CultureInfo.InvariantCulture)) : [];
    }

    private static async Task StopAsync(RunningAgent agent)
    {
        _ = Kill(agent.Process.Id, SigTerm);
        await agent.Process.WaitForExitAsync().WaitAsync(Patience);
        Assert.Equal(0, agent.Process.ExitCode);
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        var waited = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(waited.Elapsed < Patience, "it did not come true");
            await Task.Delay(20);
        }
    }

    private void Write(string workloads) => File.WriteAllText(Path.Combine(folder, "agent.yaml"), $"""
        version: 1
        cluster: home
        node: a
        state: state
        logs: logs
        control: run/agent.sock
        workloads:
        {workloads}
        """);

    private static string Program => Path.Combine(AppContext.BaseDirectory, "florete-agent");

    private RunningAgent Start(string workloads, bool isAwaited = true, params string[] more)
    {
        Write(workloads);
        var start = new ProcessStartInfo(Program) { RedirectStandardError = true };
        foreach (var word in (string[])["run", "--config", Path.Combine(folder, "agent.yaml"), .. more]) start.ArgumentList.Add(word);
        var agent = new RunningAgent(Process.Start(start)!);
        agents.Add(agent.Process);
        if (isAwaited) SpinWait.SpinUntil(() => File.Exists(Path.Combine(folder, "run", "agent.sock")) || agent.Process.HasExited, Patience);
        return agent;
    }

    // Null while nobody answers.
    private WorkloadStatus? Status(string name)
    {
        try
        {
            using var client = new AgentClient(Path.Combine(folder, "run", "agent.sock"));
            return client.StatusAsync(CancellationToken.None).GetAwaiter().GetResult().FirstOrDefault(one => one.Name == name);
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
            return null;
        }
    }

    private sealed class RunningAgent
    {
        private readonly Lock gate = new();
        private string log = "";

        public RunningAgent(Process process)
        {
            Process = process;
            process.ErrorDataReceived += (_, line) =>
            {
                lock (gate) log += line.Data + "\n";
            };
            process.BeginErrorReadLine();
        }

        public Process Process { get; }

        public string Log
        {
            get
            {
                lock (gate) return log;
            }
        }
    }
}
