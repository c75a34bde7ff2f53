using Microsoft.Extensions.Logging;

namespace Florete.Storage;

/// <summary>
/// The one writer of a replica: a thread that takes all that waits, does it in one transaction, and answers after the commit. So many callers share one fsync. Bounded; a failure is the answer of every
/// caller in that transaction, and the next one begins anew.
/// </summary>
internal sealed class CommitQueue : IDisposable
{
    // One transaction should not keep those behind it waiting for long, nor fill the WAL.
    private const int MaxBatch = 512;

    private readonly Replica replica;
    private readonly ILogger logger;
    private readonly Action committed;
    // Its monitor is waited on, which a Lock has not.
    private readonly object gate = new();
    private readonly Queue<Work> waiting = new();
    private readonly Thread thread;
    private int waitingBytes;
    private bool ending;

    /// <param name="replica">What it writes; nobody else does from now on.</param>
    /// <param name="committed">Called after each commit, on the thread of the queue. Must not throw, and not wait.</param>
    /// <param name="logger">Where a failure is told.</param>
    public CommitQueue(Replica replica, Action committed, ILogger logger)
    {
        (this.replica, this.committed, this.logger) = (replica, committed, logger);
        thread = new Thread(Run) { Name = "storage writer", IsBackground = true };
        thread.Start();
    }

    /// <summary>Waits in the queue, and gives the result after the commit; null if the queue is full.</summary>
    /// <param name="work">What to do; runs on the thread of the queue.</param>
    /// <param name="bytes">How much memory it holds while it waits.</param>
    /// <param name="isUpkeep">Upkeep is bounded by who asks for it: it always finds room.</param>
    /// <exception cref="ObjectDisposedException">The replica has been closed.</exception>
    public Task<T>? TryAdd<T>(Func<Replica, T> work, int bytes, bool isUpkeep = false)
    {
        var added = new Work<T>(work, bytes);
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(ending, this);
            if (!isUpkeep && (waiting.Count >= StorageLimits.MaxWaiting || waitingBytes + bytes > StorageLimits.MaxWaitingBytes)) return null;
            waiting.Enqueue(added);
            waitingBytes += bytes;
            Monitor.Pulse(gate);
        }
        return added.Task;
    }

    /// <summary>Does what waits, and ends.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            ending = true;
            Monitor.Pulse(gate);
        }
        thread.Join();
    }

    private void Run()
    {
        var batch = new List<Work>();
        while (TakeAll(batch))
        {
            Do(batch);
            batch.Clear();
        }
    }

    // False: it is over.
    private bool TakeAll(List<Work> batch)
    {
        lock (gate)
        {
            while (waiting.Count == 0)
            {
                if (ending) return false;
                Monitor.Wait(gate);
            }
            while (batch.Count < MaxBatch && waiting.TryDequeue(out var work))
            {
                batch.Add(work);
                waitingBytes -= work.Bytes;
            }
            return true;
        }
    }

    private void Do(List<Work> batch)
    {
        try
        {
            replica.Begin();
            foreach (var work in batch) work.Do(replica);
            replica.Commit();
        }
#pragma warning disable CA1031 // Whatever it is, it is the answer of everybody in the batch, and the thread goes on.
        catch (Exception e)
#pragma warning restore CA1031
        {
            replica.Rollback();
            StorageLog.CommitFailed(logger, batch.Count, e);
            foreach (var work in batch) work.Fail(e);
            return;
        }
        committed();
        foreach (var work in batch) work.Answer();
    }

    private abstract class Work(int bytes)
    {
        public int Bytes { get; } = bytes;

        public abstract void Do(Replica replica);

        public abstract void Answer();

        public abstract void Fail(Exception reason);
    }

    private sealed class Work<T>(Func<Replica, T> work, int bytes) : Work(bytes)
    {
        private readonly TaskCompletionSource<T> source = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private T result = default!;

        public Task<T> Task => source.Task;

        public override void Do(Replica replica) => result = work(replica);

        public override void Answer() => source.SetResult(result);

        public override void Fail(Exception reason) => source.SetException(reason);
    }
}
