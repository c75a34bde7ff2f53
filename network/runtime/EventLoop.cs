using System.Collections.Concurrent;
using System.IO.Pipelines;

namespace Florete.Runtime;

/// <summary>
/// Runs the protocol state of one vertex in turns: posted work, then due timers, then end-of-turn work (where queues are flushed).
/// All state that belongs to a loop is touched inside its turns only, so it needs no locks. Time stands still within a turn.
/// As a <see cref="PipeScheduler"/> and through <see cref="Context"/>, it also takes continuations of pipes and of <c>await</c>.
/// </summary>
public abstract class EventLoop : PipeScheduler
{
    [ThreadStatic]
    private static EventLoop? current;

    private readonly ConcurrentQueue<(Action<object?> Callback, object? State)> posted = new();
    private readonly TimerHeap timers = new();
    private Queue<ITurnEnd> endOfTurn = new();
    private Queue<ITurnEnd> endOfTurnSpare = new();

    protected EventLoop() => Context = new LoopContext(this);

    /// <summary>The loop whose turn the calling thread is in, if any.</summary>
    public static EventLoop? Current => current;

    /// <summary>The time of this turn.</summary>
    public Instant Now { get; private protected set; }

    /// <summary>Wall clock, for certificates and records that others read. May jump; use <see cref="Now"/> for durations.</summary>
    public abstract TimeProvider WallClock { get; }

    /// <summary>Makes <c>await</c> inside a turn continue in a later turn of the same loop.</summary>
    public SynchronizationContext Context { get; }

    public bool IsInTurn => current == this;

    /// <summary>Where the code of this loop's users runs, so that it never holds up a turn; a virtual loop runs it in its own turns.</summary>
    public abstract PipeScheduler UserScheduler { get; }

    /// <summary>An exception that left a callback. The loop goes on; the owner decides whether the process does.</summary>
    public event Action<Exception>? Faulted;

    private protected Instant NextTimer => timers.Next;

    private protected bool HasPosted => !posted.IsEmpty;

    /// <summary>Queues work for a turn of this loop, from any thread; runs in order of posting.</summary>
    public void Post(Action<object?> callback, object? state)
    {
        posted.Enqueue((callback, state));
        if (!IsInTurn) Wake();
    }

    /// <summary>Queues work for a turn of this loop, from any thread.</summary>
    public void Post(Action callback) => Post(static state => ((Action)state!)(), callback);

    public override void Schedule(Action<object?> action, object? state) => Post(action, state);

    /// <summary>Runs an asynchronous function in this loop's turns and completes when it has; from any thread.</summary>
    public Task RunAsync(Func<Task> function)
    {
        if (IsInTurn) return function();
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(async () =>
        {
            try
            {
                await function();
                done.SetResult();
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        });
        return done.Task;
    }

    /// <summary>Runs an asynchronous function in this loop's turns and returns its result; from any thread.</summary>
    public Task<T> RunAsync<T>(Func<Task<T>> function)
    {
        if (IsInTurn) return function();
        // Not by way of the other overload: an await here would put a thread of the pool between the result and its task.
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(async () =>
        {
            try
            {
                done.SetResult(await function());
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        });
        return done.Task;
    }

    /// <summary>Makes a timer whose callback runs in this loop's turns. Set and cancel it inside turns only.</summary>
    public LoopTimer CreateTimer(Action callback) => new(timers, callback);

    /// <summary>Runs <paramref name="work"/> once at the end of this turn, however often it is asked for. Inside turns only.</summary>
    public void AtEndOfTurn(ITurnEnd work)
    {
        if (work.IsQueued) return;
        work.IsQueued = true;
        endOfTurn.Enqueue(work);
    }

    /// <summary>Ends a blocking wait, from any thread.</summary>
    private protected abstract void Wake();

    private protected void Enter(out SynchronizationContext? outer)
    {
        outer = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(Context);
        current = this;
    }

    private protected static void Leave(SynchronizationContext? outer)
    {
        current = null;
        SynchronizationContext.SetSynchronizationContext(outer);
    }

    /// <summary>One turn, after the shell has handled what its sockets had. The caller is inside Enter/Leave.</summary>
    private protected void RunTurn()
    {
        // Only what was there at the start: work that posts work cannot starve timers and sockets.
        for (var count = posted.Count; count > 0 && posted.TryDequeue(out var item); count--) Guard(item.Callback, item.State);
        while (timers.TakeDue(Now) is { } timer) Guard(static t => ((LoopTimer)t!).Fire(), timer);
        // End-of-turn work may queue more of itself (a packet looped to a local user), so a few rounds; the rest waits for the next turn.
        for (var round = 0; round < 8 && endOfTurn.Count > 0; round++)
        {
            (endOfTurn, endOfTurnSpare) = (endOfTurnSpare, endOfTurn);
            while (endOfTurnSpare.TryDequeue(out var work))
            {
                work.IsQueued = false;
                Guard(static w => ((ITurnEnd)w!).OnTurnEnd(), work);
            }
        }
    }

    private protected bool HasEndOfTurnWork => endOfTurn.Count > 0;

    private protected void Guard(Action<object?> callback, object? state)
    {
        try
        {
            callback(state);
        }
        catch (Exception e) when (HasFaultHandler)
        {
            Fault(e);
        }
    }

    private protected bool HasFaultHandler => Faulted is not null;

    private protected void Fault(Exception e) => Faulted!(e);

    private sealed class LoopContext(EventLoop loop) : SynchronizationContext
    {
        public override void Post(SendOrPostCallback d, object? state) => loop.Post(d.Invoke, state);

        public override void Send(SendOrPostCallback d, object? state)
        {
            if (loop.IsInTurn) d(state);
            else throw new NotSupportedException("A loop takes no synchronous calls from other threads.");
        }

        public override SynchronizationContext CreateCopy() => this;
    }
}

/// <summary>Work that runs once at the end of a turn, such as flushing a queue.</summary>
public interface ITurnEnd
{
    /// <summary>Owned by the loop.</summary>
    bool IsQueued { get; set; }

    void OnTurnEnd();
}
