using System.CommandLine;
using Spectre.Console;

namespace Florete.Cli.Local;

/// <summary><c>florctl local up|down|status</c></summary>
internal static class LocalCommand
{
    // The florctl of `up` gives its nodes 30 s, all at once.
    private static readonly TimeSpan DownWithin = TimeSpan.FromSeconds(40);

    public static Command Create() => new("local", "A cluster on this machine.") { Up(), Down(), Status(), Sample() };

    private static Option<string> Folder() => new("--dir")
    {
        Description = "The folder of the local cluster.",
        DefaultValueFactory = _ => Path.Combine(".florete", "local"),
    };

    private static Command Up()
    {
        var nodes = new Option<int>("--nodes") { Description = "How many nodes.", DefaultValueFactory = _ => 3 };
        var topology = new Option<Topology>("--topology") { Description = "line or ring.", DefaultValueFactory = _ => Topology.Line };
        var basePort = new Option<int>("--base-port") { Description = "UDP port of the first node; the others follow.", DefaultValueFactory = _ => 7431 };
        var proxyPort = new Option<int>("--proxy-port") { Description = "TCP port of the proxy on node a.", DefaultValueFactory = _ => 1080 };
        var flor = new Option<string?>("--flor") { Description = "The flor program; unless told, the one built or installed beside florctl, or in PATH." };
        var folder = Folder();
        var up = new Command("up", "Starts a cluster on this machine, and stops it on Ctrl-C.") { nodes, topology, folder, flor, basePort, proxyPort };
        up.SetAction(async (parsed, cancellationToken) =>
        {
            var plan = new LocalPlan(parsed.GetValue(nodes), parsed.GetValue(topology), parsed.GetValue(basePort), parsed.GetValue(proxyPort)).Validated();
            using var cluster = new LocalCluster(Path.GetFullPath(parsed.GetValue(folder)!), plan, LocalPrograms.Look(parsed.GetValue(flor)));
            await cluster.RunAsync(cancellationToken);
            return 0;
        });
        return up;
    }

    private static Command Down()
    {
        var folder = Folder();
        var down = new Command("down", "Stops the cluster on this machine, or what is left of it.") { folder };
        down.SetAction(async (parsed, _) =>
        {
            var at = Path.GetFullPath(parsed.GetValue(folder)!);
            var list = new ProcessList(at);
            var running = list.Running;
            await list.StopAllAsync(DownWithin);
            await LocalCluster.StopNodesAsync(at, BuiltProgram.Agent.Find());
            Console.WriteLine(running.Count == 0 ? "Nothing runs." : $"Stopped: {string.Join(", ", running.Select(process => process.Name))}.");
            return 0;
        });
        return down;
    }

    private static Command Status()
    {
        var (folder, json) = (Folder(), CommonOptions.Json());
        var status = new Command("status", "Says what of the cluster on this machine runs.") { folder, json };
        status.SetAction(parsed =>
        {
            var running = new ProcessList(Path.GetFullPath(parsed.GetValue(folder)!)).Running;
            if (parsed.GetValue(json))
            {
                CommonOptions.PrintJson(running.Select(process => new { process.Name, Process = process.Id, LocalStatus.Usage(process.Id).MemoryBytes }).ToArray());
            }
            else if (running.Count == 0) Console.WriteLine("Nothing runs. Start it with: florctl local up");
            else AnsiConsole.Write(LocalStatus.Table(running.Select(static process => (process.Name, process.Name == "florctl" ? "florctl" : "agent", process.Id, 0, "runs"))));
            return running.Count == 0 ? 1 : 0;
        });
        return status;
    }

    private static Command Sample()
    {
        var port = new Option<int>("--port") { Description = "TCP port of 127.0.0.1.", DefaultValueFactory = _ => 8080 };
        var node = new Option<string>("--node") { Description = "The node that its greeting names.", DefaultValueFactory = _ => "c" };
        var sample = new Command("sample", "Runs the sample web service alone, until Ctrl-C; for clusters made by other means.") { port, node };
        sample.SetAction(async (parsed, cancellationToken) =>
        {
            await using var running = await SampleService.StartAsync(parsed.GetValue(port), parsed.GetValue(node)!, cancellationToken);
            Console.WriteLine($"The sample web service listens at 127.0.0.1:{parsed.GetValue(port)}.");
            await Task.Delay(Timeout.Infinite, cancellationToken).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            return 0;
        });
        return sample;
    }
}
