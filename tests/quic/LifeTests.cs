using Florete.Runtime;

namespace Florete.Quic.Tests;

public class LifeTests
{
    private static readonly QuicOptions Short = new() { Alpn = "t", IdleTimeout = TimeSpan.FromSeconds(5) };

    [Fact]
    public void A_close_arrives_with_code_and_reason_and_both_sides_finish()
    {
        using var pair = new Pair().Confirm();
        pair.Client!.Close(42, "the user left");
        Assert.False(pair.ClientSees.Closed!.IsRemote);
        pair.RunUntil(() => pair.ServerSees.Closed is not null, TimeSpan.FromSeconds(1));
        Assert.Equal(new QuicClose("the user left", 42, IsApplication: true, IsRemote: true), pair.ServerSees.Closed);
        pair.RunUntil(() => pair.Client.IsFinished && pair.Server!.IsFinished, TimeSpan.FromSeconds(10));
        Assert.Equal(Instant.Never, pair.Client.Deadline);
        Assert.Equal(0, pair.Client.Write(new byte[1500], pair.Now));
    }

    [Fact]
    public void A_close_that_was_lost_is_repeated_to_a_peer_that_goes_on_sending()
    {
        using var pair = new Pair().Confirm();
        pair.Run(TimeSpan.FromSeconds(1));
        pair.Cut = true;
        pair.Client!.Close(1, "lost at first");
        pair.Flush();
        pair.Cut = false;
        var stream = pair.Server!.OpenStream()!;
        stream.FinishWriting();
        pair.RunUntil(() => pair.ServerSees.Closed is not null, TimeSpan.FromSeconds(1));
        Assert.Equal("lost at first", pair.ServerSees.Closed!.Reason);
    }

    [Fact]
    public void A_close_during_the_handshake_reaches_the_peer()
    {
        using var pair = new Pair().Connect();
        pair.RunUntil(() => pair.Server is not null, TimeSpan.FromSeconds(1));
        pair.Client!.Close(9, "not said before the handshake is done");
        pair.RunUntil(() => pair.ServerSees.Closed is not null, TimeSpan.FromSeconds(5));
        Assert.True(pair.ServerSees.Closed!.IsRemote);
        Assert.False(pair.ServerSees.Closed.IsApplication);
        Assert.DoesNotContain("not said", pair.ServerSees.Closed.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void What_was_lost_is_asked_about_at_once_when_the_owner_knows_of_the_loss()
    {
        using var pair = new Pair().Confirm();
        var stream = pair.Client!.OpenStream()!;
        Write(stream, new byte[30_000]);
        pair.Run(TimeSpan.FromSeconds(1));
        Assert.False(pair.Client.Hasten(pair.Now));
        pair.Cut = true;
        Write(stream, new byte[3_000]);
        // Probes are lost too, and the timeout has grown.
        pair.Run(TimeSpan.FromMilliseconds(400));
        Assert.Equal(30_000, pair.ServerSees.Received[stream.Id].Count);
        pair.Cut = false;
        Assert.InRange(pair.Client.Deadline - pair.Now, TimeSpan.FromMilliseconds(50), TimeSpan.FromMilliseconds(500));
        Assert.True(pair.Client.Hasten(pair.Now));
        pair.RunUntil(() => pair.ServerSees.Received[stream.Id].Count == 33_000, TimeSpan.FromMilliseconds(20));
        // The clock that was put forward ends nothing early, and is read rightly afterwards.
        pair.Run(TimeSpan.FromSeconds(1));
        var idle = pair.Client.Deadline - pair.Now;
        Assert.InRange(idle, TimeSpan.FromSeconds(28), TimeSpan.FromSeconds(30));
        stream.FinishWriting();
        pair.Run(TimeSpan.FromSeconds(1));
        Assert.Contains($"fin {stream.Id}", pair.ServerSees.Events);
        Assert.False(pair.Client.Hasten(pair.Now));
    }

    [Fact]
    public void Haste_does_not_bring_the_idle_timeout_nearer_without_end()
    {
        using var pair = new Pair(Short).Confirm();
        pair.Run(TimeSpan.FromSeconds(1));
        pair.Cut = true;
        pair.Client!.OpenStream()!.FinishWriting();
        pair.Flush();
        var tries = 0;
        while (pair.Client.Hasten(pair.Now))
        {
            pair.Flush();
            Assert.InRange(++tries, 1, 20);
        }
        Assert.Null(pair.ClientSees.Closed);
        pair.Run(TimeSpan.FromSeconds(2));
        Assert.Null(pair.ClientSees.Closed);
    }

    [Fact]
    public void Silence_ends_a_connection()
    {
        using var pair = new Pair(Short).Confirm();
        pair.Run(TimeSpan.FromSeconds(4));
        Assert.Null(pair.ClientSees.Closed);
        pair.RunUntil(() => pair.ClientSees.Closed is not null && pair.ServerSees.Closed is not null, TimeSpan.FromSeconds(10));
        Assert.Contains("idle timeout", pair.ClientSees.Closed!.Reason, StringComparison.Ordinal);
        Assert.True(pair.Client!.IsFinished);
    }

    [Fact]
    public void Keep_alive_prevents_it()
    {
        using var pair = new Pair(Short with { KeepAlive = TimeSpan.FromSeconds(2) }) { ServerOptions = Short }.Confirm();
        pair.Run(TimeSpan.FromMinutes(1));
        Assert.Equal(QuicConnectionState.Confirmed, pair.Client!.State);
        Assert.Equal(QuicConnectionState.Confirmed, pair.Server!.State);
    }

    [Fact]
    public void An_exception_of_a_handler_closes_the_connection_and_is_kept()
    {
        using var pair = new Pair().Confirm();
        pair.ServerSees.Data = (_, _, _) => throw new InvalidOperationException("cannot take this");
        var stream = pair.Client!.OpenStream()!;
        Write(stream, "x"u8);
        pair.RunUntil(() => pair.ClientSees.Closed is not null, TimeSpan.FromSeconds(1));
        Assert.Equal("cannot take this", pair.ServerSees.Closed!.Exception!.Message);
        Assert.Equal(1UL, pair.ClientSees.Closed!.Code);
        Assert.False(pair.ClientSees.Closed.IsApplication);
    }

    [Fact]
    public void Everything_may_be_asked_for_inside_a_call_of_the_handler()
    {
        using var pair = new Pair().Confirm();
        pair.ServerSees.Data = (stream, _, _) =>
        {
            Write(stream, "answer"u8);
            stream.FinishWriting();
            stream.Connection.OpenStream()!.FinishWriting();
            stream.StopSending(3);
            stream.Reset(4);
            Assert.Throws<InvalidOperationException>(() => stream.Connection.Receive(new byte[40], pair.Now));
            Assert.Throws<InvalidOperationException>(() => stream.Connection.Write(new byte[1200], pair.Now));
            stream.Connection.Close(5, "enough");
        };
        var stream = pair.Client!.OpenStream()!;
        Write(stream, "question"u8);
        pair.RunUntil(() => pair.ClientSees.Closed is not null, TimeSpan.FromSeconds(1));
        Assert.Equal("enough", pair.ClientSees.Closed!.Reason);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_connection_may_be_disposed_inside_a_call_of_its_handler(bool onConfirmed)
    {
        var pair = new Pair();
        if (onConfirmed) pair.ServerSees.Confirmed = c => c.Dispose();
        else pair.ServerSees.Opened = s => s.Connection.Dispose();
        pair.ClientSees.Confirmed = c => c.OpenStream()!.FinishWriting();
        pair.Connect();
        Assert.Throws<ObjectDisposedException>(() => pair.Run(TimeSpan.FromSeconds(1)));
        Assert.Equal(QuicConnectionState.Closed, pair.Server!.State);
        pair.Dispose();
    }

    [Fact]
    public void A_peer_that_lost_its_state_says_so_by_a_stateless_reset()
    {
        var secret = new QuicEndpointSecret();
        using var pair = new Pair { Secret = () => secret }.Confirm();
        pair.Run(TimeSpan.FromSeconds(1));
        pair.Records = true;
        Write(pair.Client!.OpenStream()!, "anyone there?"u8);
        pair.Flush();
        var packet = pair.Sent[^1];
        Assert.True(QuicPacketHeader.TryParse(packet, ConnectionId.Bytes, out var header));
        var reset = new byte[64];
        var length = secret.WriteStatelessReset(header, packet.Length, reset);
        Assert.InRange(length, 21, packet.Length - 1);
        pair.Client.Receive(reset.AsSpan(0, length), pair.Now);
        Assert.Contains("stateless reset", pair.ClientSees.Closed!.Reason, StringComparison.Ordinal);
        Assert.Equal(0, new QuicEndpointSecret().WriteStatelessReset(header, 20, reset));
    }

    [Fact]
    public void A_clock_that_goes_back_does_no_harm()
    {
        using var pair = new Pair().Confirm();
        var stream = pair.Client!.OpenStream()!;
        Write(stream, new byte[5000]);
        var buffer = new byte[1500];
        var length = pair.Client.Write(buffer, pair.Now);
        pair.Client.HandleExpiry(new Instant(-5));
        pair.Server!.Receive(buffer.AsSpan(0, length), new Instant(long.MinValue));
        pair.Client.BurstDone(new Instant(0));
        Assert.Equal(QuicConnectionState.Confirmed, pair.Client.State);
    }

    [Fact]
    public void Credentials_may_go_while_connections_use_them()
    {
        using var pair = new Pair().Connect();
        pair.ClientCredentials.Dispose();
        pair.RunUntil(() => pair.Server?.State == QuicConnectionState.Confirmed, TimeSpan.FromSeconds(5));
        pair.ServerCredentials.Dispose();
        Assert.Throws<ObjectDisposedException>(() =>
            QuicConnection.Connect(Short, pair.ClientCredentials, "b", _ => null, new Recorder(), pair.Now));
    }

    [Fact]
    public void Options_out_of_range_are_named()
    {
        Assert.Contains("MaxPacketBytes", Refused(Short with { MaxPacketBytes = 1199 }), StringComparison.Ordinal);
        Assert.Contains("ConnectionWindowBytes", Refused(Short with { ConnectionWindowBytes = 5 }), StringComparison.Ordinal);
        Assert.Contains("Alpn", Refused(Short with { Alpn = "" }), StringComparison.Ordinal);
        static string Refused(QuicOptions options) => Assert.Throws<ArgumentException>(options.Validate).Message;
    }

    private static void Write(QuicStream stream, ReadOnlySpan<byte> data)
    {
        var chunk = new SendChunkPool().Rent();
        data.CopyTo(chunk.Span);
        stream.Enqueue(chunk, 0, data.Length);
        chunk.Release();
    }
}
