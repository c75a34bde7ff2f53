using Florete.EndToEnd.Tests.Harness;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>
/// `docker compose up` on a machine that can pull no image: the base images are made by debootstrap once and kept, and Docker's daemon lives
/// in namespaces of its own, with its own folders and socket, so that nothing of it outlives the test.
/// </summary>
[Trait("Lane", "1")]
public sealed class ComposeTests(ITestOutputHelper output)
{
    // debootstrap, two imports and a build from scratch on a small machine.
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    [Fact]
    public async Task Compose_brings_three_nodes_up_and_the_pasted_command_reaches_the_service()
    {
        await using var lab = await Lab.OpenAsync(output);
        var network = await lab.NetworkAsync("docker");
        var socket = $"unix://{lab.Folder}/docker.sock";
        var daemon = await StartDaemonAsync(lab, network, socket);
        var environment = new Dictionary<string, string> { ["DOCKER_HOST"] = socket, ["COMPOSE_PROJECT_NAME"] = "flore2e", ["DOCKER_BUILDKIT"] = "0" };

        async Task<CommandResult> RunAsync(params string[] command) =>
            (await Command.RunAsync(network, command, Patience, Programs.Repository, environment)).Succeeded();

        var images = Path.Combine(Environment.GetEnvironmentVariable("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "florete", "images");
        (await Command.RunAsync(null, [Path.Combine(Programs.Repository, "scripts", "base-images.sh"), images], Patience)).Succeeded();
        await RunAsync("docker", "import", Path.Combine(images, "debian.tar"), "debian:trixie-slim");
        await RunAsync("docker", "import", "--change", "ENV DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1", Path.Combine(images, "sdk.tar"), "mcr.microsoft.com/dotnet/sdk:10.0");
        await RunAsync("docker-compose", "build");
        try
        {
            await RunAsync("docker-compose", "up", "-d");
            await Eventually.HoldsAsync(
                "the commands to paste are printed",
                async () => (await RunAsync("docker-compose", "logs", "--no-color", "ready")).Output.Contains("socks5h://127.0.0.1:1080", StringComparison.Ordinal),
                () => daemon.Log);
            var said = (await RunAsync("docker-compose", "logs", "--no-color", "--no-log-prefix", "ready")).Output;
            var pasted = said.Split('\n').Select(line => line.Trim()).First(line => line.StartsWith("curl -x socks5h", StringComparison.Ordinal));
            var answer = (await Command.ShellAsync(network, pasted.Replace("curl ", "curl -sSf ", StringComparison.Ordinal))).Succeeded();
            Assert.Contains("Hello", answer.Output, StringComparison.Ordinal);

            var byHttp = (await Command.ShellAsync(network, "curl -sSf -x http://127.0.0.1:1080 http://hello.rete/bytes/100000000 | wc -c")).Succeeded();
            Assert.Equal("100000000", byHttp.Output.Trim());

            // The hop is real: without b there is no way.
            await RunAsync("docker-compose", "kill", "b");
            var cut = await Command.ShellAsync(network, "curl -sS -m 3 -x socks5h://127.0.0.1:1080 http://hello.rete/");
            Assert.NotEqual(0, cut.ExitCode);
            await RunAsync("docker-compose", "start", "b");
            await Eventually.HoldsAsync(
                "the service is back with b",
                async () => (await Command.ShellAsync(network, "curl -sSf -m 5 -x socks5h://127.0.0.1:1080 http://hello.rete/")).ExitCode == 0);
        }
        finally
        {
            var logs = await Command.RunAsync(network, ["docker-compose", "logs", "--no-color", "--tail", "30"], Patience, Programs.Repository, environment);
            output.WriteLine(logs.Output);
            _ = await Command.RunAsync(network, ["docker-compose", "down", "-v", "-t", "10"], Patience, Programs.Repository, environment);
        }
    }

    private static async Task<ManagedProcess> StartDaemonAsync(Lab lab, NetworkNamespace network, string socket)
    {
        // Its own process namespace: when its first process ends, so do all containers. Not `ip netns exec`, which hides the control groups.
        var daemon = lab.Start("dockerd", null,
        [
            "nsenter", $"--net=/run/netns/{network.Name}", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
            "dockerd", "--data-root", $"{lab.Folder}/docker", "--exec-root", $"{lab.Folder}/exec", "-p", $"{lab.Folder}/docker.pid",
            "-H", socket, "--bridge=none",
        ]);
        await Eventually.HoldsAsync(
            "the daemon answers",
            async () => (await Command.RunAsync(null, ["docker", "-H", socket, "info"])).ExitCode == 0,
            () => daemon.Log);
        return daemon;
    }
}
