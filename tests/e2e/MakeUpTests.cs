using Florete.EndToEnd.Tests.Harness;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>`make up`: what a newcomer types first.</summary>
public sealed class MakeUpTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData("line", 3)]
    [InlineData("ring", 4)]
    public async Task A_local_cluster_comes_up_and_its_pasted_command_works_and_an_interrupt_leaves_nothing(string topology, int nodes)
    {
        await using var lab = await Lab.OpenAsync(output);

        // A namespace, so that the ports of this machine stay free.
        var network = await lab.NetworkAsync("up");
        var up = lab.Start("florctl local up", network,
            [Programs.Florctl, "local", "up", "--nodes", $"{nodes}", "--topology", topology, "--dir", Path.Combine(lab.Folder, "local")]);
        var pasted = "";
        await Eventually.HoldsAsync("a command to paste is printed", () =>
        {
            if (up.Died)
            {
                throw new HopelessException(up.Log);
            }

            pasted = up.Log.Split('\n').Select(line => line.Trim()).FirstOrDefault(line => line.StartsWith("curl ", StringComparison.Ordinal)) ?? "";
            return pasted.Length > 0;
        }, () => up.Log);
        var answer = (await Command.ShellAsync(network, pasted)).Succeeded();
        Assert.Contains("Hello", answer.Output, StringComparison.Ordinal);

        // What is stored through the first node is read through the last.
        string Printed(string part) => up.Log.Split('\n').Select(line => line.Trim()).Single(line => line.Contains(part, StringComparison.Ordinal));
        _ = (await Command.ShellAsync(network, Printed("store put"))).Succeeded();
        await Eventually.HoldsAsync("the last node has it", async () => (await Command.ShellAsync(network, Printed("store get"))).Output.Trim() == "\"hello\"", () => up.Log);
        Assert.Contains("storage", (await Command.ShellAsync(network, Printed("florete-agent status"))).Succeeded().Output, StringComparison.Ordinal);
        // Every node knows of all the others, and each is ready: what the control plane puts on every node is there.
        var known = (await Command.ShellAsync(network, Printed("get nodes"))).Succeeded().Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(nodes + 1, known.Length);
        Assert.All(known.Skip(1), static line => Assert.Contains(" Ready ", line, StringComparison.Ordinal));
        Assert.Contains($"{nodes}/{nodes} ready", (await Command.ShellAsync(network, Printed("florctl status"))).Succeeded().Output, StringComparison.Ordinal);
        var running = (await Command.RunAsync(network, [Programs.Florctl, "local", "status", "--dir", Path.Combine(lab.Folder, "local")])).Succeeded();
        Assert.Contains("a", running.Output, StringComparison.Ordinal);

        // Ctrl-C.
        Assert.Equal(0, Interrupt(up.Id));
        _ = await up.WaitAsync();
        var left = (await Command.RunAsync(null, ["ip", "netns", "pids", network.Name])).Succeeded();
        Assert.Equal("", left.Output.Trim());
    }

    [Fact]
    public async Task When_it_is_killed_its_agents_stop_everything()
    {
        await using var lab = await Lab.OpenAsync(output);
        var network = await lab.NetworkAsync("up");
        var up = lab.Start("florctl local up", network, [Programs.Florctl, "local", "up", "--nodes", "2", "--dir", Path.Combine(lab.Folder, "local")]);
        await Eventually.HoldsAsync("the cluster is ready", () => up.Died ? throw new HopelessException(up.Log) : up.Log.Contains("Ready:", StringComparison.Ordinal), () => up.Log);
        Assert.Equal(0, Native.Kill(up.Id, Native.Sigkill));
        await Eventually.HoldsAsync("nothing runs", async () => (await Command.RunAsync(null, ["ip", "netns", "pids", network.Name])).Succeeded().Output.Trim().Length == 0);
    }

    private static int Interrupt(int pid) => Native.Kill(pid, Native.Sigint);
}
