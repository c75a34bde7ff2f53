using System.Buffers;
using Florete.Identities;
using Florete.Portals;
using Florete.Simulation;

namespace Florete.Layers.Tests.Transport;

[CollectionDefinition(nameof(WholeVertices), DisableParallelization = true)]
public class WholeVertices;

[Collection(nameof(WholeVertices))]
public class StreamConnectionTests
{
    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    public void A_stream_crosses_a_line_of_vertices_in_both_directions(int count)
    {
        using var mesh = new Mesh(count);
        var far = mesh[count - 1];
        var service = mesh.Hold(IdentityKind.Service, "echo");
        far.Publish(service, EchoAsync);
        mesh[0].Discover(service.Id);
        var caller = mesh.Hold(IdentityKind.User, "alice");
        var connection = mesh[0].Connect(caller, service.Id);
        Assert.Equal(service.Id, connection.Remote);
        Assert.Equal(far.Vertex.Id, connection.RemoteVertex);
        var sent = new byte[3_000_000];
        new Random(1).NextBytes(sent);
        Assert.Equal(sent, Exchange(mesh[0], connection, sent));
        mesh.WaitFor(() => connection.Closed.IsCancellationRequested);
        Assert.Null(connection.CloseReason);
    }

    [Theory]
    [InlineData(0.01)]
    [InlineData(0.05)]
    public void Nothing_is_lost_under_loss_reordering_and_duplication(double loss)
    {
        using var mesh = new Mesh(3, path: new PathProperties { Delay = TimeSpan.FromMilliseconds(5), Jitter = TimeSpan.FromMilliseconds(3), Loss = loss, Duplication = 0.01 });
        var service = mesh.Hold(IdentityKind.Service, "echo");
        mesh[2].Publish(service, EchoAsync);
        mesh[0].Discover(service.Id);
        var connection = mesh[0].Connect(mesh.Hold(IdentityKind.User, "alice"), service.Id);
        var sent = new byte[500_000];
        new Random(1).NextBytes(sent);
        Assert.Equal(sent, Exchange(mesh[0], connection, sent, seconds: 300));
    }

    [Fact]
    public void A_connection_goes_on_when_a_link_of_a_ring_is_cut_under_it()
    {
        using var mesh = new Mesh(4, isRing: true);
        var service = mesh.Hold(IdentityKind.Service, "echo");
        mesh[2].Publish(service, EchoAsync);
        mesh[0].Discover(service.Id);
        var connection = mesh[0].Connect(mesh.Hold(IdentityKind.User, "alice"), service.Id);
        var sent = new byte[20_000_000];
        new Random(1).NextBytes(sent);
        var exchange = mesh[0].Loop.RunAsync(() => ExchangeAsync(connection, sent));
        mesh.Clock.Run(TimeSpan.FromMilliseconds(20));
        Assert.False(exchange.IsCompleted);
        mesh.Cut(0, 1);
        mesh.Clock.Run(TimeSpan.FromMilliseconds(300));
        mesh.Cut(0, 1, isCut: false);
        mesh.Clock.Run(TimeSpan.FromSeconds(8));
        mesh.Cut(3, 0);
        Assert.Equal(sent, mesh.Wait(exchange, 120));
    }

    [Fact]
    public void A_caller_without_a_rule_is_refused_early_and_one_whose_rule_is_taken_away_is_closed()
    {
        using var mesh = new Mesh(3);
        var service = mesh.Hold(IdentityKind.Service, "echo");
        mesh[2].Publish(service, EchoAsync);
        mesh[0].Discover(service.Id);
        var alice = mesh.Hold(IdentityKind.User, "alice");
        mesh.Bounds.Narrow((caller, _) => caller != alice.Id);
        var refused = Assert.Throws<PortalException>(() => mesh[0].Connect(alice, service.Id));
        Assert.Equal(PortalError.Refused, refused.Error);
        var bob = mesh.Hold(IdentityKind.User, "bob");
        var connection = mesh[0].Connect(bob, service.Id);
        mesh.Bounds.Narrow((_, _) => false);
        mesh.WaitFor(() => connection.Closed.IsCancellationRequested, 5);
        Assert.Equal(PortalError.Refused, connection.CloseReason!.Error);
        Assert.Contains("no rule lets", connection.CloseReason.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_service_is_not_found_and_a_refusing_program_says_why()
    {
        using var mesh = new Mesh(2);
        var alice = mesh.Hold(IdentityKind.User, "alice");
        var nowhere = Assert.Throws<PortalException>(() => mesh[0].Connect(alice, SpiffeId.Of("home", IdentityKind.Service, "nowhere")));
        Assert.Equal(PortalError.NotFound, nowhere.Error);
        var service = mesh.Hold(IdentityKind.Service, "shy");
        mesh[1].Run(async () => await mesh[1].Vertex.PublishAsync(service, new Refusing()));
        mesh[0].Discover(service.Id);
        var refused = Assert.Throws<PortalException>(() => mesh[0].Connect(alice, service.Id));
        Assert.Equal(PortalError.TargetFailed, refused.Error);
        Assert.Equal("I am shy.", refused.Message);
    }

    [Fact]
    public void An_abort_reaches_the_other_side()
    {
        using var mesh = new Mesh(2);
        var service = mesh.Hold(IdentityKind.Service, "quiet");
        PortalConnection? there = null;
        mesh[1].Publish(service, c =>
        {
            there = c;
            return Task.CompletedTask;
        });
        mesh[0].Discover(service.Id);
        var connection = mesh[0].Connect(mesh.Hold(IdentityKind.User, "alice"), service.Id);
        mesh.WaitFor(() => there is not null);
        connection.Abort(new PortalException(PortalError.Closed, "enough"));
        mesh.WaitFor(() => there!.Closed.IsCancellationRequested);
        Assert.NotNull(there!.CloseReason);
    }

    [Fact]
    public void Stalled_readers_do_not_hold_up_a_live_one()
    {
        using var mesh = new Mesh(2);
        var service = mesh.Hold(IdentityKind.Service, "source");
        mesh[1].Publish(service, async c =>
        {
            var bytes = new byte[4_000_000];
            await c.Stream!.Output.WriteAsync(bytes);
            await c.Stream.Output.CompleteAsync();
        });
        mesh[0].Discover(service.Id);
        var alice = mesh.Hold(IdentityKind.User, "alice");
        var stalled = Enumerable.Range(0, 200).Select(_ => mesh[0].Connect(alice, service.Id)).ToArray();
        mesh.Clock.Run(TimeSpan.FromSeconds(5));
        var live = mesh[0].Connect(alice, service.Id);
        Assert.Equal(4_000_000, mesh[0].Run(() => CountAsync(live)));
        Assert.All(stalled, c => Assert.False(c.Closed.IsCancellationRequested));
    }

    [Fact]
    public void Stalled_readers_hold_little_at_the_sender_however_fast_the_path_is()
    {
        using var mesh = new Mesh(2);
        var service = mesh.Hold(IdentityKind.Service, "endless");
        long written = 0;
        var isStalling = false;
        mesh[1].Publish(service, async c =>
        {
            var bytes = new byte[32 * 1024];
            for (var left = isStalling ? long.MaxValue : 50_000_000; left > 0; left -= bytes.Length)
            {
                if ((await c.Stream!.Output.WriteAsync(bytes)).IsCompleted) return;
                if (isStalling) written += bytes.Length;
            }
            await c.Stream!.Output.CompleteAsync();
        });
        mesh[0].Discover(service.Id);
        var alice = mesh.Hold(IdentityKind.User, "alice");
        // Opens the congestion window wide.
        Assert.True(mesh[0].Run(() => CountAsync(mesh[0].Connect(alice, service.Id))) >= 50_000_000);
        isStalling = true;
        var stalled = Enumerable.Range(0, 50).Select(_ => mesh[0].Connect(alice, service.Id)).ToArray();
        mesh.Clock.Run(TimeSpan.FromSeconds(10));
        var options = new TransportOptions();
        Assert.InRange(written / stalled.Length, 1, options.StreamWindowBytes + options.SendLimitBytes + (128 * 1024));
    }

    [Fact]
    public void A_late_stream_of_a_connection_grows_its_window_as_the_first_ones_did()
    {
        using var mesh = new Mesh(2, path: new PathProperties { Delay = TimeSpan.FromMilliseconds(20) });
        var service = mesh.Hold(IdentityKind.Service, "source");
        mesh[1].Publish(service, async c =>
        {
            var bytes = new byte[64 * 1024];
            for (var i = 0; i < 320; i++) await c.Stream!.Output.WriteAsync(bytes);
            await c.Stream!.Output.CompleteAsync();
        });
        mesh[0].Discover(service.Id);
        var alice = mesh.Hold(IdentityKind.User, "alice");
        var took = new List<TimeSpan>();
        for (var i = 0; i < 24; i++)
        {
            var began = mesh.Clock.Now;
            Assert.Equal(320 * 64 * 1024, mesh[0].Run(() => CountAsync(mesh[0].Connect(alice, service.Id))));
            took.Add(mesh.Clock.Now - began);
        }
        Assert.True(took[^1] < 2 * took.Skip(1).Min(), string.Join(", ", took.Select(t => $"{t.TotalMilliseconds:0}")));
    }

    [Fact]
    public void A_reader_that_breaks_off_with_an_error_ends_its_own_stream_alone()
    {
        using var mesh = new Mesh(2);
        var service = mesh.Hold(IdentityKind.Service, "source");
        mesh[1].Publish(service, async c =>
        {
            var bytes = new byte[4_000_000];
            await c.Stream!.Output.WriteAsync(bytes);
            await c.Stream.Output.CompleteAsync();
        });
        mesh[0].Discover(service.Id);
        var alice = mesh.Hold(IdentityKind.User, "alice");
        var live = mesh[0].Connect(alice, service.Id);
        var broken = Enumerable.Range(0, 20).Select(_ => mesh[0].Connect(alice, service.Id)).ToArray();
        foreach (var connection in broken)
        {
            mesh.Clock.Run(TimeSpan.FromMilliseconds(1));
            // As a splice whose local socket was reset; from outside of the loop, while data arrives.
            connection.Stream!.Input.Complete(new IOException("Connection reset by peer"));
            connection.Stream.Output.Complete(new IOException("Connection reset by peer"));
        }
        Assert.Equal(4_000_000, mesh[0].Run(() => CountAsync(live)));
        Assert.Equal(4_000_000, mesh[0].Run(() => CountAsync(mesh[0].Connect(alice, service.Id))));
    }

    internal static async Task EchoAsync(PortalConnection connection)
    {
        var pipe = connection.Stream!;
        while (true)
        {
            var read = await pipe.Input.ReadAsync();
            foreach (var piece in read.Buffer) await pipe.Output.WriteAsync(piece);
            pipe.Input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) break;
        }
        await pipe.Output.CompleteAsync();
        await pipe.Input.CompleteAsync();
    }

    private static byte[] Exchange(Member member, PortalConnection connection, byte[] sent, int seconds = 60) =>
        member.Run(() => ExchangeAsync(connection, sent), seconds);

    private static async Task<byte[]> ExchangeAsync(PortalConnection connection, byte[] sent)
    {
        var writing = WriteAsync(connection, sent);
        var received = new ArrayBufferWriter<byte>();
        while (true)
        {
            var read = await connection.Stream!.Input.ReadAsync();
            foreach (var piece in read.Buffer) received.Write(piece.Span);
            connection.Stream.Input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) break;
        }
        await writing;
        await connection.Stream.Input.CompleteAsync();
        return received.WrittenSpan.ToArray();
    }

    private static async Task WriteAsync(PortalConnection connection, byte[] sent)
    {
        for (var at = 0; at < sent.Length; at += 50_000)
            await connection.Stream!.Output.WriteAsync(sent.AsMemory(at, Math.Min(50_000, sent.Length - at)));
        await connection.Stream!.Output.CompleteAsync();
    }

    private static async Task<long> CountAsync(PortalConnection connection)
    {
        long count = 0;
        while (true)
        {
            var read = await connection.Stream!.Input.ReadAsync();
            count += read.Buffer.Length;
            connection.Stream.Input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) return count;
        }
    }

    private sealed class Refusing : IAcceptor
    {
        public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken) =>
            throw new PortalException(PortalError.TargetFailed, "I am shy.");
    }
}
