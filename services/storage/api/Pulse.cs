namespace Florete.Storage.Api;

/// <summary>Wakes all that wait, each time it is set. Who checks a condition takes <see cref="Next"/> first, and waits for it after.</summary>
internal sealed class Pulse
{
    private volatile TaskCompletionSource next = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task Next => next.Task;

    public void Set() => Interlocked.Exchange(ref next, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
}
