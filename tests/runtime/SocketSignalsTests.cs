using System.Net.Sockets;

namespace Florete.Runtime.Tests;

public sealed class SocketSignalsTests : IAsyncLifetime
{
    private static readonly TimeSpan Prompt = TimeSpan.FromSeconds(20);

    private readonly ThreadLoop loop = new("test");
    private Socket near = null!;
    private Socket far = null!;
    private SocketSignals signals = null!;

    public async Task InitializeAsync()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0));
        listener.Listen();
        near = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await near.ConnectAsync(listener.LocalEndPoint!);
        far = await listener.AcceptAsync();
        near.Blocking = false;
        signals = loop.SignalsOf((int)near.SafeHandle.DangerousGetHandle());
    }

    public async Task DisposeAsync()
    {
        signals.Dispose();
        near.Dispose();
        far.Dispose();
        await loop.DisposeAsync();
    }

    [Fact]
    public async Task Waiters_go_on_inside_a_turn()
    {
        var isInTurn = Observe(signals.ReadableAsync());
        far.Send([1]);
        Assert.True(await isInTurn.WaitAsync(Prompt));
        Assert.True(await Observe(signals.WritableAsync()).WaitAsync(Prompt));
    }

    [Fact]
    public async Task A_reader_that_waits_is_not_forgotten_while_a_writer_comes_and_goes()
    {
        var readable = Observe(signals.ReadableAsync());
        for (var i = 0; i < 100; i++) await signals.WritableAsync().AsTask().WaitAsync(Prompt);
        Assert.False(readable.IsCompleted);
        far.Send([1]);
        await readable.WaitAsync(Prompt);
    }

    [Fact]
    public async Task A_full_socket_is_writable_again_when_the_other_side_has_read()
    {
        Fill();
        var writable = Observe(signals.WritableAsync());
        Assert.False(writable.IsCompleted);
        await ReadUntilAsync(writable);
    }

    [Fact]
    public async Task What_one_call_did_not_take_of_a_list_is_counted()
    {
        // SplicedSocket relies on it: a partial send is reported with the bytes that were sent.
        Fill();
        await ReadUntilAsync(Observe(signals.WritableAsync()));
        ArraySegment<byte>[] pieces = [.. Enumerable.Range(0, 200).Select(_ => new ArraySegment<byte>(new byte[64 * 1024]))];
        var sent = near.Send(pieces, SocketFlags.None, out var error);
        Assert.InRange(sent, 1, (200 * 64 * 1024) - 1);
        Assert.Contains(error, (SocketError[])[SocketError.Success, SocketError.WouldBlock]);
    }

    [Fact]
    public async Task The_end_wakes_both()
    {
        Fill();
        var (readable, writable) = (Observe(signals.ReadableAsync()), Observe(signals.WritableAsync()));
        far.LingerState = new LingerOption(true, 0);
        far.Close();
        await Task.WhenAll(readable, writable).WaitAsync(Prompt);
    }

    [Fact]
    public async Task Disposing_fails_who_waits_then_or_later()
    {
        var readable = signals.ReadableAsync().AsTask();
        signals.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => readable.WaitAsync(Prompt));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => signals.WritableAsync().AsTask());
    }

    [Fact]
    public async Task A_second_waiter_for_the_same_is_a_mistake()
    {
        var first = signals.ReadableAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await signals.ReadableAsync());
        Assert.False(first.IsCompleted);
    }

    [Fact]
    public async Task Many_exchanges_lose_no_wake_up()
    {
        var echo = Task.Run(async () =>
        {
            var one = new byte[1];
            for (var i = 0; i < 20_000 && await far.ReceiveAsync(one) == 1; i++) await far.SendAsync(one);
        });
        var one = new byte[1];
        for (var i = 0; i < 20_000; i++)
        {
            near.Send([(byte)i]);
            await signals.ReadableAsync().AsTask().WaitAsync(Prompt);
            Assert.Equal(1, near.Receive(one));
            Assert.Equal((byte)i, one[0]);
        }
        await echo.WaitAsync(Prompt);
    }

    private async Task<bool> Observe(ValueTask wait)
    {
        await wait.ConfigureAwait(false);
        return loop.IsInTurn;
    }

    private void Fill()
    {
        var piece = new byte[64 * 1024];
        SocketError error;
        do near.Send(piece, SocketFlags.None, out error);
        while (error == SocketError.Success);
        Assert.Equal(SocketError.WouldBlock, error);
    }

    private async Task ReadUntilAsync(Task writable)
    {
        var bin = new byte[64 * 1024];
        while (!writable.IsCompleted)
        {
            var read = far.ReceiveAsync(bin).WaitAsync(Prompt);
            await Task.WhenAny(read, writable);
        }
        await writable;
    }
}
