namespace Florete.Identities.Tests;

public class SecurityEventsTests
{
    private readonly Clock clock = new();
    private readonly SecurityEvents events;

    public SecurityEventsTests() => events = new SecurityEvents(clock);

    [Fact]
    public void Of_what_a_peer_does_in_one_way_the_first_is_told_at_once_and_the_rest_once_a_minute_with_its_number()
    {
        for (var i = 0; i < 100; i++) Forge("vertex/d", $"record {i}");
        Assert.Equal((1, "vertex/d", "signature: record 0", 0), Told(Assert.Single(events.After(0))));
        clock.Seconds += 59;
        Forge("vertex/d", "record 100");
        Assert.Empty(events.After(1));
        clock.Seconds += 1;
        // Nobody does anything any more, and still it is told: the last, when it came.
        var rest = Assert.Single(events.After(1));
        Assert.Equal((2, "vertex/d", "signature: record 100", 99), Told(rest));
        Assert.Equal(clock.GetUtcNow().AddSeconds(-1), rest.Time);
        clock.Seconds += 300;
        Assert.Empty(events.After(2));
        // What comes after a quiet minute is a first one again.
        Forge("vertex/d", "once more");
        Assert.Equal((3, "vertex/d", "signature: once more", 0), Told(Assert.Single(events.After(2))));
    }

    [Fact]
    public async Task Who_has_been_told_all_can_wait_for_the_next()
    {
        // Of another run: it is to be told at once.
        Assert.True(events.OtherThanAsync(7).IsCompleted);
        var first = events.OtherThanAsync(0);
        Assert.False(first.IsCompleted);
        Forge("vertex/d", "one");
        await first;
        Assert.True(events.OtherThanAsync(0).IsCompleted);
        var second = events.OtherThanAsync(1);
        // Held back, so nothing to be told.
        Forge("vertex/d", "one again");
        Assert.False(second.IsCompleted);
        Forge("vertex/e", "two");
        await second;
    }

    [Fact]
    public void Another_peer_another_kind_another_way_and_another_subject_are_told_apart()
    {
        for (var i = 0; i < 10; i++)
        {
            Forge("vertex/d", "one");
            Forge("vertex/e", "two");
            events.Add(SecurityEventKind.RefusedRecord, "", "vertex/d", "three", "bounds");
            events.Add(SecurityEventKind.RefusedPublication, "", "vertex/d", "four", "bounds");
            events.Add(SecurityEventKind.RefusedRecord, "user/bob", "vertex/d", "five", "bounds");
            // No peer: whom it is about did it.
            events.Add(SecurityEventKind.RefusedCaller, "user/bob", "", "six");
            events.Add(SecurityEventKind.RefusedCaller, "user/carl", "", "seven");
        }
        Assert.Equal(["signature: one", "signature: two", "bounds: three", "bounds: four", "bounds: five", "six", "seven"], events.After(0).Select(static e => e.Reason));
    }

    [Fact]
    public void A_peer_that_does_it_in_ever_other_ways_and_names_is_told_nine_times_a_minute()
    {
        for (var i = 0; i < 1000; i++) events.Add(SecurityEventKind.RefusedDocument, $"user/u{i}", "vertex/d", $"of u{i}");
        Assert.Equal(SecurityEvents.MaxToldApart + 1, events.After(0).Count);
        events.Add(SecurityEventKind.RefusedDocument, "user/mallory", "vertex/e", "hers");
        Assert.Equal("hers", events.After(0)[^1].Reason);
        clock.Seconds += 60;
        // u8 was the first of the others.
        Assert.Equal(("of u999", 1000 - SecurityEvents.MaxToldApart - 2), (Assert.Single(events.After(10)).Reason, events.After(10)[0].Suppressed));
    }

    [Fact]
    public void Strangers_without_number_are_bounded_and_drive_out_no_other_kind()
    {
        events.Add(SecurityEventKind.Revocation, "user/alice", "", "revoked");
        // One address, whatever its ports.
        for (var i = 0; i < 5000; i++) events.Add(SecurityEventKind.RefusedHandshake, "", $"10.0.0.1:{1 + i}", $"stranger {i}");
        Assert.Equal(2, events.After(0).Count);
        for (var i = 0; i < 50_000; i++)
        {
            clock.Seconds += i % 10 == 0 ? 1 : 0;
            events.Add(SecurityEventKind.RefusedHandshake, "", $"10.{i >> 16}.{(i >> 8) & 255}.{i & 255}:1", new string('x', 10_000));
        }
        // One a second at most, in 5000 s, and none is lost uncounted.
        Assert.Equal(SecurityEvents.MaxKept, events.After(0).Count);
        Assert.InRange(events.After(0)[^1].Number, 1000, 2 + 50 + 5001);
        Assert.All(events.After(0), static e => Assert.Equal(500, e.Reason.Length));
    }

    [Fact]
    public void Whatever_comes_each_is_told_or_counted_once()
    {
        var random = new Random(7);
        var (made, told, last) = (0L, 0L, 0L);
        for (var round = 0; round < 2000; round++)
        {
            for (var i = random.Next(40); i > 0; i--, made++)
                events.Add((SecurityEventKind)random.Next(5), $"user/u{random.Next(12)}", random.Next(3) == 0 ? $"10.0.0.{random.Next(200)}:{random.Next(9)}" : $"vertex/v{random.Next(90)}", "no", random.Next(2) == 0 ? "way" : "");
            clock.Seconds += random.Next(20);
            Read();
        }
        // All that is held back comes, one a second of a kind.
        for (var i = 0; i < 5000; i++)
        {
            clock.Seconds++;
            Read();
        }
        Assert.Equal(made, told);

        void Read()
        {
            foreach (var e in events.After(last)) (told, last) = (told + 1 + e.Suppressed, e.Number);
        }
    }

    [Fact]
    public void Revocations_are_the_operators_and_only_their_number_is_bounded()
    {
        for (var i = 0; i < 60; i++) events.Add(SecurityEventKind.Revocation, "user/alice", "", "revoked");
        Assert.Equal(50, events.After(0).Count);
        clock.Seconds += 1;
        events.Add(SecurityEventKind.Revocation, "user/alice", "", "revoked");
        Assert.Equal(10, events.After(0)[^1].Suppressed);
        for (var i = 0; i < 3000; i++)
        {
            clock.Seconds += 2;
            events.Add(SecurityEventKind.Revocation, "user/alice", "", "revoked");
        }
        Assert.Equal(SecurityEvents.MaxKept, events.After(0).Count);
        Assert.Equal(51 + 3000, events.After(0)[^1].Number);
    }

    private void Forge(string peer, string reason) => events.Add(SecurityEventKind.RefusedRecord, "", peer, reason, "signature");

    private static (long Number, string Peer, string Reason, long Suppressed) Told(SecurityEvent e) => (e.Number, e.Peer, e.Reason, e.Suppressed);

    private sealed class Clock : TimeProvider
    {
        public int Seconds { get; set; } = 1;

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => Seconds;

        public override DateTimeOffset GetUtcNow() => Pki.Now.AddSeconds(Seconds);
    }
}
