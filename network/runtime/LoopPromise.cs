namespace Florete.Runtime;

/// <summary>
/// A result that a loop delivers in a turn of its own: whoever awaits it inside the loop goes on in that turn, never inside the callback
/// that set it, and in virtual time always in the same order. Has its own deadline. Make, set and await it inside turns; cancel from anywhere.
/// </summary>
public sealed class LoopPromise<T>
{
    private readonly EventLoop loop;
    private readonly TaskCompletionSource<T> source = new();
    private LoopTimer? timer;
    private CancellationTokenRegistration cancellation;

    public LoopPromise(EventLoop loop) => this.loop = loop;

    public Task<T> Task => source.Task;

    public void Set(T result) => loop.Post(() =>
    {
        if (source.TrySetResult(result)) Settle();
    });

    public void Fail(Exception error) => loop.Post(() =>
    {
        if (source.TrySetException(error)) Settle();
    });

    /// <summary>Fails the promise at the deadline, or when the token is cancelled, unless it is set before.</summary>
    public LoopPromise<T> Within(Instant deadline, Func<Exception> late, CancellationToken cancellationToken)
    {
        timer = loop.CreateTimer(() => Fail(late()));
        timer.Set(deadline);
        return CancelledBy(cancellationToken);
    }

    /// <summary>Fails the promise when the token is cancelled, unless it is set before.</summary>
    public LoopPromise<T> CancelledBy(CancellationToken cancellationToken)
    {
        cancellation = cancellationToken.UnsafeRegister(
            static (state, token) => ((LoopPromise<T>)state!).Fail(new OperationCanceledException(token)), this);
        return this;
    }

    private void Settle()
    {
        timer?.Cancel();
        cancellation.Dispose();
    }
}
