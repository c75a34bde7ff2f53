using Florete.Hosting;

namespace Florete.Agent.Tests;

public sealed class AlarmTests
{
    [Fact]
    public void A_wait_takes_the_place_of_the_one_before_and_is_never_shorter_than_asked_for()
    {
        var time = new HandTimer();
        using var alarm = new Alarm(time);
        var first = alarm.After(TimeSpan.FromMilliseconds(0.3));
        // Whole milliseconds, of which one may be missing.
        Assert.Equal(TimeSpan.FromMilliseconds(2), time.Due);
        var second = alarm.After(TimeSpan.FromSeconds(5));
        Assert.Equal(TimeSpan.FromMilliseconds(5001), time.Due);
        time.Ring();
        Assert.False(first.IsCompleted);
        Assert.True(second.IsCompletedSuccessfully);
        Assert.False(alarm.After(TimeSpan.FromSeconds(-1)).IsCompleted);
        Assert.Equal(TimeSpan.FromMilliseconds(1), time.Due);
    }

    /// <summary>One timer, which fires when the test says so.</summary>
    private sealed class HandTimer : TimeProvider, ITimer
    {
        private Action ring = static () => { };

        public TimeSpan Due { get; private set; }

        public void Ring() => ring();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            ring = () => callback(state);
            Due = dueTime;
            return this;
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Due = dueTime;
            return true;
        }

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
