using System.Collections.Concurrent;
using System.Net.Sockets;
using Florete.Identities;
using Florete.Portals;
using Florete.Proxy.Local;
using Florete.Runtime;

namespace Florete.Proxy;

/// <summary>
/// The connections that pass through this node's edge now: between a local socket and the mesh. Bounded; each is spliced until it ends.
/// Thread-safe.
/// </summary>
internal sealed class EdgeConnections
{
    /// <summary>Each costs two sockets' worth of kernel memory and about 10 KB here; more than this is a runaway program.</summary>
    public const int Max = 20_000;

    private readonly ConcurrentDictionary<long, EdgeConnection> open = new();
    private long lastId;
    private long opened;

    public int Count => open.Count;

    /// <summary>Since the start.</summary>
    public long Opened => Interlocked.Read(ref opened);

    public EdgeBytes Bytes { get; } = new();

    public bool IsFull => open.Count >= Max;

    public IEnumerable<EdgeConnection> All => open.Values;

    /// <summary>As the other, for a socket that was not waited for in turns.</summary>
    public async Task SpliceAsync(Socket socket, PortalConnection connection, bool isInbound)
    {
        LocalSocket local;
        try
        {
            local = LocalSocket.Over(socket, (connection.Stream as IPromptStream)?.Loop as ThreadLoop);
        }
        catch (SocketException e)
        {
            connection.Abort(new PortalException(PortalError.Closed, $"The local program closed its connection: {e.Message}", e));
            await connection.DisposeAsync().ConfigureAwait(false);
            return;
        }
        await SpliceAsync(local, connection, isInbound).ConfigureAwait(false);
    }

    /// <summary>Joins the two until both directions have ended. Owns both; never throws for what they do.</summary>
    /// <param name="socket">The local side.</param>
    /// <param name="connection">The mesh side.</param>
    /// <param name="isInbound">True when a local program originated it.</param>
    /// <param name="received">Bytes read from the socket before that belong to the stream.</param>
    public async Task SpliceAsync(LocalSocket socket, PortalConnection connection, bool isInbound, ReadOnlyMemory<byte> received = default)
    {
        Interlocked.Increment(ref opened);
        var entry = new EdgeConnection(
            Interlocked.Increment(ref lastId), connection.Local, connection.Remote, connection.RemoteVertex, isInbound, DateTimeOffset.UtcNow);
        open[entry.Id] = entry;
        try
        {
            await Splice.RunAsync(socket, connection, received, Bytes).ConfigureAwait(false);
        }
        finally
        {
            open.TryRemove(entry.Id, out _);
        }
    }
}

/// <param name="Id">Counts up from 1.</param>
/// <param name="Local">The identity on this node.</param>
/// <param name="Remote">The identity on the other side.</param>
/// <param name="RemoteVertex">Where the other side lives.</param>
/// <param name="IsInbound">True when a program of this node originated it.</param>
/// <param name="Since">When it was accepted.</param>
internal sealed record EdgeConnection(
    long Id, SpiffeId Local, SpiffeId Remote, SpiffeId RemoteVertex, bool IsInbound, DateTimeOffset Since);
