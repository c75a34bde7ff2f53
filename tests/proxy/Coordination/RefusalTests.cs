using Florete.Identities;
using Florete.Proxy.Coordination;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Tests.Coordination;

public class RefusalTests
{
    private static readonly SpiffeId B = CoordinationLab.Id("node/b"), C = CoordinationLab.Id("node/c"), At = CoordinationLab.Id("vertex/c");

    [Fact]
    public void A_refusal_is_logged_once_in_ten_seconds_for_each_reason_and_coordinator_and_counted_always()
    {
        var (clock, lines) = (new SetClock(), new Lines());
        var events = new SecurityEvents(clock);
        using var refusals = new DecisionRefusals(events, clock, lines);
        var stale = new RefusedDecision(DecisionRefusal.StaleEpoch, "The epoch 5 (c) is over.", new Epoch(5, "c"));
        for (var i = 0; i < 30; i++) refusals.Add(stale, C, At);
        refusals.Add(stale, B, At);
        refusals.Add(stale with { Reason = DecisionRefusal.Unproved }, C, At);
        Assert.Equal(3, lines.Written.Count);
        Assert.Contains("staleEpoch", lines.Written[0], StringComparison.Ordinal);
        Assert.Contains("node/c", lines.Written[0], StringComparison.Ordinal);
        Assert.Contains("epoch 5 (c)", lines.Written[0], StringComparison.Ordinal);
        clock.Advance(TimeSpan.FromSeconds(10));
        refusals.Add(stale, C, At);
        Assert.Contains("29 more", lines.Written[3], StringComparison.Ordinal);
        Assert.Equal((32, 1, 0), (refusals.Count(DecisionRefusal.StaleEpoch), refusals.Count(DecisionRefusal.Unproved), refusals.Count(DecisionRefusal.Malformed)));
        Assert.Equal(["node/c", "node/b", "node/c"], events.After(0).Select(static e => e.Subject));
        Assert.All(events.After(0), static e => Assert.Equal((SecurityEventKind.RefusedDecision, "vertex/c"), (e.Kind, e.Peer)));
        Assert.StartsWith("staleEpoch: epoch 5 (c)", events.After(0)[0].Reason, StringComparison.Ordinal);
        clock.Advance(SecurityEvents.Interval);
        Assert.Equal(("node/c", 29), (Assert.Single(events.After(3)).Subject, events.After(3)[0].Suppressed));
    }

    [Fact]
    public void However_many_are_refused_the_memory_of_lines_is_bounded()
    {
        var (clock, lines) = (new SetClock(), new Lines());
        using var refusals = new DecisionRefusals(new SecurityEvents(clock), clock, lines);
        var stale = new RefusedDecision(DecisionRefusal.StaleEpoch, "", null);
        for (var i = 0; i < 3000; i++) refusals.Add(stale, CoordinationLab.Id($"node/n{i}"), At);
        Assert.Equal((3000, 1024), (refusals.Count(DecisionRefusal.StaleEpoch), lines.Written.Count));
        clock.Advance(TimeSpan.FromSeconds(10));
        refusals.Add(stale, C, At);
        Assert.Equal(1025, lines.Written.Count);
    }

    [Fact]
    public void A_caller_has_twenty_decisions_checked_at_once_and_five_a_second_and_another_its_own()
    {
        var clock = new SetClock();
        var limits = new CallerLimits(clock);
        Assert.Equal(20, Enumerable.Range(0, 100).Count(_ => limits.TryDecide(C)));
        Assert.True(limits.TryDecide(B));
        clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(5, Enumerable.Range(0, 100).Count(_ => limits.TryDecide(C)));
        clock.Advance(TimeSpan.FromHours(1));
        Assert.Equal(20, Enumerable.Range(0, 100).Count(_ => limits.TryDecide(C)));
        // Whoever asks once is not remembered for ever.
        for (var i = 0; i < 1023; i++) Assert.True(limits.TryDecide(CoordinationLab.Id($"node/n{i}")));
        Assert.False(limits.TryDecide(At));
        clock.Advance(TimeSpan.FromSeconds(4));
        Assert.True(limits.TryDecide(At));
    }

    [Fact]
    public void Streams_are_counted_in_all_and_for_each_caller()
    {
        var limits = new CallerLimits(new SetClock());
        Assert.Equal(8, Enumerable.Range(0, 20).Count(_ => limits.TryOpen(C)));
        for (var i = 0; i < 56; i++) Assert.True(limits.TryOpen(CoordinationLab.Id($"node/n{i}")));
        Assert.False(limits.TryOpen(B));
        limits.Close(C);
        Assert.True(limits.TryOpen(B));
        Assert.False(limits.TryOpen(C));
    }

    private sealed class SetClock : TimeProvider
    {
        private TimeSpan passed = TimeSpan.FromSeconds(1);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => passed.Ticks;

        public override DateTimeOffset GetUtcNow() => CoordinationLab.Start + passed;

        public void Advance(TimeSpan time) => passed += time;
    }

    private sealed class Lines : ILogger
    {
        public List<string> Written { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Written.Add(formatter(state, exception));
    }
}
