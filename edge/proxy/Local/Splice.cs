using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using Florete.Portals;

namespace Florete.Proxy.Local;

/// <summary>
/// Joins a local stream socket with the stream of a portal connection until both directions have ended. A half-close on one side becomes
/// a half-close on the other; a reset becomes an abort, an abort becomes a reset. Owns both from the call on. This is the hot path of a
/// node's edge: bytes are received straight into the connection's memory, and sent from it in as few calls as the system allows.
/// </summary>
internal static class Splice
{
    // Smaller pieces of writer memory are not worth a system call.
    private const int LeastReceiveBytes = 4096;

    /// <summary>Joins the two; never throws.</summary>
    /// <param name="local">Unix or TCP.</param>
    /// <param name="connection">Has a stream.</param>
    /// <param name="received">Bytes that were read from the socket before and belong to the stream.</param>
    /// <param name="bytes">Counts what passes.</param>
    public static async Task RunAsync(LocalSocket local, PortalConnection connection, ReadOnlyMemory<byte> received, EdgeBytes bytes)
    {
        var stream = connection.Stream!;
        if (stream is IPromptStream prompt && prompt.Loop == local.Loop) prompt.ResumesInTurn = true;
        var fate = new Fate(local, connection);
        try
        {
            // An abort by the peer must reach a socket that is neither read nor written at the moment.
            using (connection.Closed.UnsafeRegister(static fate => ((Fate)fate!).OnClosed(), fate))
            {
                await Task.WhenAll(
                    SocketToStreamAsync(local, stream.Output, received, fate, bytes),
                    StreamToSocketAsync(stream.Input, local, fate, bytes)).ConfigureAwait(false);
            }
        }
        finally
        {
            local.Dispose();
            await connection.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static async Task SocketToStreamAsync(
        LocalSocket socket, PipeWriter writer, ReadOnlyMemory<byte> received, Fate fate, EdgeBytes bytes)
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
            while (true)
            {
                await socket.ReadableAsync().ConfigureAwait(false);
                var count = socket.Receive(writer.GetSpan(LeastReceiveBytes));
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
    private static async Task DiscardAsync(LocalSocket socket, PipeWriter writer, Fate fate)
    {
        await writer.CompleteAsync().ConfigureAwait(false);
        if (!fate.BeginDiscarding()) return;
        var bin = ArrayPool<byte>.Shared.Rent(LeastReceiveBytes);
        try
        {
            do await socket.ReadableAsync().ConfigureAwait(false);
            while (socket.Receive(bin) != 0);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bin);
        }
    }

    private static async Task StreamToSocketAsync(PipeReader reader, LocalSocket socket, Fate fate, EdgeBytes bytes)
    {
        try
        {
            while (true)
            {
                var result = await reader.ReadAsync().ConfigureAwait(false);
                var buffer = result.Buffer;
                if (!buffer.IsEmpty)
                {
                    await socket.SendAsync(buffer).ConfigureAwait(false);
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
    private sealed class Fate(LocalSocket local, PortalConnection connection)
    {
        private readonly Socket socket = local.Socket;
        private readonly Lock gate = new();
        // A Unix socket that is closed whole looks cut off to its program, which knows no reset; so it is the program that ends it.
        private readonly bool mayOutlast = local.Socket.AddressFamily == AddressFamily.Unix;
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
            local.Dispose();
        }
    }
}
