using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>
/// The network and the programs of one test: namespaces joined by veth pairs (MTU 1500, offloads as the kernel gives them) or by wires
/// that impair. Disposal ends every program, removes every namespace, and writes the logs' tails to the test's output.
/// </summary>
public sealed class Lab : IAsyncDisposable
{
    private static readonly char[] ShownEndings = ['\n', ' '];
    private readonly ITestOutputHelper output;
    private readonly List<NetworkNamespace> networks = [];
    private readonly List<ManagedProcess> processes = [];
    private readonly List<IDisposable> others = [];
    private int serial;

    private Lab(ITestOutputHelper output)
    {
        this.output = output;
        Folder = Directory.CreateTempSubdirectory($"flore2e-{Environment.ProcessId}-").FullName;
    }

    /// <summary>Where the test keeps its files; removed at its end.</summary>
    public string Folder { get; }

    /// <summary>An empty lab, after the leftovers of dead runs are gone.</summary>
    public static async Task<Lab> OpenAsync(ITestOutputHelper output)
    {
        await NetworkNamespace.SweepAsync();
        foreach (var folder in Directory.GetDirectories(Path.GetTempPath(), "flore2e-*"))
        {
            var owner = Path.GetFileName(folder).Split('-')[1];
            if (!Directory.Exists($"/proc/{owner}"))
            {
                Directory.Delete(folder, recursive: true);
            }
        }

        return new Lab(output);
    }

    /// <summary>A line of the test's output. `measured: …` is shown at the end of `make test`.</summary>
    public void Say(string line) => output.WriteLine(line);

    public async Task<NetworkNamespace> NetworkAsync(string name)
    {
        var made = await NetworkNamespace.CreateAsync($"{serial++}-{name}");
        networks.Add(made);
        return made;
    }

    /// <summary>Joins two namespaces by a veth pair, 10.77.N.1/24 and 10.77.N.2/24, N being the number of the cable.</summary>
    public async Task<Cable> CableAsync(NetworkNamespace left, NetworkNamespace right, Impairment? impairment = null)
    {
        ArgumentNullException.ThrowIfNull(left);
        ArgumentNullException.ThrowIfNull(right);
        var number = ++serial;
        var device = $"u{number}";
        Wire? wire = null;
        if (impairment is null)
        {
            _ = (await Command.RunAsync(null,
                ["ip", "link", "add", device, "mtu", "1500", "netns", left.Name, "type", "veth", "peer", "name", device, "mtu", "1500", "netns", right.Name])).Succeeded();
        }
        else
        {
            var middle = await NetworkAsync("wire");
            foreach (var (end, inner) in new[] { (left, "w0"), (right, "w1") })
            {
                _ = (await Command.RunAsync(null,
                    ["ip", "link", "add", device, "mtu", "1500", "netns", end.Name, "type", "veth", "peer", "name", inner, "mtu", "1500", "netns", middle.Name])).Succeeded();
                await middle.IpAsync("link", "set", inner, "up");

                // A wire carries frames, so the sending kernel cuts its batches into frames before they reach it.
                await end.IpAsync("link", "set", device, "gso_max_segs", "1");
            }

            wire = new Wire(middle, "w0", "w1", impairment);
            others.Add(wire);
        }

        var cable = new Cable(number, device, left, right, wire);
        await left.IpAsync("addr", "add", $"{cable.LeftAddress}/24", "dev", device);
        await right.IpAsync("addr", "add", $"{cable.RightAddress}/24", "dev", device);
        await left.IpAsync("link", "set", device, "up");
        await right.IpAsync("link", "set", device, "up");
        return cable;
    }

    /// <summary>Starts a program that lives until it is stopped, at the latest at the end of the test.</summary>
    public ManagedProcess Start(string name, NetworkNamespace? network, IReadOnlyList<string> command,
        string? folder = null, IReadOnlyDictionary<string, string>? environment = null)
    {
        var started = ManagedProcess.Start(name, network, command, folder ?? Folder, environment);
        processes.Add(started);
        return started;
    }

    /// <summary>Hands something over that ends with the test.</summary>
    public T Own<T>(T owned)
        where T : IDisposable
    {
        others.Add(owned);
        return owned;
    }

    public async ValueTask DisposeAsync()
    {
        // Side by side, as each waits for its own.
        var states = processes.ConvertAll(static process => process.Died ? $"had died with {process.ExitCode}" : "was running");
        _ = await Task.WhenAll(processes.Select(static process => process.StopAsync()));
        for (var i = processes.Count - 1; i >= 0; i--)
        {
            var process = processes[i];
            await process.DisposeAsync();
            output.WriteLine($"--- {process.Name} ({states[i]}), last lines:");
            output.WriteLine(string.Join('\n', process.Log.Split('\n').TakeLast(40)).TrimEnd(ShownEndings));
        }

        for (var i = others.Count - 1; i >= 0; i--)
        {
            others[i].Dispose();
        }

        foreach (var network in networks)
        {
            await network.DisposeAsync();
        }

        Directory.Delete(Folder, recursive: true);
    }
}

/// <summary>What joins two namespaces. Both ends have the same device name.</summary>
public sealed record Cable(int Number, string Device, NetworkNamespace Left, NetworkNamespace Right, Wire? Wire)
{
    public string LeftAddress => $"10.77.{Number}.1";

    public string RightAddress => $"10.77.{Number}.2";

    /// <summary>Takes the left end's device down, so that both ends lose their carrier.</summary>
    public Task CutAsync() => Left.IpAsync("link", "set", Device, "down");

    public Task MendAsync() => Left.IpAsync("link", "set", Device, "up");

    /// <summary>Nothing passes either way any more, and neither end is told.</summary>
    public async Task SilenceAsync(bool on = true)
    {
        await Left.SilenceAsync(Device, on);
        await Right.SilenceAsync(Device, on);
    }

    public string AddressOf(NetworkNamespace end) => ReferenceEquals(end, Left) ? LeftAddress : RightAddress;
}
