using System.Diagnostics.Metrics;
using Florete.Identities;
using Florete.Runtime;
using Microsoft.Extensions.Logging;

namespace Florete.Layers;

/// <summary>What the directory counts; refusals are also logged, each reason at a limited rate.</summary>
internal sealed partial class DirectoryCounters : IDisposable
{
    private static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(10);

    private readonly EventLoop loop;
    private readonly ILogger logger;
    private readonly SecurityEvents? events;
    private readonly Meter meter = new("Florete.Layers.Directory");
    private readonly Counter<long> refusedCounter;
    private readonly Counter<long> acceptedCounter;
    private readonly long[] refusals = new long[Enum.GetValues<DirectoryRefusal>().Length];
    private readonly (Instant Logged, long Suppressed)[] logged;

    public DirectoryCounters(EventLoop loop, ILogger logger, SecurityEvents? events, Func<int> records, Func<long> bytes)
    {
        this.loop = loop;
        this.events = events;
        this.logger = logger;
        logged = new (Instant, long)[refusals.Length];
        Array.Fill(logged, (loop.Now - LogInterval, 0));
        refusedCounter = meter.CreateCounter<long>("florete.directory.refused", "{record}", "Records, chains and messages that were not taken, by reason.");
        acceptedCounter = meter.CreateCounter<long>("florete.directory.accepted", "{record}", "Records that were taken from neighbours or the cache.");
        meter.CreateObservableGauge("florete.directory.records", records, "{record}", "Records held.");
        meter.CreateObservableGauge("florete.directory.bytes", bytes, "By", "Bytes of records and certificate chains held.");
    }

    public long Accepted { get; private set; }

    /// <summary>Records that went beyond the cheap checks.</summary>
    public long RecordsChecked { get; set; }

    public long ChainsVerified { get; set; }

    public long OwnIssued { get; set; }

    /// <summary>Records that were held and dropped because their signer was revoked.</summary>
    public long DroppedRevoked { get; set; }

    public long Refused(DirectoryRefusal reason) => refusals[(int)reason];

    public void Accept()
    {
        Accepted++;
        acceptedCounter.Add(1);
    }

    public void Count(DirectoryRefusal reason)
    {
        refusals[(int)reason]++;
        refusedCounter.Add(1, new KeyValuePair<string, object?>("reason", reason.ToString()));
    }

    /// <param name="reason">Counted.</param>
    /// <param name="peer">Who sent it; null: the cache.</param>
    /// <param name="detail">Which record, and why.</param>
    /// <param name="isPublication">It says that a service is somewhere.</param>
    public void Refuse(DirectoryRefusal reason, DirectoryPeer? peer, string? detail, bool isPublication = false)
    {
        Count(reason);
        if (peer is not null) peer.Refused++;
        // Old versions and rates are everyday life of a network with loss.
        if (reason is DirectoryRefusal.Stale or DirectoryRefusal.Expired or DirectoryRefusal.Rate or DirectoryRefusal.Unwanted) return;
        events?.Add(
            isPublication ? SecurityEventKind.RefusedPublication : SecurityEventKind.RefusedRecord, "", peer?.NeighbourPath ?? "", detail ?? "a record of the directory", reason.ToString());
        var (at, suppressed) = logged[(int)reason];
        if (loop.Now - at < LogInterval)
        {
            logged[(int)reason].Suppressed++;
            return;
        }
        logged[(int)reason] = (loop.Now, 0);
        LogRefused(logger, reason, peer?.Neighbour.ToString() ?? "the cache", detail ?? "", suppressed);
    }

    public void Dispose() => meter.Dispose();

    [LoggerMessage(Level = LogLevel.Warning, Message = "Directory: refused ({Reason}) from {Neighbour}: {Detail} ({Suppressed} more since the last such line)")]
    private static partial void LogRefused(ILogger logger, DirectoryRefusal reason, string neighbour, string detail, long suppressed);
}
