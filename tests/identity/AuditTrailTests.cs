using Florete.Audit;
using Florete.Identities;
using Florete.Identity.Audit;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Identity.Tests;

public sealed class AuditTrailTests : IDisposable
{
    private static readonly DateTimeOffset Start = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);
    private readonly string folder = Directory.CreateTempSubdirectory("florete-audit-").FullName;
    private readonly StillTimers clock = new(Start);
    private readonly Store store = new();
    private readonly Source source = new("flor", Start);

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task Every_event_is_written_once_whatever_the_number_of_rounds_and_restarts()
    {
        source.Add(3);
        await using (var trail = Open())
        {
            Assert.True(await trail.RoundAsync(default));
            Assert.True(await trail.RoundAsync(default));
            source.Add(1);
            Assert.True(await trail.RoundAsync(default));
        }
        await using (var again = Open()) Assert.True(await again.RoundAsync(default));
        Assert.Equal([1, 2, 3, 4], store.Numbers);
        Assert.Equal(2, store.Documents.Count);
        Assert.All(store.Events, static e => Assert.Equal(("a", "flor"), (e.Node, e.Source)));
    }

    [Fact]
    public async Task A_crash_after_the_write_and_before_the_position_writes_the_same_document_again()
    {
        source.Add(3);
        await using (var trail = Open()) await trail.RoundAsync(default);
        File.Delete(Path.Combine(folder, "audit.json"));
        source.Add(1);
        await using (var trail = Open()) await trail.RoundAsync(default);
        Assert.Equal([1, 2, 3, 4], store.Numbers);
        Assert.Single(store.Documents);
    }

    [Fact]
    public async Task A_source_that_began_anew_is_told_from_its_first_event_under_another_name()
    {
        source.Add(2);
        await using var trail = Open();
        await trail.RoundAsync(default);
        source.Restart(Start + TimeSpan.FromMinutes(1));
        source.Add(1);
        await trail.RoundAsync(default);
        Assert.Equal([1, 2, 1], store.Numbers);
        Assert.Equal(2, store.Documents.Count);
    }

    [Fact]
    public async Task What_fell_out_of_a_full_memory_is_counted()
    {
        source.Add(10, kept: 4);
        await using var trail = Open();
        await trail.RoundAsync(default);
        Assert.Equal([7, 8, 9, 10], store.Numbers);
        Assert.Equal(6, store.Events.First().Suppressed);
        Assert.All(store.Events.Skip(1), static e => Assert.Null(e.Suppressed));
    }

    [Fact]
    public async Task Many_events_become_several_documents()
    {
        source.Add(AuditBatch.MaxEvents + 50);
        await using var trail = Open();
        await trail.RoundAsync(default);
        Assert.Equal(Enumerable.Range(1, AuditBatch.MaxEvents + 50).Select(static n => (long)n), store.Numbers);
        Assert.Equal(2, store.Documents.Count);
    }

    [Fact]
    public async Task While_the_storage_takes_nothing_nothing_is_lost_and_the_health_says_why()
    {
        source.Add(2);
        store.Refusal = new StorageClientException(StorageError.Unavailable, "No replica answers.");
        await using var trail = Open();
        Assert.False(await trail.RoundAsync(default));
        Assert.Contains("No replica answers.", trail.Problem, StringComparison.Ordinal);
        store.Refusal = null;
        Assert.True(await trail.RoundAsync(default));
        Assert.Null(trail.Problem);
        Assert.Equal([1, 2], store.Numbers);
    }

    [Fact]
    public async Task One_source_that_does_not_answer_keeps_no_other_from_the_trail()
    {
        var deaf = new Source("storage", Start) { Problem = new IOException("It is not there.") };
        source.Add(1);
        await using var trail = Open(deaf, source);
        Assert.False(await trail.RoundAsync(default));
        Assert.Equal([1], store.Numbers);
        Assert.Contains("events of storage: It is not there.", trail.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_node_wrote_more_than_thirty_days_ago_it_deletes()
    {
        source.Add(1);
        await using var trail = Open();
        await trail.RoundAsync(default);
        store.Written = Start + TimeSpan.FromDays(20);
        source.Add(1);
        await trail.RoundAsync(default);
        clock.Now = Start + TimeSpan.FromDays(31);
        await trail.CleanAsync(default);
        Assert.Equal([2], store.Numbers);
    }

    [Fact]
    public void Positions_of_a_newer_program_are_refused_and_damaged_ones_begin_anew()
    {
        var file = Path.Combine(folder, "audit.json");
        File.WriteAllText(file, """{"format":2,"made":"2026-06-01T12:00:00Z","places":{}}""");
        Assert.Contains(file, Assert.Throws<IdentityException>(() => AuditPositions.Open(folder, Start)).Message, StringComparison.Ordinal);
        foreach (var damaged in new[] { "", "{", "null", """{"format":1}""", """{"format":1,"made":"2026-06-01T12:00:00Z","places":{"flor":7}}""" })
        {
            File.WriteAllText(file, damaged);
            Assert.Equal(default, AuditPositions.Open(folder, Start).Of("flor"));
        }
    }

    [Fact]
    public async Task The_services_own_events_are_a_source()
    {
        using var events = EventFile.Open(folder, clock);
        events.Add("join", "spiffe://home/node/c", "spiffe://home/node/b", "by token");
        await using var trail = Open(new IdentitySource(events, Start));
        await trail.RoundAsync(default);
        events.Add("refusal", "?", "spiffe://home/node/b", "used");
        await trail.RoundAsync(default);
        Assert.Equal(["join", "refusal"], store.Events.Select(static e => e.Kind));
        Assert.Equal("spiffe://home/node/b", store.Events.First().By);
    }

    [Fact]
    public async Task A_program_that_began_anew_is_not_waited_for_since_its_numbers_mean_something_else()
    {
        var flor = new Asked(Start);
        // Nothing is known of it yet.
        await flor.AfterAsync(new AuditPlace(Start, 7), waits: true, default);
        await flor.AfterAsync(new AuditPlace(Start, 7), waits: true, default);
        await flor.AfterAsync(new AuditPlace(Start, 7), waits: false, default);
        Assert.Equal([(7, TimeSpan.Zero), (7, AuditSource.Patience), (7, TimeSpan.Zero)], flor.Questions);
        flor.Questions.Clear();

        flor.Run = Start + TimeSpan.FromMinutes(1);
        Assert.Equal(flor.Run, (await flor.AfterAsync(new AuditPlace(Start, 7), waits: true, default)).Started);
        await flor.AfterAsync(new AuditPlace(flor.Run, 2), waits: true, default);
        Assert.Equal([(7, AuditSource.Patience), (0, TimeSpan.Zero), (2, AuditSource.Patience)], flor.Questions);
        flor.Questions.Clear();

        // It has told nothing yet: the trail's place is still of the run before, and its first event is waited for.
        flor.Run += TimeSpan.FromMinutes(1);
        var before = new AuditPlace(flor.Run - TimeSpan.FromMinutes(1), 2);
        await flor.AfterAsync(before, waits: true, default);
        await flor.AfterAsync(before, waits: true, default);
        Assert.Equal([(2, AuditSource.Patience), (0, TimeSpan.Zero), (0, AuditSource.Patience)], flor.Questions);
        flor.Questions.Clear();

        flor.Problem = new IOException("It went away.");
        await Assert.ThrowsAsync<IOException>(() => flor.AfterAsync(new AuditPlace(flor.Run, 2), waits: true, default));
        flor.Problem = null;
        await flor.AfterAsync(new AuditPlace(flor.Run, 2), waits: true, default);
        Assert.Equal((2, TimeSpan.Zero), flor.Questions[^1]);
    }

    [Fact]
    public async Task The_services_own_next_event_ends_the_wait()
    {
        using var events = EventFile.Open(folder, clock);
        events.Add("join", "spiffe://home/node/c", "spiffe://home/node/b", "by token");
        var own = new IdentitySource(events, Start);
        Assert.Single((await own.AfterAsync(new AuditPlace(Start, 0), waits: true, default)).Events);
        var waiting = own.AfterAsync(new AuditPlace(Start, 1), waits: true, default);
        Assert.False(waiting.IsCompleted);
        events.Add("refusal", "?", "spiffe://home/node/b", "used");
        Assert.Equal("refusal", Assert.Single((await waiting).Events).Kind);
        using var ending = new CancellationTokenSource();
        var ended = own.AfterAsync(new AuditPlace(Start, 2), waits: true, ending.Token);
        await ending.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ended);
    }

    private AuditTrail Open(params AuditSource[] sources) => new(
        "a", sources.Length > 0 ? sources : [source], AuditPositions.Open(folder, Start), store, clock, NullLogger.Instance);

    /// <summary>Its timers never fire: rounds are the test's own.</summary>
    private sealed class StillTimers(DateTimeOffset start) : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = start;

        public override DateTimeOffset GetUtcNow() => Now;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            base.CreateTimer(callback, state, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    private sealed class Asked(DateTimeOffset run) : AskedSource("flor")
    {
        public DateTimeOffset Run { get; set; } = run;

        public IOException? Problem { get; set; }

        public List<(long After, TimeSpan Wait)> Questions { get; } = [];

        protected override Task<NoticedEvents> AskAsync(long after, TimeSpan wait, CancellationToken cancellationToken)
        {
            Questions.Add((after, wait));
            return Problem is null ? Task.FromResult(new NoticedEvents(Run, [])) : throw Problem;
        }
    }

    private sealed class Source(string name, DateTimeOffset started) : AuditSource(name)
    {
        private readonly List<NoticedEvent> events = [];
        private DateTimeOffset run = started;
        private long last;

        public IOException? Problem { get; set; }

        public void Add(int count, int kept = int.MaxValue)
        {
            for (var i = 0; i < count; i++) events.Add(new NoticedEvent(++last, run, "refusedCaller", $"number {last}", 0, $"spiffe://home/user/{last}"));
            if (events.Count > kept) events.RemoveRange(0, events.Count - kept);
        }

        public void Restart(DateTimeOffset now)
        {
            events.Clear();
            (run, last) = (now, 0);
        }

        public override Task<NoticedEvents> AfterAsync(AuditPlace place, bool waits, CancellationToken cancellationToken) => Problem is { } problem
            ? throw problem
            : Task.FromResult(new NoticedEvents(run, [.. events.Where(e => e.Number > (place.Run == run ? place.Number : 0))]));
    }

    private sealed class Store : IAuditStore
    {
        public SortedDictionary<DocumentKey, (DateTimeOffset Written, AuditBatch Batch)> Documents { get; } = [];

        public DateTimeOffset Written { get; set; } = Start;

        public StorageClientException? Refusal { get; set; }

        public IEnumerable<AuditEvent> Events => Documents.Values.SelectMany(static d => d.Batch.Events);

        public IEnumerable<long> Numbers => Events.Select(static e => long.Parse(e.Detail.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture));

        public Task PutAsync(DocumentKey key, ReadOnlyMemory<byte> json, CancellationToken cancellationToken)
        {
            if (Refusal is { } refusal) throw refusal;
            Documents[key] = (Written, System.Text.Json.JsonSerializer.Deserialize(json.Span, AuditJson.Default.AuditBatch)!);
            return Task.CompletedTask;
        }

        public Task DeleteAsync(DocumentKey key, CancellationToken cancellationToken)
        {
            Documents.Remove(key);
            return Task.CompletedTask;
        }

        public async IAsyncEnumerable<(DocumentKey Key, DateTimeOffset Written)> ListAsync(string prefix, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
        {
            await Task.CompletedTask;
            foreach (var (key, document) in Documents.Where(d => d.Key.Name.ToString().StartsWith(prefix, StringComparison.Ordinal))) yield return (key, document.Written);
        }
    }
}
