using System.Diagnostics;
using System.Globalization;
using System.Net;
using Florete.Agent.Contracts;
using Spectre.Console;

namespace Florete.Cli.Local;

/// <summary><c>florctl local up</c>: starts the nodes, waits until the sample answers through them, keeps them running, stops them.</summary>
internal sealed class LocalCluster(string folder, LocalPlan plan, LocalPrograms programs) : IDisposable
{
    private static readonly TimeSpan ReadyWithin = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    // An agent gives each of its programs 10 s to end.
    private static readonly TimeSpan StopWithin = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan RestartAfter = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Refresh = TimeSpan.FromSeconds(1);

    private readonly ProcessList list = new(folder);
    private readonly List<NodeProcess> nodes = [];
    private readonly Dictionary<string, int> restarts = [];
    private readonly HttpClient throughProxy = new(new SocketsHttpHandler
    {
        Proxy = new WebProxy(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{plan.ProxyPort}")),
        ConnectTimeout = Patience,
        PooledConnectionLifetime = TimeSpan.Zero,
    })
    { Timeout = Patience };

    /// <summary>Runs until cancelled; no process is left when it returns, however it returns.</summary>
    /// <exception cref="CliException">A port is taken, or a node ends, or the sample does not answer in time.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await StopPreviousAsync();
        plan.CheckPorts();
        var bounds = LocalFolder.Prepare(folder, plan);
        Directory.CreateDirectory(Path.Combine(folder, "logs"));
        await using var sample = await SampleService.StartAsync(plan.SamplePort, plan.Names.Last(), cancellationToken);
        try
        {
            foreach (var (name, index) in plan.Names.Select(static (name, index) => (name, index)))
            {
                if (!NodeFolder.IsMade(LocalFolder.NodeFolderOf(folder, name))) await JoinAsync(plan.Join(index), cancellationToken);
                LocalAgent.Write(LocalFolder.NodeFolderOf(folder, name), name, bounds, programs);
                nodes.Add(Start(name));
            }
            Console.WriteLine($"Cluster {LocalPlan.Cluster}: {plan.Nodes} nodes ({string.Join(", ", plan.Names)}), {plan.Topology.ToString().ToLowerInvariant()}, in {folder}");
            await ReadyAsync(cancellationToken);
            PrintCommands();
            await WatchAsync(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            Console.WriteLine("Stopping.");
        }
        finally
        {
            await Task.WhenAll(nodes.Select(node => ProcessList.StopAsync(node.Known, StopWithin)));
            await StopNodesAsync(folder, programs.Agent);
            list.Clear();
        }
    }

    /// <summary>Stops what agents run that were killed, or did not end in time; returns when nothing of the nodes runs.</summary>
    public static async Task StopNodesAsync(string folder, string agent)
    {
        var nodes = Path.Combine(folder, "nodes");
        if (!Directory.Exists(nodes)) return;
        await Task.WhenAll(Directory.GetDirectories(nodes).Select(LocalAgent.ConfigurationFile).Where(File.Exists).Select(async configuration =>
        {
            using var stop = Process.Start(new ProcessStartInfo(agent, ["stop", "--config", configuration]) { RedirectStandardOutput = true })!;
            await stop.StandardOutput.ReadToEndAsync();
            await stop.WaitForExitAsync();
        }));
    }

    public void Dispose()
    {
        foreach (var node in nodes) node.Dispose();
        throughProxy.Dispose();
    }

    private async Task StopPreviousAsync()
    {
        var running = list.Running;
        if (running.Count > 0 && running[0].Name == "florctl")
        {
            throw new CliException($"The local cluster in {folder} is up already (florctl, process {running[0].Id}).", "Stop it with: florctl local down");
        }
        await list.StopAllAsync(StopWithin);
        await StopNodesAsync(folder, programs.Agent);
    }

    // What florctl down finds, even when this florctl is killed.
    private void Save(KnownProcess[] more) => list.Save(
        nodes.Select(static node => node.Known).Where(known => more.All(other => other.Name != known.Name)).Concat(more).Prepend(KnownProcess.Of("florctl", Environment.ProcessId)));

    private NodeProcess Start(string name)
    {
        try
        {
            var node = new NodeProcess(programs.Agent, name, LocalFolder.NodeFolderOf(folder, name), Path.Combine(folder, "logs", $"{name}.log"));
            Save([node.Known]);
            return node;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new CliException($"{programs.Agent} cannot be started: {e.Message}.", "Build it again with 'make build'.");
        }
    }

    // Through its neighbours, once they can carry its request to the issuer.
    private async Task JoinAsync(LocalJoin join, CancellationToken cancellationToken)
    {
        Console.WriteLine($"Node {join.Node} joins by token, through {string.Join(" and ", join.Contacts.Select(static contact => contact.Vertex))}.");
        var needed = nodes.Where(node => join.Contacts.Any(contact => contact.Vertex == node.Node)).Select(static node => (node, "flor")).Prepend((nodes[0], "identity")).ToArray();
        await UntilAsync(
            async cancelled =>
            {
                foreach (var (node, workload) in needed)
                {
                    if ((await StatusAsync(node, cancelled)).All(one => one.Name != workload || one.Phase != WorkloadPhase.Ready)) return $"{workload} of node {node.Node} is not ready";
                }
                return null;
            },
            cancellationToken);
        await join.RunAsync(folder, nodes[0].Node, LocalFolder.NodeFolderOf(folder, join.Node), programs.Agent, process => Save([KnownProcess.Of($"join of {join.Node}", process.Id)]), cancellationToken);
    }

    private Task ReadyAsync(CancellationToken cancellationToken) => UntilAsync(MissingAsync, cancellationToken);

    // Until nothing is missing any more.
    private async Task UntilAsync(Func<CancellationToken, Task<string?>> missingAsync, CancellationToken cancellationToken)
    {
        var waited = Stopwatch.StartNew();
        while (await missingAsync(cancellationToken) is { } missing)
        {
            if (nodes.FirstOrDefault(node => node.ExitCode is not null) is { } dead)
            {
                throw new CliException($"The agent of node {dead.Node} has ended with code {dead.ExitCode}:\n{dead.LastWords()}", $"Its log is {dead.LogFile}");
            }
            if (waited.Elapsed > ReadyWithin)
            {
                throw new CliException($"The cluster was not ready within {ReadyWithin.TotalSeconds:0} s: {missing}.", $"The logs are in {Path.Combine(folder, "logs")} and {Path.Combine(folder, "nodes", "*", "logs")}");
            }
            await Task.Delay(TimeSpan.FromMilliseconds(200), cancellationToken);
        }
    }

    // Null: nothing.
    private async Task<string?> MissingAsync(CancellationToken cancellationToken)
    {
        foreach (var node in nodes)
        {
            var status = await StatusAsync(node, cancellationToken);
            if (status.Count == 0) return $"the agent of node {node.Node} does not answer";
            if (status.FirstOrDefault(static one => one.Phase != WorkloadPhase.Ready) is { } one) return $"{one.Name} of node {node.Node} is not ready ({one.Reason})";
        }
        return await AnswersAsync(cancellationToken) ? null : "hello.rete does not answer";
    }

    // Empty while the agent does not answer.
    private static async Task<IReadOnlyList<WorkloadStatus>> StatusAsync(NodeProcess node, CancellationToken cancellationToken)
    {
        try
        {
            using var agent = new AgentClient(LocalAgent.ControlSocket(node.NodeFolder));
            return await agent.StatusAsync(cancellationToken);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return [];
        }
    }

    private async Task<bool> AnswersAsync(CancellationToken cancellationToken)
    {
        try
        {
            using var answer = await throughProxy.GetAsync(new Uri($"http://{LocalPlan.Service}.rete/"), cancellationToken);
            return answer.IsSuccessStatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException && !cancellationToken.IsCancellationRequested)
        {
            return false;
        }
    }

    private void PrintCommands()
    {
        var socket = Path.Combine(folder, "nodes", "a", "run", "flor.sock");
        var florctl = Environment.ProcessPath ?? "florctl";
        string Portal(string node) => Path.Combine(LocalFolder.NodeFolderOf(folder, node), "run", "you.portal");
        Console.WriteLine($"""
            Ready: hello.rete answers, {plan.Nodes - 1} {(plan.Nodes == 2 ? "hop" : "hops")} away. Paste these:
              curl -x socks5h://127.0.0.1:{plan.ProxyPort} http://hello.rete/
              curl -x http://127.0.0.1:{plan.ProxyPort} http://hello.rete/
              curl -x socks5h://127.0.0.1:{plan.ProxyPort} -o /dev/null http://hello.rete/bytes/1000000000
              {programs.Flor} status --control {socket}
              {programs.Flor} trace hello.rete --control {socket}
            What one node stores, all have:
              echo '"hello"' | {florctl} store put notes/greeting - --portal {Portal("a")}
              {florctl} store get notes/greeting --portal {Portal(plan.Names.Last())}
            What is there, and what runs on a node:
              {florctl} get nodes --control {socket}
              {florctl} status --control {socket}
              {programs.Agent} status --control {LocalAgent.ControlSocket(LocalFolder.NodeFolderOf(folder, "a"))}
            Ctrl-C stops everything.
            """);
    }

    private async Task WatchAsync(CancellationToken cancellationToken)
    {
        if (Console.IsOutputRedirected)
        {
            while (true) await TickAsync(cancellationToken);
        }
        await AnsiConsole.Live(await TableAsync(cancellationToken)).StartAsync(async live =>
        {
            while (true)
            {
                await TickAsync(cancellationToken);
                live.UpdateTarget(await TableAsync(cancellationToken));
            }
        });
    }

    // A node that ended is started again: the others bridge the gap, as in a real cluster.
    private async Task TickAsync(CancellationToken cancellationToken)
    {
        await Task.Delay(Refresh, cancellationToken);
        for (var i = 0; i < nodes.Count; i++)
        {
            if (nodes[i].ExitCode is not { } code) continue;
            var name = nodes[i].Node;
            if (Console.IsOutputRedirected) Console.WriteLine($"The agent of node {name} has ended with code {code}; it is started again.");
            restarts[name] = restarts.GetValueOrDefault(name) + 1;
            await Task.Delay(RestartAfter, cancellationToken);
            nodes[i].Dispose();
            nodes[i] = Start(name);
        }
    }

    private async Task<Table> TableAsync(CancellationToken cancellationToken)
    {
        var watch = Stopwatch.StartNew();
        var answers = await AnswersAsync(cancellationToken);
        var rows = new List<(string Node, string Program, int Id, int Restarts, string State)>();
        foreach (var node in nodes)
        {
            rows.Add((node.Node, "agent", node.Known.Id, restarts.GetValueOrDefault(node.Node), node.Known.IsAlive ? "runs" : "ended"));
            foreach (var one in await StatusAsync(node, cancellationToken))
            {
                rows.Add((node.Node, one.Name, one.ProcessId ?? 0, one.Restarts, one.Phase == WorkloadPhase.Ready ? "ready" : $"{one.Phase.ToString().ToLowerInvariant()}: {one.Reason}"));
            }
        }
        var table = LocalStatus.Table(rows);
        table.Caption = new TableTitle(answers ? $"hello.rete answers in {watch.Elapsed.TotalMilliseconds:0.0} ms" : "hello.rete does not answer");
        return table;
    }
}
