using System.Buffers;
using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text;
using Florete.Identities;
using Florete.Proxy.Tests.Harness;

namespace Florete.Portals.Tests;

/// <summary>A portal in memory that counts what is published, whose publications can be ended, and whose callers are made by hand.</summary>
internal sealed class LabPortal : IProgramPortal
{
    private readonly List<Publication> publications = [];

    public static SpiffeId Target { get; } = SpiffeId.Parse("spiffe://home/service/target");

    /// <summary>Now.</summary>
    public int Published => publications.Count(static p => !p.Ended.IsCompleted);

    /// <summary>Ever.</summary>
    public int Publications => publications.Count;

    /// <summary>Instead of publishing.</summary>
    public PortalException? Refusal { get; set; }

    public Task<PortalConnection> ConnectAsync(string target, ConnectOptions? options, CancellationToken cancellationToken) =>
        throw new PortalException(PortalError.NotFound, target);

    public Task<IPortalPublication> PublishAsync(IAcceptor acceptor, CancellationToken cancellationToken)
    {
        if (Refusal is not null) throw Refusal;
        var publication = new Publication(acceptor);
        publications.Add(publication);
        return Task.FromResult<IPortalPublication>(publication);
    }

    public async IAsyncEnumerable<ServiceChange> DiscoverAsync(ServiceQuery query, bool watch, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await Task.CompletedTask;
        yield return new ServiceChange(Target, Target, true);
    }

    public Task<PortalSignature> SignAsync(string purpose, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
        Task.FromResult(new PortalSignature(content, []));

    /// <summary>As when flor ends.</summary>
    public void End(string why) => publications.Single(static p => !p.Ended.IsCompleted).End(new PortalException(PortalError.Closed, why));

    /// <summary>A caller arrives; returns its end.</summary>
    public async Task<PortalConnection> CallAsync(string caller = "caller")
    {
        var (near, far) = LoopbackConnection.Pair(SpiffeId.Parse($"spiffe://home/service/{caller}"), Target, Target);
        await publications.Single(static p => !p.Ended.IsCompleted).Acceptor.AcceptAsync(far, default);
        return near;
    }

    /// <summary>A caller arrives and says this.</summary>
    public async Task<PortalConnection> CallAsync(byte[] words)
    {
        var connection = await CallAsync();
        await connection.Stream!.Output.WriteAsync(words);
        return connection;
    }

    public override string ToString() => "lab";

    private sealed class Publication(IAcceptor acceptor) : IPortalPublication
    {
        private readonly TaskCompletionSource<PortalException?> ended = new();

        public IAcceptor Acceptor => acceptor;

        public SpiffeId Identity => Target;

        public Task<PortalException?> Ended => ended.Task;

        public void End(PortalException? reason) => ended.TrySetResult(reason);

        public ValueTask DisposeAsync()
        {
            End(null);
            return ValueTask.CompletedTask;
        }
    }
}

/// <summary>Takes connections and keeps them.</summary>
internal sealed class Taker : IAcceptor
{
    private readonly SemaphoreSlim arrived = new(0);
    private readonly ConcurrentQueue<PortalConnection> connections = new();

    public PortalException? Refusal { get; set; }

    public int Waiting => connections.Count;

    public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
    {
        if (Refusal is not null) throw Refusal;
        connections.Enqueue(connection);
        arrived.Release();
        return ValueTask.CompletedTask;
    }

    public async Task<PortalConnection> NextAsync()
    {
        Assert.True(await arrived.WaitAsync(Lab.Prompt), "No connection came.");
        return connections.TryDequeue(out var connection) ? connection : throw new InvalidOperationException();
    }

    /// <summary>All that the next connection brings until its end.</summary>
    public async Task<byte[]> NextWordsAsync()
    {
        var connection = await NextAsync();
        while (true)
        {
            var read = await connection.Stream!.Input.ReadAsync();
            if (read.IsCompleted) return read.Buffer.ToArray();
            connection.Stream.Input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }
}

internal static class Lab
{
    public static readonly TimeSpan Prompt = TimeSpan.FromSeconds(30);

    public static readonly CallerProtocol Alpha = CallerProtocol.StartingWith("alpha", "ALPHA"u8.ToArray());

    public static readonly CallerProtocol Beta = CallerProtocol.StartingWith("beta", "BETA"u8.ToArray());

    public static byte[] Bytes(string text) => Encoding.ASCII.GetBytes(text);

    /// <summary>Why the other side ended the connection.</summary>
    public static async Task<PortalException> ReasonAsync(PortalConnection connection)
    {
        var read = Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            while (!(await connection.Stream!.Input.ReadAsync()).IsCompleted) connection.Stream.Input.AdvanceTo(default);
            throw new InvalidOperationException("It was ended in order.");
        });
        return Assert.IsType<PortalException>(await read.WaitAsync(Prompt));
    }
}
