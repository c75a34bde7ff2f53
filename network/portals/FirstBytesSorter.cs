using System.Buffers;
using System.IO.Pipelines;
using Florete.Identities;

namespace Florete.Portals;

/// <summary>What callers may cost whose protocol is not known yet.</summary>
public sealed record SortingLimits
{
    /// <summary>Connections whose protocol is not known yet. They hold a buffer each.</summary>
    public int MaxWaiting { get; init; } = 512;

    /// <summary>Of these, of one identity: it does not shut out the others.</summary>
    public int MaxWaitingOfOneCaller { get; init; } = 128;

    /// <summary>As Kestrel gives for request headers, which begin with the bytes that are waited for.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(30);

    /// <exception cref="ArgumentException">A limit makes no sense.</exception>
    public void Validate()
    {
        if (MaxWaiting < 1 || MaxWaitingOfOneCaller < 1) throw new ArgumentException("At least one caller must be allowed to wait.");
        if (Patience <= TimeSpan.Zero) throw new ArgumentException($"{nameof(Patience)} is {Patience}; it must be positive.");
    }
}

/// <summary>
/// Accepts every connection, and hands it on by the first bytes that its caller sends. They stay in the stream: who takes it over reads them as if nobody
/// had, and nothing is copied. A connection that is not taken is aborted with the reason.
/// </summary>
public sealed class FirstBytesSorter : IAcceptor, IAsyncDisposable
{
    private readonly Func<IReadOnlyList<CallerProtocol>> protocols;
    private readonly Func<PortalConnection, CallerProtocol?, CancellationToken, ValueTask> take;
    private readonly SortingLimits limits;
    private readonly Lock gate = new();
    private readonly Dictionary<SpiffeId, int> waiting = [];
    private readonly CancellationTokenSource stopping = new();
    private readonly TaskCompletionSource drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int count;

    /// <param name="protocols">Those that are looked for, now; of several that fit the first is meant.</param>
    /// <param name="take">
    /// Gets each connection, with its protocol or null (none of them); owns it, unless it throws a <see cref="PortalException"/> to refuse it. Cancelled when the
    /// caller's time is over.
    /// </param>
    /// <param name="limits">Checked here; null: the usual ones.</param>
    /// <exception cref="ArgumentException">A limit makes no sense.</exception>
    public FirstBytesSorter(
        Func<IReadOnlyList<CallerProtocol>> protocols, Func<PortalConnection, CallerProtocol?, CancellationToken, ValueTask> take, SortingLimits? limits = null)
    {
        (this.protocols, this.take, this.limits) = (protocols, take, limits ?? new SortingLimits());
        this.limits.Validate();
    }

    /// <summary>Connections whose protocol is not known yet, or that have not been taken over.</summary>
    public int Waiting
    {
        get
        {
            lock (gate) return count;
        }
    }

    public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
    {
        Enter(connection.Remote);
        // Bytes flow only after this has returned.
        _ = Task.Run(() => SortAsync(connection), CancellationToken.None);
        return ValueTask.CompletedTask;
    }

    /// <summary>Takes no more, and aborts those whose protocol is not known.</summary>
    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        lock (gate)
        {
            if (count == 0) drained.TrySetResult();
        }
        await drained.Task.ConfigureAwait(false);
    }

    private async Task SortAsync(PortalConnection connection)
    {
        PortalException? refusal = null;
        try
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(stopping.Token);
            patience.CancelAfter(limits.Patience);
            var protocol = await RecognizeAsync(connection.Stream!.Input, patience.Token).ConfigureAwait(false);
            await take(connection, protocol, patience.Token).ConfigureAwait(false);
        }
        catch (PortalException e)
        {
            refusal = e;
        }
        catch (OperationCanceledException e)
        {
            refusal = stopping.IsCancellationRequested
                ? new PortalException(PortalError.TargetFailed, "The program stops.", e)
                : new PortalException(PortalError.TimedOut, $"Nothing was asked within {limits.Patience.TotalSeconds:0} s, or nobody took it.", e);
        }
        catch (Exception e)
        {
            refusal = new PortalException(PortalError.TargetFailed, "The program failed to take the connection.", e);
        }
        if (refusal is not null)
        {
            connection.Abort(refusal);
            await connection.DisposeAsync().ConfigureAwait(false);
        }
        Leave(connection.Remote);
    }

    private async ValueTask<CallerProtocol?> RecognizeAsync(PipeReader input, CancellationToken cancellationToken)
    {
        while (true)
        {
            var read = await input.ReadAsync(cancellationToken).ConfigureAwait(false);
            var isAll = read.IsCompleted || read.Buffer.Length >= CallerProtocol.MaxBytes;
            var isKnown = TryRecognize(read.Buffer, isAll, out var protocol);
            // Nothing is consumed; what has been looked at wakes nobody again until more is there.
            input.AdvanceTo(read.Buffer.Start, isKnown ? read.Buffer.Start : read.Buffer.End);
            if (isKnown) return protocol;
            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    private bool TryRecognize(ReadOnlySequence<byte> received, bool isAll, out CallerProtocol? protocol)
    {
        Span<byte> first = stackalloc byte[CallerProtocol.MaxBytes];
        first = first[..(int)Math.Min(received.Length, CallerProtocol.MaxBytes)];
        received.Slice(0, first.Length).CopyTo(first);
        foreach (var candidate in protocols())
        {
            protocol = candidate;
            var recognition = candidate.Recognize(first);
            if (recognition == Recognition.Yes) return true;
            if (recognition == Recognition.Perhaps && !isAll) return false;
        }
        protocol = null;
        return true;
    }

    private void Enter(SpiffeId caller)
    {
        lock (gate)
        {
            if (stopping.IsCancellationRequested) throw new PortalException(PortalError.TargetFailed, "The program stops.");
            var own = waiting.GetValueOrDefault(caller);
            if (count >= limits.MaxWaiting || own >= limits.MaxWaitingOfOneCaller)
            {
                throw new PortalException(
                    PortalError.LimitReached,
                    $"{count} connections, {own} of them of {caller}, have been opened already on which nothing was asked; ask there, or close them.");
            }
            waiting[caller] = own + 1;
            count++;
        }
    }

    private void Leave(SpiffeId caller)
    {
        lock (gate)
        {
            if (--waiting[caller] == 0) waiting.Remove(caller);
            if (--count == 0 && stopping.IsCancellationRequested) drained.TrySetResult();
        }
    }
}
