namespace Florete.Proxy.Inbounds;

/// <summary>
/// Bounds the clients that have connected and not yet said what they want: in number, in time, and in bytes that wait for the rest of a
/// request. When the number is reached the oldest is closed, because an honest client is done within milliseconds. Thread-safe.
/// </summary>
internal sealed class HandshakeGate : IAsyncDisposable
{
    /// <summary>Each costs about 8 KB here while thousands of them wait; an honest one is done within milliseconds.</summary>
    public const int DefaultMaxClients = 2048;

    /// <summary>Bytes of unfinished requests beyond the small first piece of each client, all together.</summary>
    public const int DefaultMaxBytes = 8 * 1024 * 1024;

    public static readonly TimeSpan DefaultDeadline = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(1);

    private readonly Lock gate = new();
    // All have the same deadline, so the oldest is first.
    private readonly LinkedList<Client> clients = new();
    private readonly int maxClients;
    private readonly int maxBytes;
    private readonly TimeSpan deadline;
    private readonly TimeProvider clock;
    private readonly ITimer sweeper;
    private long bytes;
    private long expired;

    public HandshakeGate(
        TimeProvider? clock = null, int maxClients = DefaultMaxClients, int maxBytes = DefaultMaxBytes, TimeSpan? deadline = null)
    {
        this.clock = clock ?? TimeProvider.System;
        this.maxClients = maxClients;
        this.maxBytes = maxBytes;
        this.deadline = deadline ?? DefaultDeadline;
        sweeper = this.clock.CreateTimer(static state => ((HandshakeGate)state!).Sweep(), this, SweepInterval, SweepInterval);
    }

    /// <summary>Clients in their handshake now.</summary>
    public int Count
    {
        get
        {
            lock (gate) return clients.Count;
        }
    }

    /// <summary>Clients that were closed because they took too long or too many came.</summary>
    public long Expired => Interlocked.Read(ref expired);

    /// <summary>Counts a client in; dispose the result when its request is known or it is gone.</summary>
    public Client Enter(IDisposable socket)
    {
        LinkedListNode<Client>? oldest = null;
        var client = new Client(this, socket, clock.GetTimestamp());
        lock (gate)
        {
            if (clients.Count >= maxClients)
            {
                oldest = clients.First!;
                clients.Remove(oldest);
                oldest.Value.IsOut = true;
            }
            client.Node = clients.AddLast(client);
        }
        if (oldest is not null) Expire(oldest.Value);
        return client;
    }

    public ValueTask DisposeAsync() => sweeper.DisposeAsync();

    private void Sweep()
    {
        while (true)
        {
            Client late;
            lock (gate)
            {
                if (clients.First is not { } first || clock.GetElapsedTime(first.Value.Since) < deadline) return;
                late = first.Value;
                clients.Remove(first);
                late.IsOut = true;
            }
            Expire(late);
        }
    }

    private void Expire(Client client)
    {
        Interlocked.Increment(ref expired);
        client.Socket.Dispose();
    }

    /// <summary>One client in its handshake.</summary>
    internal sealed class Client(HandshakeGate owner, IDisposable socket, long since) : IDisposable
    {
        private int takenBytes;

        /// <summary>Where it is counted.</summary>
        public HandshakeGate Gate => owner;

        internal IDisposable Socket { get; } = socket;

        internal long Since { get; } = since;

        internal LinkedListNode<Client>? Node { get; set; }

        internal bool IsOut { get; set; }

        /// <summary>Asks for room to keep more of an unfinished request; given back when the handshake ends.</summary>
        public bool TryTake(int bytes)
        {
            if (Interlocked.Add(ref owner.bytes, bytes) > owner.maxBytes)
            {
                Interlocked.Add(ref owner.bytes, -bytes);
                return false;
            }
            takenBytes += bytes;
            return true;
        }

        public void Dispose()
        {
            lock (owner.gate)
            {
                if (!IsOut) owner.clients.Remove(Node!);
                IsOut = true;
            }
            Interlocked.Add(ref owner.bytes, -takenBytes);
            takenBytes = 0;
        }
    }
}
