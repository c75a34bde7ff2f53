using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Proxy.Splicing;

/// <summary>
/// Joins a local stream socket with the stream of a portal connection until both directions have ended. A half-close on one side becomes
/// a half-close on the other; a reset becomes an abort, an abort becomes a reset. Owns both from the call on. This is the hot path of a
/// node's edge: bytes are received straight into the connection's memory, and sent from it in as few calls as the system allows.
/// </summary>
internal static class Splice
{
    // Smaller pieces of writer memory are not worth a system call.
    private const int LeastReceiveBytes = 4096;

    // Up to this a piece is moved in a turn of the connection's loop, without a change of thread; a socket that has more is read by the pool.
    private const int PromptBytes = 16 * 1024;

    /// <summary>Joins the two; never throws.</summary>
    /// <param name="socket">Connected; Unix or TCP.</param>
    /// <param name="connection">Has a stream.</param>
    /// <param name="received">Bytes that were read from the socket before and belong to the stream.</param>
    /// <param name="bytes">Counts what passes.</param>
    public static async Task RunAsync(Socket socket, PortalConnection connection, ReadOnlyMemory<byte> received, EdgeBytes bytes)
    {
        var stream = connection.Stream!;
        using var readable = SignalOf(socket, stream);
        var fate = new Fate(socket, connection, readable);
        try
        {
            if (stream is IPromptStream prompt) prompt.ResumesReaderInTurn = true;
            Limit(socket);
            // An abort by the peer must reach a socket that is neither read nor written at the moment.
            using (connection.Closed.UnsafeRegister(static fate => ((Fate)fate!).OnClosed(), fate))
            {
                await Task.WhenAll(
                    SocketToStreamAsync(socket, readable, stream.Output, received, fate, bytes),
                    StreamToSocketAsync(stream.Input, socket, fate, bytes)).ConfigureAwait(false);
            }
        }
        finally
        {
            readable?.Dispose();
            socket.Dispose();
            await connection.DisposeAsync().ConfigureAwait(false);
        }
    }

    // Unless told, the system lets a program that does not read have up to 4 MB of the mesh's bytes in its socket.
    private const int SendBufferBytes = 512 * 1024;

    private static ReadableSignal? SignalOf(Socket socket, IDuplexPipe stream)
    {
        if (stream is not IPromptStream { Loop: ThreadLoop { CanWatch: true } loop }) return null;
        try
        {
            socket.Blocking = false;
            return loop.SignalOf((int)socket.SafeHandle.DangerousGetHandle());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or System.ComponentModel.Win32Exception)
        {
            // The socket is gone already, or the system allows no more watches: reading it tells.
            return null;
        }
    }

    private static void Limit(Socket socket)
    {
        try
        {
            socket.SendBufferSize = SendBufferBytes;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The socket is gone already: reading it tells.
        }
    }

    // What is there now, at most PromptBytes; -1: nothing.
    private static int ReceiveNow(Socket socket, PipeWriter writer)
    {
        var count = socket.Receive(writer.GetSpan(PromptBytes)[..PromptBytes], SocketFlags.None, out var error);
        return error switch
        {
            SocketError.Success => count,
            SocketError.WouldBlock => -1,
            _ => throw new SocketException((int)error),
        };
    }

    private static async Task SocketToStreamAsync(
        Socket socket, ReadableSignal? readable, PipeWriter writer, ReadOnlyMemory<byte> received, Fate fate, EdgeBytes bytes)
    {
        try
        {
            if (!received.IsEmpty)
            {
                bytes.In(received.Length);
                var first = await writer.WriteAsync(received).ConfigureAwait(false);
                received = default;
                if (first.IsCompleted)
                {
                    await DiscardAsync(socket, writer, fate).ConfigureAwait(false);
                    return;
                }
            }
            var isBulk = readable is null;
            while (true)
            {
                int count;
                // Both wait without holding memory: an idle connection costs none.
                if (isBulk)
                {
                    await socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None).ConfigureAwait(false);
                    count = await socket.ReceiveAsync(writer.GetMemory(LeastReceiveBytes), SocketFlags.None).ConfigureAwait(false);
                    isBulk = readable is null || count > PromptBytes;
                }
                else
                {
                    await readable!.WaitAsync().ConfigureAwait(false);
                    count = ReceiveNow(socket, writer);
                    if (count == PromptBytes)
                    {
                        // There is more: out of the turn.
                        isBulk = true;
                        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                    }
                }
                if (count == 0) break;
                if (count > 0) bytes.In(count);
                writer.Advance(Math.Max(count, 0));
                var flush = await writer.FlushAsync().ConfigureAwait(false);
                if (!flush.IsCompleted) continue;
                await DiscardAsync(socket, writer, fate).ConfigureAwait(false);
                return;
            }
            await writer.CompleteAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (Fate.IsExpected(e))
        {
            fate.SocketFailed(e);
            await writer.CompleteAsync(e).ConfigureAwait(false);
        }
    }

    // The peer reads no more but may go on sending (a server that answers before it has read all). Closing now would reset the local
    // program and take the answer from it, so what it still sends is dropped until the other direction has ended.
    private static async Task DiscardAsync(Socket socket, PipeWriter writer, Fate fate)
    {
        await writer.CompleteAsync().ConfigureAwait(false);
        if (!fate.BeginDiscarding()) return;
        var bin = ArrayPool<byte>.Shared.Rent(LeastReceiveBytes);
        try
        {
            while (await socket.ReceiveAsync(bin, SocketFlags.None).ConfigureAwait(false) > 0)
            {
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bin);
        }
    }

    private static async Task StreamToSocketAsync(PipeReader reader, Socket socket, Fate fate, EdgeBytes bytes)
    {
        using var sender = new SocketSender(socket);
        try
        {
            while (true)
            {
                var result = await reader.ReadAsync().ConfigureAwait(false);
                var buffer = result.Buffer;
                if (!buffer.IsEmpty)
                {
                    await sender.SendAsync(buffer).ConfigureAwait(false);
                    bytes.Out(buffer.Length);
                }
                reader.AdvanceTo(buffer.End);
                if (result.IsCompleted || result.IsCanceled) break;
            }
            fate.EndSending();
            await reader.CompleteAsync().ConfigureAwait(false);
        }
        catch (PortalException e)
        {
            fate.ConnectionFailed();
            await reader.CompleteAsync(e).ConfigureAwait(false);
        }
        catch (Exception e) when (Fate.IsExpected(e))
        {
            fate.SocketFailed(e);
            await reader.CompleteAsync(e).ConfigureAwait(false);
        }
    }

    /// <summary>How the pair ends when it does not end in order: once, for both.</summary>
    private sealed class Fate(Socket socket, PortalConnection connection, ReadableSignal? readable)
    {
        private readonly Lock gate = new();
        // A Unix socket that is closed whole looks cut off to its program, which knows no reset; so it is the program that ends it.
        private readonly bool mayOutlast = socket.AddressFamily == AddressFamily.Unix;
        private bool isDiscarding;
        private bool hasEndedSending;
        private int failed;

        public static bool IsExpected(Exception e) =>
            e is SocketException or ObjectDisposedException or PortalException or IOException or OperationCanceledException or InvalidOperationException;

        /// <summary>The local program reset its socket, or it broke: the peer sees an abort.</summary>
        public void SocketFailed(Exception e)
        {
            if (Interlocked.Exchange(ref failed, 1) != 0) return;
            connection.Abort(new PortalException(PortalError.Closed, $"The local program closed its connection: {e.Message}", e));
            Reset();
        }

        /// <summary>The connection was aborted: the local program sees a reset.</summary>
        public void ConnectionFailed()
        {
            if (Interlocked.Exchange(ref failed, 1) == 0) Reset();
        }

        /// <summary>All bytes of the peer are sent: half-closes the socket, or closes it when the peer reads no more either.</summary>
        public void EndSending()
        {
            lock (gate)
            {
                hasEndedSending = true;
                socket.Shutdown(isDiscarding && !mayOutlast ? SocketShutdown.Both : SocketShutdown.Send);
            }
        }

        /// <summary>False when there is nothing left to wait for.</summary>
        public bool BeginDiscarding()
        {
            lock (gate)
            {
                isDiscarding = true;
                return mayOutlast || !hasEndedSending;
            }
        }

        public void OnClosed()
        {
            // In order: both directions have ended or are about to; what has arrived is still to be delivered.
            if (connection.CloseReason is not null) ConnectionFailed();
        }

        private void Reset()
        {
            try
            {
                // Linger 0 turns close into RST (tcp(7) SO_LINGER); a Unix socket ignores it.
                if (socket.AddressFamily != AddressFamily.Unix) socket.LingerState = new LingerOption(true, 0);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // Already closed.
            }
            // Before the descriptor is somebody else's.
            readable?.Dispose();
            socket.Close();
        }
    }
}
