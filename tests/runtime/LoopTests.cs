using FsCheck.Fluent;

namespace Florete.Runtime.Tests;

public class LoopTests
{
    [Fact]
    public void Timers_fire_in_order_of_deadline_then_of_setting()
    {
        var check = Prop.ForAll<int[]>(delays =>
        {
            var clock = new VirtualClock();
            var loop = new VirtualLoop(clock);
            var fired = new List<(int Delay, int Index)>();
            for (var i = 0; i < delays.Length; i++)
            {
                var (delay, index) = (delays[i] & 15, i);
                loop.CreateTimer(() => fired.Add((delay, index))).Set(clock.Now + TimeSpan.FromMilliseconds(delay));
            }
            clock.Run(TimeSpan.FromSeconds(1));
            return fired.SequenceEqual(fired.OrderBy(f => f.Delay).ThenBy(f => f.Index)) && fired.Count == delays.Length;
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void A_cancelled_timer_does_not_fire_and_a_moved_one_fires_once()
    {
        var clock = new VirtualClock();
        var loop = new VirtualLoop(clock);
        var fired = 0;
        var cancelled = loop.CreateTimer(() => fired += 100);
        var moved = loop.CreateTimer(() => fired++);
        cancelled.Set(clock.Now + TimeSpan.FromSeconds(1));
        moved.Set(clock.Now + TimeSpan.FromSeconds(1));
        moved.Set(clock.Now + TimeSpan.FromSeconds(2));
        cancelled.Cancel();
        clock.Run(TimeSpan.FromSeconds(5));
        Assert.Equal(1, fired);
    }

    [Fact]
    public void A_timer_with_slack_fires_in_a_turn_that_happens_anyway_and_else_at_its_deadline()
    {
        var clock = new VirtualClock();
        var loop = new VirtualLoop(clock);
        var fired = new List<Instant>();
        var timer = loop.CreateTimer(() => fired.Add(loop.Now));
        var start = clock.Now;
        foreach (var other in new[] { 20, 35 })
        {
            timer.Set(clock.Now + TimeSpan.FromMilliseconds(40), TimeSpan.FromMilliseconds(10));
            clock.Run(TimeSpan.FromMilliseconds(other));
            loop.Post(static () => { });
            clock.Run(TimeSpan.FromMilliseconds(45 - other));
        }
        Assert.Equal([start + TimeSpan.FromMilliseconds(40), start + TimeSpan.FromMilliseconds(45 + 35)], fired);
    }

    [Fact]
    public async Task A_thread_loop_runs_what_other_threads_post_and_awaits_continue_on_it()
    {
        await using var loop = new ThreadLoop("test");
        await loop.RunAsync(async () =>
        {
            Assert.True(loop.IsInTurn);
            await Task.Delay(1);
            Assert.True(loop.IsInTurn);
        });
        Assert.False(loop.IsInTurn);
    }

    [Fact]
    public async Task Many_posters_lose_nothing()
    {
        await using var loop = new ThreadLoop("test");
        var count = 0;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            for (var i = 0; i < 10_000; i++)
            {
                loop.Post(() => count++);
                if (i % 100 == 0) await Task.Yield();
            }
        })));
        await loop.RunAsync(() => Task.CompletedTask);
        Assert.Equal(40_000, count);
    }

    [Fact]
    public async Task A_promise_ends_with_its_token_unless_it_is_set_before()
    {
        var clock = new VirtualClock();
        var loop = new VirtualLoop(clock);
        using var source = new CancellationTokenSource();
        var answered = new LoopPromise<int>(loop).CancelledBy(source.Token);
        var waiting = new LoopPromise<int>(loop).CancelledBy(source.Token);
        answered.Set(1);
        clock.Run(TimeSpan.FromDays(1));
        Assert.False(waiting.Task.IsCompleted);
        await source.CancelAsync();
        clock.Run(TimeSpan.Zero);
        Assert.Equal(1, await answered.Task);
        Assert.Equal(source.Token, (await Assert.ThrowsAsync<OperationCanceledException>(() => waiting.Task)).CancellationToken);
        var late = new LoopPromise<int>(loop).CancelledBy(source.Token);
        clock.Run(TimeSpan.Zero);
        Assert.True(late.Task.IsFaulted);
    }

    [Fact]
    public void Packet_buffers_grow_at_both_ends_and_return_once()
    {
        var pool = new PacketPool();
        var packet = pool.Rent();
        packet.Append(3).Fill(2);
        packet.Prepend(2).Fill(1);
        Assert.Equal(new byte[] { 1, 1, 2, 2, 2 }, packet.Span.ToArray());
        packet.TrimStart(1);
        packet.TrimEnd(1);
        Assert.Equal(new byte[] { 1, 2, 2 }, packet.Span.ToArray());
        packet.Return();
        Assert.Throws<InvalidOperationException>(packet.Return);
        Assert.Equal(0, pool.Rented);
    }
}
