using Florete.AspNetCore;
using Florete.Bus;
using Florete.Identities;
using Florete.Portals;
using Florete.Storage.Api.Replication;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Florete.Storage.Api;

/// <summary>The replica cannot start; the message says why, and the remedy.</summary>
public sealed class StorageStartException(string message) : Exception(message);

/// <summary>
/// A replica with all that belongs to it: published for programs by HTTP and for other replicas by HTTP and the bus, under one identity. It starts whether flor runs or not, and is ready when
/// flor has told its vertex, whose name is the replica's.
/// </summary>
public sealed partial class StorageServer : IAsyncDisposable
{
    private readonly StorageOptions options;
    private readonly StorageMaterials materials;
    private readonly StorageMetrics metrics = new();
    private readonly NamedPortal named;
    private readonly SharedPortal shared;
    private readonly ReplicaHost host;
    private readonly PeerClients clients;
    private readonly WebApplication application;
    private readonly ILoggerFactory logs;
    private readonly ILogger logger;
    private readonly TimeProvider time;
    private readonly CancellationTokenSource stopping = new();
    private readonly TaskCompletionSource<Exception> failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task opening = Task.CompletedTask;
    private Exchanges? exchanges;

    private StorageServer(StorageOptions options, IProgramPortal portal, Action<ILoggingBuilder> logging, TimeProvider time)
    {
        (this.options, this.time) = (options, time);
        named = new NamedPortal(portal);
        shared = new SharedPortal(named);
        application = PortalApplication.CreateBuilder("florete-storage", shared.For(PortalHttp.Protocol), maxRequestBodyBytes: null, logging).Build();
        logs = application.Services.GetRequiredService<ILoggerFactory>();
        logger = logs.CreateLogger<StorageServer>();
        materials = StorageMaterials.Open(options, time, logs.CreateLogger<StorageMaterials>());
        host = new ReplicaHost(materials, metrics, time, logs.CreateLogger<ReplicaHost>());
        clients = new PeerClients(shared.For(PortalHttp.Protocol), host.Storage);
    }

    /// <summary>Completes when the replica cannot go on, with the reason.</summary>
    public Task<Exception> Failed => failed.Task;

    /// <summary>It reads and writes.</summary>
    public bool IsReady => host.IsOpen && host.IsFilled;

    /// <param name="options">Checked here.</param>
    /// <param name="portal">Of <c>service/storage</c>; it must say which vertex publishes it.</param>
    /// <param name="logging">Where its log goes.</param>
    /// <param name="time">The wall clock.</param>
    /// <param name="cancellationToken">Gives the start up.</param>
    /// <exception cref="StorageStartException">Options are wrong; the message has all problems.</exception>
    /// <exception cref="IdentityException">The bundle or the bounds are unusable.</exception>
    public static async Task<StorageServer> StartAsync(
        StorageOptions options, IProgramPortal portal, Action<ILoggingBuilder> logging, TimeProvider? time = null, CancellationToken cancellationToken = default)
    {
        if (options.Validate() is { Count: > 0 } problems) throw new StorageStartException(string.Join(Environment.NewLine, problems));
        var server = new StorageServer(options, portal, logging, time ?? TimeProvider.System);
        try
        {
            server.Map();
            await server.application.StartAsync(cancellationToken).ConfigureAwait(false);
            server.opening = Task.Run(server.OpenAsync, CancellationToken.None);
            return server;
        }
        catch
        {
            await server.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        await opening.ConfigureAwait(false);
        if (exchanges is not null) await exchanges.DisposeAsync().ConfigureAwait(false);
        // Watches end now; requests that run are answered.
        await host.StopWatchesAsync().ConfigureAwait(false);
        await application.StopAsync().ConfigureAwait(false);
        await host.DisposeAsync().ConfigureAwait(false);
        clients.Dispose();
        await materials.DisposeAsync().ConfigureAwait(false);
        await application.DisposeAsync().ConfigureAwait(false);
        metrics.Dispose();
        stopping.Dispose();
    }

    // The name of a replica is that of its vertex, which flor tells when it first publishes it.
    private async Task OpenAsync()
    {
        try
        {
            var (identity, vertex) = await named.Published.WaitAsync(stopping.Token).ConfigureAwait(false);
            if (identity != host.Storage) throw new StorageStartException($"{named} is the portal socket of {identity}, and a replica is {host.Storage}; name the portal socket of {host.Storage.Path} with --portal.");
            if (vertex is null) throw new StorageStartException($"{named} does not tell its vertex, and a replica has the name of its vertex; use a portal socket.");
            var limits = new StorageLimits { MaxDocuments = options.MaxDocuments, MaxBytes = options.MaxBytes };
            var replica = await StorageReplica.OpenAsync(
                options.StateFolder, ReplicaName.Parse(vertex.Name), new BoundsRules(materials.Bounds), materials.Verifier, limits, time, logs.CreateLogger<StorageReplica>(), stopping.Token).ConfigureAwait(false);
            host.Open(replica);
            exchanges = new Exchanges(shared, host, clients, vertex, options, metrics, time, logs, failed);
            Ready(vertex.Name);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // It stops before it was ready.
        }
        catch (Exception e)
        {
            host.Missing = e.Message;
            failed.TrySetResult(e);
        }
    }

    private HealthAnswer Health()
    {
        var missing = new List<string>();
        if (!host.IsOpen) missing.Add(host.Missing);
        else if (host.Replica.ClockBehind > StorageProtocol.MaxStampAhead) missing.Add($"the clock is {host.Replica.ClockBehind.TotalSeconds:0} s behind what is held: nothing can be written here until it is set.");
        if (host.IsOpen && !host.IsFilled) missing.Add("it is new, and takes what the others have before it accepts writes.");
        if (exchanges?.Instances.Trouble is { } trouble) missing.Add($"other replicas cannot be discovered: {trouble}");
        return new HealthAnswer(IsReady, host.IsOpen ? host.Name.ToString() : null, missing, host.RefusedCount, exchanges?.Puller.Health ?? []);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Replica {Name} is ready")]
    private partial void Ready(string name);

    private sealed class BoundsRules(Bounds bounds) : IWriteRules
    {
        public Verdict MayWrite(SpiffeId author, CollectionName collection, Stamp stamp) => bounds.MayWrite(author, collection.ToString(), stamp.Time);
    }

    /// <summary>What goes on between this replica and others, from when it is open.</summary>
    private sealed class Exchanges : IAsyncDisposable
    {
        private readonly CancellationTokenSource stopping = new();
        private readonly BusExchange bus;
        private readonly Task running;

        public Exchanges(
            SharedPortal shared, ReplicaHost host, PeerClients clients, SpiffeId vertex, StorageOptions options, StorageMetrics metrics, TimeProvider time, ILoggerFactory logs,
            TaskCompletionSource<Exception> failed)
        {
            Instances = new InstanceSet(shared.For(PortalHttp.Protocol), host.Storage, vertex, logs.CreateLogger<InstanceSet>());
            Puller = new Puller(host, Instances, clients, options, metrics, time, logs.CreateLogger<Puller>());
            host.Arbiter = new Arbiter(Instances, clients, host.Name);
            bus = new BusExchange(shared.For(BusMember.Protocol), host, clients, metrics, logs);
            bus.Start();
            running = Task.WhenAll(Task.Run(() => Puller.RunAsync(stopping.Token)), Task.Run(() => Instances.RunAsync(stopping.Token)));
            _ = running.ContinueWith(t => failed.TrySetResult(t.Exception!.InnerException!), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        }

        public InstanceSet Instances { get; }

        public Puller Puller { get; }

        public async ValueTask DisposeAsync()
        {
            await stopping.CancelAsync().ConfigureAwait(false);
            await bus.DisposeAsync().ConfigureAwait(false);
            await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Puller.Dispose();
            stopping.Dispose();
        }
    }
}
