using System.Buffers;
using System.IO.Pipelines;
using Florete.Portals;
using Microsoft.Extensions.Logging;

namespace Florete.Bus;

/// <summary>What a connection needs of its session, whichever side it is.</summary>
internal interface IBusSession
{
    SessionOutput Output { get; }

    string? Failure { get; }

    /// <summary>Takes all of what arrived. Called under the member's lock.</summary>
    void Receive(in ReadOnlySequence<byte> received);

    /// <summary>Bytes have left; there is room for more. Called under the member's lock.</summary>
    void Sent();

    /// <summary>Waits until more may be read.</summary>
    ValueTask WhenReadableAsync(CancellationToken cancellationToken);
}

/// <summary>Carries the bytes of one session over one stream, until either ends.</summary>
internal sealed class BusConnection
{
    // A peer that is told why may take a moment to read it.
    private static readonly TimeSpan FarewellLimit = TimeSpan.FromSeconds(1);

    private readonly IDuplexPipe pipe;
    private readonly IBusSession session;
    private readonly Lock gate;
    private readonly ILogger logger;
    private readonly Pulse hasOutput = new();

    public BusConnection(IDuplexPipe pipe, IBusSession session, Lock gate, ILogger logger)
    {
        (this.pipe, this.session, this.gate, this.logger) = (pipe, session, gate, logger);
        session.Output.Ready = hasOutput.Set;
    }

    /// <summary>Runs until the stream ends, the session fails, or it is cancelled. Never throws; says why it ended.</summary>
    public async Task<string> RunAsync(CancellationToken cancellationToken)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var reading = Task.Run(() => GuardAsync(ReadAsync, ending.Token), CancellationToken.None);
        var writing = Task.Run(() => GuardAsync(WriteAsync, ending.Token), CancellationToken.None);
        var first = await Task.WhenAny(reading, writing).ConfigureAwait(false);
        // What the session says last (CLOSE) goes out, if it can.
        if (first == reading)
        {
            hasOutput.Set();
            if (session.Failure is not null) await Task.WhenAny(writing, Task.Delay(FarewellLimit, cancellationToken)).ConfigureAwait(false);
        }
        await ending.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(reading, writing).ConfigureAwait(false);
        return session.Failure ?? await first.ConfigureAwait(false);
    }

    private async Task<string> GuardAsync(Func<CancellationToken, Task<string>> work, CancellationToken cancellationToken)
    {
        try
        {
            return await work(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return "The bus stops.";
        }
        catch (Exception e) when (e is IOException or PortalException or InvalidOperationException or System.Net.Sockets.SocketException or ObjectDisposedException)
        {
            return e.Message;
        }
        catch (Exception e)
        {
            // It ends this connection and no other.
            logger.Failed(e);
            return e.Message;
        }
    }

    private async Task<string> ReadAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await session.WhenReadableAsync(cancellationToken).ConfigureAwait(false);
            var read = await pipe.Input.ReadAsync(cancellationToken).ConfigureAwait(false);
            lock (gate) session.Receive(read.Buffer);
            pipe.Input.AdvanceTo(read.Buffer.End);
            if (session.Failure is not null) return session.Failure;
            if (read.IsCompleted) return "The peer ended the connection.";
        }
    }

    private async Task<string> WriteAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            var next = hasOutput.Next;
            ReadOnlyMemory<byte> bytes;
            lock (gate) bytes = session.Output.Take();
            if (!bytes.IsEmpty)
            {
                var flushed = await pipe.Output.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);
                if (flushed.IsCompleted) return "The peer ended the connection.";
                lock (gate) session.Sent();
            }
            else if (session.Failure is not null)
            {
                return session.Failure;
            }
            else
            {
                await next.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
        }
    }
}
