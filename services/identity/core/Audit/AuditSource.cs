using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Florete.Audit;
using Florete.Control;

namespace Florete.Identity.Audit;

/// <summary>One program of the node that notices what belongs into the trail.</summary>
internal abstract class AuditSource(string name)
{
    /// <summary>As documents and events name it.</summary>
    public string Name => name;

    /// <summary>Who waits for the next event is answered after this time, if there is none.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(25);

    /// <summary>What came after a place of the trail; empty: nothing. One of an earlier run is as none.</summary>
    /// <param name="place">How far the trail is.</param>
    /// <param name="waits">Where there is nothing, it may answer with the next event, or after <see cref="Patience"/>.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="IOException">It cannot be asked now.</exception>
    public abstract Task<NoticedEvents> AfterAsync(AuditPlace place, bool waits, CancellationToken cancellationToken);
}

/// <summary>A program that is asked, and counts anew when it starts anew.</summary>
internal abstract class AskedSource(string name) : AuditSource(name)
{
    // Of the run that answered last; null: it is not known whose numbers would be waited for.
    private DateTimeOffset? run;

    public override async Task<NoticedEvents> AfterAsync(AuditPlace place, bool waits, CancellationToken cancellationToken)
    {
        try
        {
            // Of a run of which nothing is in the trail yet, everything is wanted.
            var after = run is null || run == place.Run ? place.Number : 0;
            var told = await AskAsync(after, waits && run is not null ? Patience : TimeSpan.Zero, cancellationToken).ConfigureAwait(false);
            if (told.Started != place.Run && after > 0) told = await AskAsync(0, TimeSpan.Zero, cancellationToken).ConfigureAwait(false);
            run = told.Started;
            return told;
        }
        catch
        {
            run = null;
            throw;
        }
    }

    /// <summary>What came after a number, or the next.</summary>
    protected abstract Task<NoticedEvents> AskAsync(long after, TimeSpan wait, CancellationToken cancellationToken);
}

/// <summary>The identity service's own events, which are on disk.</summary>
internal sealed class IdentitySource(EventFile events, DateTimeOffset run) : AuditSource("identity")
{
    public override async Task<NoticedEvents> AfterAsync(AuditPlace place, bool waits, CancellationToken cancellationToken)
    {
        var after = place.Run == run ? place.Number : 0;
        if (waits)
        {
            await events.OtherThanAsync(after).WaitAsync(Patience, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellationToken.ThrowIfCancellationRequested();
        }
        // The files are read only when there is something in them.
        var found = events.LastNumber > after ? events.After(after) : [];
        return new NoticedEvents(run, [.. found.Select(static e => new NoticedEvent(e.Number, e.Time, e.Kind, e.Detail, 0, e.Subject, e.By))]);
    }
}

/// <summary>flor's, by its control socket.</summary>
internal sealed class FlorSource(string controlSocket) : AskedSource("flor")
{
    protected override async Task<NoticedEvents> AskAsync(long after, TimeSpan wait, CancellationToken cancellationToken)
    {
        var request = Encoding.UTF8.GetBytes($$"""{"version":1,"command":"events","after":{{after}},"waitSeconds":{{(int)wait.TotalSeconds}}}""");
        var events = new List<NoticedEvent>();
        try
        {
            await foreach (var line in ControlLines.AskAsync(controlSocket, request, cancellationToken).ConfigureAwait(false))
            {
                var answer = JsonSerializer.Deserialize(line, FlorJson.Default.FlorAnswer);
                if (answer?.Error is { } error) throw new IOException(error);
                if (answer?.Event is { } noticed) events.Add(noticed);
                if (answer?.Started is { } started) return new NoticedEvents(started, events);
            }
        }
        catch (JsonException e)
        {
            throw new IOException($"What listens at {controlSocket} does not answer as flor does ({e.Message}); name flor's control socket with --control.", e);
        }
        throw new IOException($"The flor at {controlSocket} did not end its answer; use the same version of Florete.");
    }
}

/// <summary>Those of the node's own replica, over the portal.</summary>
/// <param name="http">Connects to the replica of this node alone.</param>
internal sealed class StorageSource(HttpClient http) : AskedSource("storage")
{
    protected override async Task<NoticedEvents> AskAsync(long after, TimeSpan wait, CancellationToken cancellationToken)
    {
        try
        {
            return await http.GetFromJsonAsync($"http://storage.rete/v1/events?after={after}&wait={(int)wait.TotalSeconds}", AuditJson.Default.NoticedEvents, cancellationToken).ConfigureAwait(false)
                ?? throw new IOException("The storage of this node answers nothing.");
        }
        catch (Exception e) when (e is HttpRequestException or JsonException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new IOException($"The storage of this node does not tell its events: {e.Message}", e);
        }
    }
}

/// <summary>A line of flor's answer to <c>events</c>.</summary>
internal sealed record FlorAnswer(string? Error = null, NoticedEvent? Event = null, DateTimeOffset? Started = null);

[System.Text.Json.Serialization.JsonSourceGenerationOptions(JsonSerializerDefaults.Web, MaxDepth = 8)]
[System.Text.Json.Serialization.JsonSerializable(typeof(FlorAnswer))]
internal sealed partial class FlorJson : System.Text.Json.Serialization.JsonSerializerContext;
