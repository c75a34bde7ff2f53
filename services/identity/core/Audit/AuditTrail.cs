using System.Text.Json;
using Florete.Audit;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using Microsoft.Extensions.Logging;

namespace Florete.Identity.Audit;

/// <summary>Writes what the programs of this node notice into the storage (docs/protocols/audit.md). A task for each of them, which waits for the next event; it holds nobody up.</summary>
internal sealed partial class AuditTrail : IAsyncDisposable
{
    // After what was written, so that what comes fast is written together; and where a program does not wait with its answer.
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan MostPause = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AskWithin = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan CleanEvery = TimeSpan.FromHours(1);
    private static readonly TimeSpan CleanAgain = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan Kept = TimeSpan.FromDays(30);

    // As long as an event's texts may be, and some more; the storage takes 256 KiB.
    private const int MaxBodyBytes = 200 * 1024;

    private readonly string node;
    private readonly IReadOnlyList<AuditSource> sources;
    private readonly AuditPositions positions;
    private readonly IAuditStore store;
    private readonly TimeProvider clock;
    private readonly ILogger logger;
    private readonly CancellationTokenSource stopping = new();
    private readonly Dictionary<string, string> problems = new(StringComparer.Ordinal);
    private readonly Lock gate = new();
    private readonly Task collecting;
    private volatile string? problem;

    public AuditTrail(string node, IReadOnlyList<AuditSource> sources, AuditPositions positions, IAuditStore store, TimeProvider clock, ILogger logger)
    {
        (this.node, this.sources, this.positions, this.store, this.clock, this.logger) = (node, sources, positions, store, clock, logger);
        collecting = Task.WhenAll([.. sources.Select(source => Task.Run(() => FollowAsync(source))), Task.Run(CleanAsync)]);
    }

    /// <summary>Why something is not in the trail yet; null: all is.</summary>
    public string? Problem => problem;

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        await collecting.ConfigureAwait(false);
        stopping.Dispose();
    }

    /// <summary>Asks every source once, and writes what it tells.</summary>
    /// <returns>False: something is left, and has a reason.</returns>
    internal async Task<bool> RoundAsync(CancellationToken cancellationToken)
    {
        var isWhole = true;
        foreach (var source in sources) isWhole &= await TakeAsync(source, waits: false, cancellationToken).ConfigureAwait(false) is not null;
        return isWhole;
    }

    /// <summary>Asks one source, and writes what it tells.</summary>
    /// <returns>How many documents; null: something is left, and has a reason.</returns>
    private async Task<int?> TakeAsync(AuditSource source, bool waits, CancellationToken cancellationToken)
    {
        try
        {
            var written = 0;
            // A source that is far ahead has more.
            while (await WriteAsync(source, waits && written == 0, cancellationToken).ConfigureAwait(false)) written++;
            Note(source.Name, null);
            return written;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or StorageClientException)
        {
            Note(source.Name, e.Message);
            return null;
        }
    }

    private void Note(string source, string? reason)
    {
        lock (gate)
        {
            if (reason is null) problems.Remove(source);
            else if (!problems.TryGetValue(source, out var known) || known != reason) NotWritten(source, reason);
            if (reason is not null) problems[source] = reason;
            problem = problems.Count == 0 ? null : $"Not in the audit trail yet: {string.Join(" ", problems.Select(static p => $"events of {p.Key}: {p.Value}"))}";
        }
    }

    // True: there is more.
    private async Task<bool> WriteAsync(AuditSource source, bool waits, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(waits ? AuditSource.Patience + AskWithin : AskWithin);
        NoticedEvents noticed;
        try
        {
            noticed = await source.AfterAsync(positions.Of(source.Name), waits, limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new IOException($"it did not answer within {AskWithin.TotalSeconds:0} s.");
        }
        if (noticed.Events.Count == 0) return false;
        var place = positions.Of(source.Name);
        var expected = (place.Run == noticed.Started ? place.Number : 0) + 1;
        var batch = new List<AuditEvent>();
        var (bytes, last) = (0, 0L);
        foreach (var e in noticed.Events)
        {
            // What fell out of a full memory before it was asked for.
            var lost = batch.Count == 0 ? e.Number - expected : 0;
            var suppressed = e.Suppressed + lost;
            var entry = new AuditEvent(e.Time.ToUniversalTime(), node, source.Name, e.Kind, e.Reason, e.Subject, e.Peer, suppressed > 0 ? suppressed : null);
            var size = JsonSerializer.SerializeToUtf8Bytes(entry, AuditJson.Default.AuditEvent).Length + 1;
            if (batch.Count == AuditBatch.MaxEvents || (batch.Count > 0 && bytes + size > MaxBodyBytes)) break;
            batch.Add(entry);
            bytes += size;
            last = e.Number;
        }
        var body = JsonSerializer.SerializeToUtf8Bytes(new AuditBatch(batch), AuditJson.Default.AuditBatch);
        await store.PutAsync(AuditCollection.KeyOf(node, source.Name, noticed.Started, noticed.Events[0].Number), body, cancellationToken).ConfigureAwait(false);
        positions.Save(source.Name, new AuditPlace(noticed.Started, last));
        return true;
    }

    /// <summary>Deletes what this node wrote more than 30 days ago.</summary>
    internal async Task CleanAsync(CancellationToken cancellationToken)
    {
        var before = clock.GetUtcNow() - Kept;
        var old = new List<DocumentKey>();
        await foreach (var (key, written) in store.ListAsync(AuditCollection.PrefixOf(node), cancellationToken).ConfigureAwait(false))
        {
            if (written < before) old.Add(key);
        }
        foreach (var key in old) await store.DeleteAsync(key, cancellationToken).ConfigureAwait(false);
    }

    private async Task FollowAsync(AuditSource source)
    {
        var pause = Interval;
        try
        {
            while (true)
            {
                await Task.Delay(pause, clock, stopping.Token).ConfigureAwait(false);
                try
                {
                    var asked = clock.GetTimestamp();
                    var written = await TakeAsync(source, waits: true, stopping.Token).ConfigureAwait(false);
                    // Where it has waited, it is asked anew at once.
                    pause = written is null ? Longer(pause) : written == 0 && clock.GetElapsedTime(asked) > Interval ? TimeSpan.Zero : Interval;
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    pause = Longer(pause);
                    Note(source.Name, $"a fault of this program: {e.Message}");
                    Faulted(e);
                }
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The service stops; what is left is in its source.
        }
    }

    private async Task CleanAsync()
    {
        try
        {
            var pause = CleanEvery;
            while (true)
            {
                await Task.Delay(pause, clock, stopping.Token).ConfigureAwait(false);
                try
                {
                    await CleanAsync(stopping.Token).ConfigureAwait(false);
                    pause = CleanEvery;
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    pause = CleanAgain;
                    Faulted(e);
                }
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The service stops.
        }
    }

    private static TimeSpan Longer(TimeSpan pause) => pause < Interval ? Interval : pause * 2 < MostPause ? pause * 2 : MostPause;

    [LoggerMessage(Level = LogLevel.Warning, Message = "Events of {Source} are not in the audit trail yet, and are tried again: {Reason}")]
    private partial void NotWritten(string source, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "The audit trail failed; trying again")]
    private partial void Faulted(Exception fault);
}
