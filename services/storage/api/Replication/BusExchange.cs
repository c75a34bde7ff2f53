using System.Buffers;
using System.Threading.Channels;
using Florete.Bus;
using Florete.Portals;
using Florete.Storage.Contracts;
using Microsoft.Extensions.Logging;

namespace Florete.Storage.Api.Replication;

/// <summary>Replication for speed: tells every other replica of the group what this one has accepted, and takes what they tell. What is lost on this way is pulled later.</summary>
internal sealed partial class BusExchange : IAsyncDisposable
{
    // What waits to be told; beyond it, pulls bring it.
    private const int MaxWaiting = 1024;
    private const long MaxWaitingBytes = 16 << 20;

    // Messages of one sender that are on their way; the bytes are bounded by the bus.
    private const int Window = 64;

    // So that one sender whose chain must be fetched does not hold up the others.
    private const int Takers = 4;

    // Older than that, pulls are faster.
    private static readonly TimeSpan Life = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan RoomWait = TimeSpan.FromSeconds(2);

    private readonly ReplicaHost host;
    private readonly PeerClients clients;
    private readonly StorageMetrics metrics;
    private readonly ILogger logger;
    private readonly BusMember member;
    private readonly Channel<DocumentVersion> waiting = Channel.CreateBounded<DocumentVersion>(new BoundedChannelOptions(MaxWaiting) { SingleReader = true });
    private readonly CancellationTokenSource stopping = new();
    private long waitingBytes;
    private Task running = Task.CompletedTask;

    public BusExchange(IProgramPortal portal, ReplicaHost host, PeerClients clients, StorageMetrics metrics, ILoggerFactory logs)
    {
        (this.host, this.clients, this.metrics, logger) = (host, clients, metrics, logs.CreateLogger<BusExchange>());
        member = new BusMember(portal, new BusMemberOptions { SendTimeout = RoomWait, StopTimeout = TimeSpan.FromSeconds(1) }, logs.CreateLogger<BusMember>());
    }

    /// <summary>Others that are told.</summary>
    public int Peers => member.Peers.Count;

    public void Start()
    {
        var queue = member.Receive($"florete.storage.{host.Name}", isTemporary: true, Window, [StorageProtocol.VersionsTopic]);
        member.Start();
        host.Accepted = Publish;
        running = Task.WhenAll(Enumerable.Range(0, Takers).Select(_ => Task.Run(() => TakeAsync(queue))).Append(Task.Run(TellAsync)));
    }

    public async ValueTask DisposeAsync()
    {
        host.Accepted = static _ => { };
        await stopping.CancelAsync().ConfigureAwait(false);
        await running.ConfigureAwait(false);
        await member.DisposeAsync().ConfigureAwait(false);
        stopping.Dispose();
    }

    private void Publish(DocumentVersion version)
    {
        if (Interlocked.Add(ref waitingBytes, version.Bytes.Length) <= MaxWaitingBytes && waiting.Writer.TryWrite(version)) return;
        Interlocked.Add(ref waitingBytes, -version.Bytes.Length);
        metrics.Unpublished.Add(1);
    }

    // What was accepted while a message was on its way makes the next one.
    private async Task TellAsync()
    {
        try
        {
            while (await waiting.Reader.WaitToReadAsync(stopping.Token).ConfigureAwait(false))
            {
                var batch = new ArrayBufferWriter<byte>();
                var count = 0;
                while (waiting.Reader.TryPeek(out var next) && batch.WrittenCount + VersionBatch.EncodedBytes(next) <= VersionBatch.MaxMessageBytes && waiting.Reader.TryRead(out var version))
                {
                    Interlocked.Add(ref waitingBytes, -version.Bytes.Length);
                    VersionBatch.Append(batch, version, isSuperseded: false);
                    count++;
                }
                try
                {
                    var message = new BusMessage(Guid.NewGuid(), default, batch.WrittenMemory) { TimeToLive = Life };
                    await member.PublishAsync([StorageProtocol.VersionsTopic], message, cancellationToken: stopping.Token).ConfigureAwait(false);
                }
                catch (BusException e)
                {
                    metrics.Unpublished.Add(count);
                    NotTold(count, e.Message);
                }
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The replica stops.
        }
    }

    private async Task TakeAsync(BusReceiver queue)
    {
        try
        {
            while (true)
            {
                var delivery = await queue.TakeAsync(stopping.Token).ConfigureAwait(false);
                try
                {
                    await TakeAsync(delivery).ConfigureAwait(false);
                }
                catch (Exception e) when (e is PeerException or StorageException)
                {
                    NotTaken(delivery.Sender.Vertex?.Name ?? "this node", e.Message);
                }
                // What could not be taken is pulled later: sending it again would not be faster.
                queue.Finish(delivery, DeliveryOutcome.Completed);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The replica stops.
        }
    }

    private async Task TakeAsync(BusDelivery delivery)
    {
        // A member is told by itself too.
        if (delivery.Sender.Vertex is not { } vertex) return;
        if (delivery.Sender.Identity != host.Storage) throw new PeerException($"{delivery.Sender.Identity} tells versions, and only replicas may.");
        if (!VersionBatch.TryDecode(delivery.Message.Body, out var versions, out var problem)) throw new PeerException($"A message of the bus is malformed: {problem}");
        await host.MergeAsync(clients.Of(vertex), versions, null, "bus", stopping.Token).ConfigureAwait(false);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} versions are not told by the bus, and will be pulled: {Reason}")]
    private partial void NotTold(int count, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "What the replica of {Replica} told by the bus is not taken, and will be pulled: {Reason}")]
    private partial void NotTaken(string replica, string reason);
}
