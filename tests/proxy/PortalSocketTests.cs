using System.Buffers;
using System.Text;
using Florete.Portals;
using Florete.PortalSocket;
using Florete.Proxy.Tests.Harness;

namespace Florete.Proxy.Tests;

/// <summary>Programs at portal sockets: of a node in this process, and of one that is killed.</summary>
public class PortalSocketTests
{
    private static readonly TimeSpan Prompt = TimeSpan.FromSeconds(10);

    private static string Portals => $"""
        portals:
          - identity: service/hello
            socket: run/hello.portal
            owner: {Environment.UserName}
          - identity: user/alice
            socket: run/alice.portal
            owner: {Environment.UserName}
        """;

    [Fact]
    public async Task A_stream_carries_bytes_both_ways_and_half_closes()
    {
        await using var node = await TestNode.StartAsync(Portals);
        var (hello, alice) = Clients(node);
        await using var publication = await hello.PublishAsync(new Acceptor(EchoAsync));
        await using var connection = await alice.ConnectAsync("hello.rete");
        var sent = WebServer.Content(3_000_000);
        var writing = WriteAsync(connection, sent);
        Assert.Equal(WebServer.Hash(sent), WebServer.Hash(await ReadToEndAsync(connection)));
        await writing;
        Assert.Null(connection.CloseReason);
        Assert.Equal(["service/hello"], await DiscoverAsync(alice));
    }

    [Fact]
    public async Task A_program_that_answers_before_it_has_read_all_ends_in_order()
    {
        await using var node = await TestNode.StartAsync(Portals);
        var (hello, alice) = Clients(node);
        await using var publication = await hello.PublishAsync(new Acceptor(static async connection =>
        {
            await connection.Stream!.Input.CompleteAsync();
            await connection.Stream.Output.WriteAsync("enough"u8.ToArray());
            await connection.Stream.Output.CompleteAsync();
        }));
        await using var connection = await alice.ConnectAsync("hello.rete");
        await connection.Stream!.Output.WriteAsync("more than it wants"u8.ToArray());
        Assert.Equal("enough", Encoding.ASCII.GetString(await ReadToEndAsync(connection)));
        await connection.Stream.Output.CompleteAsync();
        Assert.Null(connection.CloseReason);
    }

    [Fact]
    public async Task An_abort_on_the_other_side_is_no_end()
    {
        await using var node = await TestNode.StartAsync(Portals);
        await using var publication = await node.Portal.PublishAsync(new(node.Issue("service/hello")), new Acceptor(static async connection =>
        {
            await connection.Stream!.Output.WriteAsync("half of it"u8.ToArray());
            await connection.Stream.Input.ReadAsync();
            connection.Abort(new PortalException(PortalError.Closed, "stop"));
        }));
        await using var connection = await Clients(node).Alice.ConnectAsync("hello.rete");
        await connection.Stream!.Output.WriteAsync("go on"u8.ToArray());
        Assert.Equal(PortalError.Closed, (await Assert.ThrowsAsync<PortalException>(() => ReadToEndAsync(connection))).Error);
        Assert.NotNull(connection.CloseReason);
        Assert.True(connection.Closed.IsCancellationRequested);
    }

    [Fact]
    public async Task Nobody_there_and_nothing_published_are_told_apart()
    {
        await using var node = await TestNode.StartAsync(Portals);
        Assert.Equal(PortalError.NotFound, (await Assert.ThrowsAsync<PortalException>(() => Clients(node).Alice.ConnectAsync("nobody.rete"))).Error);
        var absent = new PortalSocketClient(Path.Combine(node.Folder, "run/none.portal"));
        var refusal = await Assert.ThrowsAsync<PortalException>(() => absent.ConnectAsync("hello.rete"));
        Assert.Equal(PortalError.Unreachable, refusal.Error);
        Assert.Contains("start it, or correct the path", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task When_flor_is_killed_all_that_waits_fails_at_once_and_works_again_when_it_is_back()
    {
        await using var node = TestNode.Prepare(Portals);
        var (hello, alice) = Clients(node);
        PortalPublication publication;
        PortalConnection idle, reading;
        Task<PortalConnection> connecting;
        Task discovering;
        using (var flor = new FlorProcess(node.ConfigFile))
        {
            var asked = new SemaphoreSlim(0);
            var calls = 0;
            publication = await RetryAsync(() => hello.PublishAsync(new Acceptor(EchoAsync, async () =>
            {
                // The first two are taken, the third is thought about for ever.
                asked.Release();
                if (Interlocked.Increment(ref calls) > 2) await Task.Delay(Timeout.Infinite);
            })));
            idle = await RetryAsync(() => alice.ConnectAsync("hello.rete"));
            reading = await alice.ConnectAsync("hello.rete");
            await reading.Stream!.Output.WriteAsync("there and back"u8.ToArray());
            var echoed = await reading.Stream.Input.ReadAtLeastAsync(14);
            Assert.Equal("there and back", Encoding.ASCII.GetString(echoed.Buffer.ToArray()));
            reading.Stream.Input.AdvanceTo(echoed.Buffer.End);
            var found = new TaskCompletionSource();
            discovering = WatchAsync(alice, found);
            await found.Task.WaitAsync(Prompt);
            connecting = alice.ConnectAsync("hello.rete", new ConnectOptions(Timeout: TimeSpan.FromMinutes(5)));
            for (var i = 0; i < 3; i++) await asked.WaitAsync(Prompt);
            flor.Kill();
        }
        Assert.Equal(PortalError.Closed, (await Assert.ThrowsAsync<PortalException>(() => connecting.WaitAsync(Prompt))).Error);
        Assert.Equal(PortalError.Closed, (await Assert.ThrowsAsync<PortalException>(() => discovering.WaitAsync(Prompt))).Error);
        Assert.Equal(PortalError.Closed, (await publication.Ended.WaitAsync(Prompt))!.Error);
        Assert.Equal(PortalError.Closed, (await Assert.ThrowsAsync<PortalException>(() => ReadToEndAsync(reading).WaitAsync(Prompt))).Error);
        Assert.Equal(PortalError.Closed, (await Assert.ThrowsAsync<PortalException>(() => WriteAsync(idle, new byte[10])).WaitAsync(Prompt)).Error);
        foreach (var connection in new[] { idle, reading })
        {
            Assert.True(connection.Closed.IsCancellationRequested);
            Assert.Contains("flor ended", connection.CloseReason!.Message, StringComparison.Ordinal);
            await connection.DisposeAsync();
        }
        await publication.DisposeAsync();
        Assert.Equal(PortalError.Unreachable, (await Assert.ThrowsAsync<PortalException>(() => alice.ConnectAsync("hello.rete").WaitAsync(Prompt))).Error);

        using var again = new FlorProcess(node.ConfigFile);
        await using var published = await RetryAsync(() => hello.PublishAsync(new Acceptor(EchoAsync)));
        await using var anew = await RetryAsync(() => alice.ConnectAsync("hello.rete"));
        var writing = WriteAsync(anew, WebServer.Content(100_000));
        Assert.Equal(100_000, (await ReadToEndAsync(anew)).Length);
        await writing;
    }

    private static (PortalSocketClient Hello, PortalSocketClient Alice) Clients(TestNode node) =>
        (new(Path.Combine(node.Folder, "run/hello.portal")), new(Path.Combine(node.Folder, "run/alice.portal")));

    // As programs do while flor starts.
    private static async Task<T> RetryAsync<T>(Func<Task<T>> ask)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            try
            {
                return await ask();
            }
            catch (PortalException e) when (e.Error is PortalError.Unreachable or PortalError.NotFound)
            {
                await Task.Delay(50, patience.Token);
            }
        }
    }

    private static async Task<string[]> DiscoverAsync(PortalSocketClient client)
    {
        List<string> found = [];
        await foreach (var change in client.DiscoverAsync(ServiceQuery.All, watch: false)) found.Add(change.Service.Path);
        return [.. found];
    }

    private static async Task WatchAsync(PortalSocketClient client, TaskCompletionSource found)
    {
        await foreach (var change in client.DiscoverAsync(ServiceQuery.All, watch: true)) found.TrySetResult();
    }

    private static async Task EchoAsync(PortalConnection connection)
    {
        try
        {
            await connection.Stream!.Input.CopyToAsync(connection.Stream.Output);
            await connection.DisposeAsync();
        }
        catch (PortalException)
        {
            // Flor was killed: what is tested.
        }
    }

    private static async Task WriteAsync(PortalConnection connection, byte[] content)
    {
        await connection.Stream!.Output.WriteAsync(content);
        await connection.Stream.Output.CompleteAsync();
    }

    private static async Task<byte[]> ReadToEndAsync(PortalConnection connection)
    {
        using var all = new MemoryStream();
        await connection.Stream!.Input.CopyToAsync(all);
        return all.ToArray();
    }

    private sealed class Acceptor(Func<PortalConnection, Task> serve, Func<Task>? decide = null) : IAcceptor
    {
        public async ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
        {
            if (decide is not null) await decide().WaitAsync(cancellationToken);
            _ = serve(connection);
        }
    }
}
