using Florete.Storage.Contracts;
using FsCheck.Fluent;

namespace Florete.Storage.Tests;

public class HybridClockTests
{
    private readonly ManualTime time = new();

    [Fact]
    public void Every_stamp_is_greater_than_all_before_whatever_the_wall_clock_does()
    {
        var check = Prop.ForAll<short[]>(steps =>
        {
            var wall = new ManualTime();
            var clock = new HybridClock(wall, Stamp.None);
            var last = Stamp.None;
            foreach (var step in steps)
            {
                wall.Advance(TimeSpan.FromMilliseconds(step));
                // Every third step somebody else's stamp arrives.
                if (step % 3 == 0 && clock.TryAccept(new Stamp(wall.Stamp.Value + ((ulong)(ushort)step << 12))) && clock.Latest < last) return false;
                var next = clock.Next();
                if (next <= last || next <= wall.Stamp && next != wall.Stamp) return false;
                last = next;
            }
            return true;
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void A_stamp_more_than_a_minute_ahead_is_refused_and_moves_nothing()
    {
        var clock = new HybridClock(time, Stamp.None);
        var before = clock.Next();
        Assert.False(clock.TryAccept(Stamp.Of(time.GetUtcNow() + TimeSpan.FromMilliseconds(60_001))));
        Assert.False(clock.TryAccept(new Stamp(ulong.MaxValue)));
        Assert.Equal(before, clock.Latest);
        var ahead = Stamp.Of(time.GetUtcNow() + TimeSpan.FromSeconds(60));
        Assert.True(clock.TryAccept(ahead));
        Assert.Equal(ahead.Next, clock.Next());
        Assert.Equal(TimeSpan.FromSeconds(60), clock.Behind);
    }

    [Fact]
    public void After_a_restart_with_the_clock_set_back_stamps_still_ascend()
    {
        var stored = Stamp.Of(time.GetUtcNow() + TimeSpan.FromHours(1));
        var clock = new HybridClock(time, stored);
        Assert.Equal(stored.Next, clock.Next());
        Assert.Equal(TimeSpan.FromHours(1), clock.Behind);
    }

    [Fact]
    public void A_full_counter_carries_into_the_milliseconds()
    {
        var clock = new HybridClock(time, new Stamp(time.Stamp.Value | 0xFFFF));
        var next = clock.Next();
        Assert.Equal(time.Stamp.Milliseconds + 1, next.Milliseconds);
        Assert.Equal(0, next.Counter);
    }
}
