using System.Globalization;
using System.Text.RegularExpressions;
using Florete.EndToEnd.Tests.Harness;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>Programs that people use, unchanged, across two hops.</summary>
public sealed partial class RealClientsTests(ITestOutputHelper output)
{
    private const long Gigabyte = 1L << 30;

    // A gigabyte at 40 Mbit/s: slower than any machine that this is run on.
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(4);

    [Theory]
    [InlineData("-x socks5h://127.0.0.1:1080")]
    [InlineData("-x http://127.0.0.1:1080")]
    [InlineData("-x http://127.0.0.1:1080 --proxytunnel")]
    public async Task Curl_fetches_a_gigabyte_through_the_proxy(string options)
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line);
        var got = (await Command.ShellAsync(cluster.First.Network, $"curl -sSf {options} http://hello.rete/bytes/{Gigabyte} | sha256sum", Patience)).Succeeded();
        Assert.StartsWith(ContentServer.Checksum(Gigabyte), got.Output, StringComparison.Ordinal);
        lab.Say($"measured: curl {options} over two hops: {Gigabyte * 8 / got.Took.TotalSeconds / 1e6:0} Mbit/s");
    }

    [Fact]
    public async Task Ssh_runs_commands_and_scp_copies_files_both_ways()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.PrepareAsync(lab, Plan.Line with { Services = [("ssh", "c", 2222)], Forwards = [(2200, "ssh")] });
        await StartSshServerAsync(lab, cluster["c"].Network);
        await cluster.RunAsync();
        var near = cluster.First.Network;
        const string options = "-F none -i id -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -o LogLevel=ERROR";

        var spoken = (await Command.ShellAsync(near, $"ssh {options} -p 2200 root@127.0.0.1 'echo it is $((6 * 7))'", folder: lab.Folder)).Succeeded();
        Assert.Equal("it is 42\n", spoken.Output);

        await Command.ShellAsync(near, "head -c 200000000 /dev/urandom > sent", folder: lab.Folder);
        (await Command.ShellAsync(near, $"scp -q {options} -P 2200 sent root@127.0.0.1:{lab.Folder}/there", Patience, lab.Folder)).Succeeded();
        (await Command.ShellAsync(near, $"scp -q {options} -P 2200 root@127.0.0.1:{lab.Folder}/there back", Patience, lab.Folder)).Succeeded();
        (await Command.ShellAsync(near, "cmp sent there && cmp sent back", folder: lab.Folder)).Succeeded();
    }

    [Fact]
    [Trait("Lane", "2")]
    public async Task Pgbench_runs_for_thirty_seconds_without_a_failed_transaction()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.PrepareAsync(lab, Plan.Line with { Services = [("postgres", "c", 5432)], Forwards = [(15432, "postgres")] });
        await StartPostgresAsync(lab, cluster["c"].Network);
        await cluster.RunAsync();
        const string to = "-h 127.0.0.1 -p 15432 -U postgres";
        (await Command.ShellAsync(cluster.First.Network, $"pgbench {to} -q -i -s 2 postgres", Patience)).Succeeded();
        var run = (await Command.ShellAsync(cluster.First.Network, $"pgbench {to} -T 30 -c 8 -j 2 postgres", Patience)).Succeeded();
        Assert.Contains("number of failed transactions: 0 ", run.Output, StringComparison.Ordinal);
        var done = int.Parse(ProcessedTransactions().Match(run.Output).Groups[1].Value, CultureInfo.InvariantCulture);
        Assert.True(done > 0);
        lab.Say($"measured: pgbench, 8 clients over two hops, 30 s: {done} transactions");
    }

    [Fact]
    public async Task Five_hundred_connections_are_open_at_once_and_each_gets_its_bytes()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line);
        var server = cluster.Content;
        var clients = await Task.WhenAll(Enumerable.Range(0, 500).Select(_ => SocksClient.ConnectAsync(cluster.First.Network, "hello.rete", 80)));
        await Eventually.HoldsAsync("500 connections are open", () => server.Open == 500, () => $"{server.Open} are.");
        const long size = 1_000_000;
        var expected = ContentServer.Checksum(size);
        var downloads = await Task.WhenAll(clients.Select(async client => await client.ReadAsync(await client.GetAsync($"/bytes/{size}"))))
            .WaitAsync(Patience);
        Assert.All(downloads, download => Assert.Equal(expected, download.Checksum));
        Array.ForEach(clients, client => client.Dispose());
        await Eventually.HoldsAsync("all are closed", () => server.Open == 0, () => $"{server.Open} are open.");
    }

    [Fact]
    public async Task One_live_reader_is_served_beside_499_that_stall()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line);
        var server = cluster.Content;
        var before = cluster.Nodes.Sum(node => node.Process!.ResidentBytes);
        var stalled = await Task.WhenAll(Enumerable.Range(0, 499).Select(async _ =>
        {
            var client = lab.Own(await SocksClient.ConnectAsync(cluster.First.Network, "hello.rete", 80));
            Assert.Equal(Gigabyte, await client.GetAsync($"/bytes/{Gigabyte}"));
            return client;
        }));
        Assert.Equal(499, server.Open);

        const long size = 200_000_000;
        var got = (await Command.ShellAsync(cluster.First.Network, $"curl -sSf -x socks5h://127.0.0.1:1080 http://hello.rete/bytes/{size} | sha256sum", Patience)).Succeeded();
        Assert.StartsWith(ContentServer.Checksum(size), got.Output, StringComparison.Ordinal);
        var grown = cluster.Nodes.Sum(node => node.Process!.ResidentBytes) - before;
        lab.Say($"measured: beside 499 stalled readers: {size * 8 / got.Took.TotalSeconds / 1e6:0} Mbit/s, memory of all nodes grew by {grown / 1e6:0} MB");

        // The stalled ones were only waiting.
        var late = new byte[1_000_000];
        Assert.True(await stalled[0].Socket.ReceiveAsync(late) > 0);
    }

    private static async Task StartSshServerAsync(Lab lab, NetworkNamespace network)
    {
        (await Command.ShellAsync(null, "ssh-keygen -q -t ed25519 -N '' -f host && ssh-keygen -q -t ed25519 -N '' -f id && cp id.pub authorized", folder: lab.Folder)).Succeeded();
        _ = lab.Start("sshd", network,
        [
            // Its fixed folder, in a mount namespace of its own.
            "bash", "-c",
            "mount -t tmpfs tmpfs /run && mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e -f /dev/null -p 2222 -o ListenAddress=127.0.0.1 "
            + $"-h {lab.Folder}/host -o UsePAM=no -o StrictModes=no -o PermitRootLogin=prohibit-password -o AuthorizedKeysFile={lab.Folder}/authorized "
            + "-o PidFile=none -o Subsystem='sftp internal-sftp'",
        ]);
        await PortAsync(network, 2222);
    }

    private static async Task StartPostgresAsync(Lab lab, NetworkNamespace network)
    {
        // The server refuses to run as root, so its user must be able to reach its data.
        (await Command.RunAsync(null, ["chmod", "711", lab.Folder])).Succeeded();
        var data = Directory.CreateDirectory(Path.Combine(lab.Folder, "postgres")).FullName;
        var programs = Path.GetDirectoryName(Directory.GetFiles("/usr/lib/postgresql", "initdb", SearchOption.AllDirectories).Order().Last())!;
        (await Command.ShellAsync(null, $"chown postgres {data} && runuser -u postgres -- {programs}/initdb -D {data} -A trust", folder: "/")).Succeeded();
        _ = lab.Start("postgres", network,
            ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", $"{programs}/postgres", "-D", data, "-k", data, "-p", "5432", "-c", "listen_addresses=127.0.0.1"],
            folder: data);
        await PortAsync(network, 5432);
    }

    private static Task PortAsync(NetworkNamespace network, int port) => Eventually.HoldsAsync(
        $"port {port} listens",
        async () => (await Command.ShellAsync(network, $"exec 3<>/dev/tcp/127.0.0.1/{port}")).ExitCode == 0);

    [GeneratedRegex(@"number of transactions actually processed: (\d+)")]
    private static partial Regex ProcessedTransactions();
}
