using Florete.Runtime;

namespace Florete.Quic.Tests;

/// <summary>How a pipe of packets misbehaves, by a seeded source.</summary>
internal sealed record Weather(int Seed)
{
    public double Loss { get; init; }
    public double Duplicate { get; init; }
    public double Reorder { get; init; }
    public double Corrupt { get; init; }
    public TimeSpan Delay { get; init; } = TimeSpan.FromMilliseconds(5);
}

/// <summary>What a recording handler saw, in order, and hooks for more.</summary>
internal sealed class Recorder : IQuicHandler
{
    public List<string> Events { get; } = [];
    public HashSet<ConnectionId> Ids { get; } = [];
    public QuicClose? Closed { get; private set; }
    public int StreamsAvailable { get; private set; }
    public Dictionary<long, List<byte>> Received { get; } = [];
    public Action<QuicConnection>? Confirmed { get; set; }
    public Action<QuicStream>? Opened { get; set; }
    public Action<QuicStream, long>? Acked { get; set; }
    public StreamData? Data { get; set; }
    public bool ConsumesAll { get; set; } = true;
    public bool Keeps { get; set; } = true;

    public delegate void StreamData(QuicStream stream, ReadOnlySpan<byte> data, bool fin);

    public void OnConnectionIdAdded(QuicConnection connection, ConnectionId id) => Ids.Add(id);

    public void OnConnectionIdRetired(QuicConnection connection, ConnectionId id) => Ids.Remove(id);

    public void OnConfirmed(QuicConnection connection)
    {
        Events.Add("confirmed");
        Confirmed?.Invoke(connection);
    }

    public void OnClosed(QuicConnection connection, QuicClose close)
    {
        Assert.Null(Closed);
        Closed = close;
        Events.Add("closed");
    }

    public void OnStreamOpened(QuicStream stream)
    {
        Events.Add($"opened {stream.Id}");
        Opened?.Invoke(stream);
    }

    public void OnStreamData(QuicStream stream, ReadOnlySpan<byte> data, bool fin)
    {
        if (Keeps)
        {
            if (!Received.TryGetValue(stream.Id, out var bytes)) Received[stream.Id] = bytes = [];
            bytes.AddRange(data);
        }
        if (fin) Events.Add($"fin {stream.Id}");
        if (ConsumesAll) stream.Consume(data.Length);
        Data?.Invoke(stream, data, fin);
    }

    public void OnStreamAcked(QuicStream stream, long bytes) => Acked?.Invoke(stream, bytes);

    public void OnStreamReset(QuicStream stream, ulong code) => Events.Add($"reset {stream.Id} {code}");

    public void OnStopSending(QuicStream stream) => Events.Add($"stop {stream.Id}");

    public void OnStreamClosed(QuicStream stream, ulong? code) => Events.Add($"ended {stream.Id}{(code is { } c ? " " + c : "")}");

    public void OnStreamsAvailable(QuicConnection connection) => StreamsAvailable++;
}

/// <summary>Two connections and the pipe between them, in virtual time.</summary>
internal sealed class Pair : IDisposable
{
    private readonly PriorityQueue<(bool ToServer, byte[] Packet), (long At, long Order)> pipe = new();
    private readonly Random random;
    private readonly byte[] buffer = new byte[65527];
    private long order;

    public Pair(QuicOptions? options = null, Weather? weather = null, string serverName = "b.vertex.home.rete")
    {
        Weather = weather ?? new Weather(1);
        random = new Random(Weather.Seed);
        Options = options ?? new QuicOptions { Alpn = "florete-test/1" };
        ServerOptions = Options;
        ServerName = serverName;
        ServerVerifies = ClientIdentity.Accepts;
        ClientVerifies = ServerIdentity.Accepts;
        SelectCredentials = name => name == "b.vertex.home.rete" ? ServerCredentials : null;
        ClientCredentials = ClientIdentity.Credentials();
        ServerCredentials = ServerIdentity.Credentials();
    }

    public static TestIdentity ClientIdentity { get; } = new("a");
    public static TestIdentity ServerIdentity { get; } = new("b");

    public Weather Weather { get; set; }
    public QuicOptions Options { get; set; }
    public QuicOptions ServerOptions { get; set; }
    public string ServerName { get; }
    public QuicCredentials ClientCredentials { get; }
    public QuicCredentials ServerCredentials { get; }
    public Func<IReadOnlyList<byte[]>, string?> ServerVerifies { get; set; }
    public Func<IReadOnlyList<byte[]>, string?> ClientVerifies { get; set; }
    public Func<string, QuicCredentials?> SelectCredentials { get; set; }
    public Func<byte[], byte[]?>? Endpoint { get; set; }
    public Func<QuicEndpointSecret?> Secret { get; set; } = () => null;
    public QuicRetryProof? Proof { get; set; }
    public Func<int>? PacketBound { get; set; }
    public int Carries { get; set; } = int.MaxValue;
    public nint ClientEncrypt { get; set; }
    public Recorder ClientSees { get; } = new();
    public Recorder ServerSees { get; } = new();
    public QuicConnection? Client { get; private set; }
    public QuicConnection? Server { get; private set; }
    public Instant Now { get; private set; } = new(1_000_000_000);
    public List<byte[]> Sent { get; } = [];
    public bool Records { get; set; }
    public bool Cut { get; set; }

    public Pair Connect()
    {
        Client = QuicConnection.Connect(Options, ClientCredentials, ServerName, c => ClientVerifies(c), ClientSees, Now, null, ClientEncrypt);
        return this;
    }

    /// <summary>Connects and runs until both sides are confirmed.</summary>
    public Pair Confirm()
    {
        Connect();
        RunUntil(() => Client!.State == QuicConnectionState.Confirmed && Server?.State == QuicConnectionState.Confirmed, TimeSpan.FromSeconds(60));
        return this;
    }

    public void RunUntil(Func<bool> condition, TimeSpan limit)
    {
        var end = Now + limit;
        while (!condition())
        {
            Assert.True(Step(end), $"nothing left to happen within {limit}; client {Client?.State} {Client?.CloseReason}, server {Server?.State} {Server?.CloseReason}");
        }
    }

    public void Run(TimeSpan time)
    {
        var end = Now + time;
        while (Step(end))
        {
        }
        Now = end;
    }

    public void Flush()
    {
        Flush(Client, toServer: true);
        Flush(Server, toServer: false);
    }

    public void Inject(bool toServer, byte[] packet) => pipe.Enqueue((toServer, packet), (Now.Nanoseconds, order++));

    public void Dispose()
    {
        Client?.Dispose();
        Server?.Dispose();
        ClientCredentials.Dispose();
        ServerCredentials.Dispose();
    }

    // One event: the next packet or deadline. False: none before the end.
    private bool Step(Instant end)
    {
        Flush();
        var next = Instant.Min(Deadline(Client), Deadline(Server));
        if (pipe.TryPeek(out _, out var at)) next = Instant.Min(next, new Instant(at.At));
        if (next > end) return false;
        if (next > Now) Now = next;
        while (pipe.TryPeek(out var item, out at) && at.At <= Now.Nanoseconds)
        {
            pipe.Dequeue();
            Deliver(item.ToServer, item.Packet);
            Flush();
        }
        Expire(Client);
        Expire(Server);
        return true;
    }

    private static Instant Deadline(QuicConnection? connection) => connection?.Deadline ?? Instant.Never;

    private void Expire(QuicConnection? connection)
    {
        if (connection is not null && connection.Deadline <= Now) connection.HandleExpiry(Now);
    }

    private void Deliver(bool toServer, byte[] packet)
    {
        if (!toServer)
        {
            Client!.Receive(packet, Now);
        }
        else if (Server is not null)
        {
            Server.Receive(packet, Now);
        }
        else if (Endpoint?.Invoke(packet) is { } answer)
        {
            Send(toServer: false, answer);
        }
        else if (Endpoint is null || Proof is not null)
        {
            Server = QuicConnection.Accept(ServerOptions, n => SelectCredentials(n), c => ServerVerifies(c), ServerSees, packet, Now, Secret(), Proof);
        }
    }

    private void Flush(QuicConnection? connection, bool toServer)
    {
        if (connection is null) return;
        var bound = PacketBound?.Invoke() ?? connection.Options.MaxPacketBytes;
        var left = Math.Max(connection.SendQuantumBytes, 1);
        while (left > 0 && connection.Write(buffer.AsSpan(0, bound), Now) is > 0 and var length)
        {
            Assert.InRange(length, 1, bound);
            left -= length;
            Send(toServer, buffer[..length]);
            bound = PacketBound?.Invoke() ?? bound;
        }
        connection.BurstDone(Now);
    }

    private void Send(bool toServer, byte[] packet)
    {
        if (Records) Sent.Add(packet);
        if (Cut || packet.Length > Carries || random.NextDouble() < Weather.Loss) return;
        var copies = random.NextDouble() < Weather.Duplicate ? 2 : 1;
        for (var i = 0; i < copies; i++)
        {
            var at = Now + Weather.Delay;
            if (random.NextDouble() < Weather.Reorder) at += Weather.Delay * random.NextDouble();
            if (random.NextDouble() < Weather.Corrupt)
            {
                packet = [.. packet];
                packet[random.Next(packet.Length)] ^= (byte)(1 << random.Next(8));
            }
            pipe.Enqueue((toServer, packet), (at.Nanoseconds, order++));
        }
    }
}
