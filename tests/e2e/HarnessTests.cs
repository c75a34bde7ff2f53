using System.Net;
using System.Net.Sockets;
using Florete.EndToEnd.Tests.Harness;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>The harness does what the other tests take for granted.</summary>
public sealed class HarnessTests(ITestOutputHelper output)
{
    [Fact]
    public async Task Two_namespaces_reach_each_other_and_nothing_is_left_afterwards()
    {
        string[] names;
        await using (var lab = await Lab.OpenAsync(output))
        {
            var (left, right) = (await lab.NetworkAsync("l"), await lab.NetworkAsync("r"));
            var cable = await lab.CableAsync(left, right);
            names = [left.Name, right.Name];
            Assert.Equal(100, await EchoAsync(left, right, cable.RightAddress, 100));
        }

        var rest = await Command.RunAsync(null, ["ip", "netns", "list"]);
        Assert.DoesNotContain(names, name => rest.Output.Contains(name, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_cut_and_a_silence_stop_traffic_and_can_be_undone()
    {
        await using var lab = await Lab.OpenAsync(output);
        var (left, right) = (await lab.NetworkAsync("l"), await lab.NetworkAsync("r"));
        var cable = await lab.CableAsync(left, right);
        await cable.CutAsync();
        Assert.Equal(0, await EchoAsync(left, right, cable.RightAddress, 5));
        await cable.MendAsync();
        Assert.Equal(20, await EchoAsync(left, right, cable.RightAddress, 20));
        await cable.SilenceAsync();
        Assert.Equal(0, await EchoAsync(left, right, cable.RightAddress, 5));
        await cable.SilenceAsync(on: false);
        Assert.Equal(20, await EchoAsync(left, right, cable.RightAddress, 20));
    }

    [Fact]
    public async Task A_wire_loses_repeats_and_delays_about_what_it_is_told()
    {
        await using var lab = await Lab.OpenAsync(output);
        var (left, right) = (await lab.NetworkAsync("l"), await lab.NetworkAsync("r"));
        var cable = await lab.CableAsync(left, right, Impairment.None);
        Assert.Equal(200, await EchoAsync(left, right, cable.RightAddress, 200));

        cable.Wire!.Impairment = new Impairment { Loss = 0.2 };
        Assert.InRange(await EchoAsync(left, right, cable.RightAddress, 500), 240, 400);

        cable.Wire.Impairment = new Impairment { Duplication = 0.5 };
        Assert.InRange(await EchoAsync(left, right, cable.RightAddress, 200), 350, 650);

        cable.Wire.Impairment = new Impairment { Delay = TimeSpan.FromMilliseconds(20), Jitter = TimeSpan.FromMilliseconds(5), Reordering = 0.1 };
        Assert.Equal(200, await EchoAsync(left, right, cable.RightAddress, 200));

        cable.Wire.Impairment = new Impairment { Rate = 1_000_000 };
        Assert.Equal(20, await EchoAsync(left, right, cable.RightAddress, 20));
    }

    [Fact]
    public async Task A_wire_carries_large_transfers_unharmed()
    {
        await using var lab = await Lab.OpenAsync(output);
        var (left, right) = (await lab.NetworkAsync("l"), await lab.NetworkAsync("r"));
        var cable = await lab.CableAsync(left, right, Impairment.None);
        var content = lab.Own(new ContentServer(right, 8080));
        var got = (await Command.ShellAsync(left, $"curl -sS http://{cable.RightAddress}:8080/bytes/100000000 | sha256sum")).Succeeded();
        Assert.StartsWith(ContentServer.Checksum(100_000_000), got.Output, StringComparison.Ordinal);
        lab.Say($"wire: {100_000_000 * 8 / got.Took.TotalSeconds / 1e6:0} Mbit/s of TCP");
    }

    [Fact]
    public async Task A_process_is_stopped_when_asked_and_killed_when_it_does_not_listen()
    {
        await using var lab = await Lab.OpenAsync(output);
        var network = await lab.NetworkAsync("n");
        var polite = lab.Start("polite", network, ["sleep", "1000"]);
        Assert.True(await polite.StopAsync());
        Assert.True(polite.HasExited);
        Assert.False(polite.Died);

        var loud = lab.Start("loud", network, ["bash", "-c", "for i in $(seq 1000); do echo line $i; done; sleep 1000"]);
        await Eventually.HoldsAsync("the last line is kept", () => loud.Log.EndsWith("line 1000", StringComparison.Ordinal));
        Assert.DoesNotContain("line 1\n", loud.Log, StringComparison.Ordinal);
        await loud.KillAsync();
        Assert.True(loud.HasExited);
    }

    [Fact]
    public async Task An_injector_repeats_and_alters_what_it_has_heard()
    {
        await using var lab = await Lab.OpenAsync(output);
        var (left, right) = (await lab.NetworkAsync("l"), await lab.NetworkAsync("r"));
        var cable = await lab.CableAsync(left, right);
        using var server = right.Enter(() => new UdpClient(new IPEndPoint(IPAddress.Any, 9)));
        using var client = left.Enter(() => new UdpClient(new IPEndPoint(IPAddress.Any, 0)));
        using var injector = new Injector(cable, right);
        var sent = new byte[500];
        _ = await client.SendAsync(sent, new IPEndPoint(IPAddress.Parse(cable.RightAddress), 9));
        var first = await server.ReceiveAsync().WaitAsync(Eventually.Deadline);
        injector.Capture(1, 9);
        injector.Inject(1, flip: false, perSecond: 1000);
        var again = await server.ReceiveAsync().WaitAsync(Eventually.Deadline);
        Assert.Equal(first.RemoteEndPoint, again.RemoteEndPoint);
        Assert.Equal(sent, again.Buffer);
        injector.Inject(1, flip: true, perSecond: 1000);
        var altered = await server.ReceiveAsync().WaitAsync(Eventually.Deadline);
        Assert.Equal(first.RemoteEndPoint, altered.RemoteEndPoint);
        Assert.Equal(1, altered.Buffer.Sum(octet => int.PopCount(octet)));
    }

    /// <summary>Sends so many datagrams and counts the answers; in waves, so that no queue decides.</summary>
    private static async Task<int> EchoAsync(NetworkNamespace left, NetworkNamespace right, string address, int count)
    {
        using var server = right.Enter(() => new UdpClient(new IPEndPoint(IPAddress.Any, 7)));
        using var client = left.Enter(() => new UdpClient(new IPEndPoint(IPAddress.Any, 0)));
        using var end = new CancellationTokenSource();
        var serving = Task.Run(async () =>
        {
            while (!end.IsCancellationRequested)
            {
                var got = await server.ReceiveAsync(end.Token);
                _ = await server.SendAsync(got.Buffer, got.RemoteEndPoint, end.Token);
            }
        });
        var to = new IPEndPoint(IPAddress.Parse(address), 7);
        var answers = 0;
        for (var sent = 0; sent < count; sent++)
        {
            try
            {
                _ = await client.SendAsync(new byte[1000], to);
            }
            catch (SocketException)
            {
                // A cut cable refuses; that is no answer.
            }

            if (sent % 10 == 9 || sent == count - 1)
            {
                // Long enough for 10 frames of 1 KB to go and return over 1 Mbit/s.
                var quiet = TimeSpan.FromMilliseconds(200);
                while (true)
                {
                    using var wait = new CancellationTokenSource(quiet);
                    try
                    {
                        _ = await client.ReceiveAsync(wait.Token);
                        answers++;
                        quiet = TimeSpan.FromMilliseconds(answers >= sent + 1 ? 1 : 60);
                    }
                    catch (OperationCanceledException)
                    {
                        break;
                    }
                }
            }
        }

        await end.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => serving);
        return answers;
    }
}
