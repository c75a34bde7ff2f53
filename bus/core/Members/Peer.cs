using Florete.Identities;
using Florete.Portals;
using Microsoft.Extensions.Logging;

namespace Florete.Bus;

/// <summary>One instance of a peer: a connection to it is kept while it is there.</summary>
internal sealed class Peer(
    IProgramPortal portal, SpiffeId service, SpiffeId vertex, ILogger logger, Func<PortalConnection, Action, CancellationToken, Task<SenderEnded>> run, CancellationToken stopping)
{
    private static readonly TimeSpan LeastDelay = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan MostDelay = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(10);

    private readonly TaskCompletionSource met = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Pulse kicked = new();
    private volatile bool isPresent = true;

    /// <summary>Ends when the peer is gone, or is this member itself.</summary>
    public Task Running { get; private set; } = Task.CompletedTask;

    /// <summary>It has told its queues, or could not be reached at first.</summary>
    public Task Met => met.Task;

    /// <summary>As the portal says.</summary>
    public bool IsPresent
    {
        get => isPresent;
        set => isPresent = value;
    }

    public bool IsSelf { get; private set; }

    public void Start() => Running = Task.Run(RunAsync);

    /// <summary>It has come (again): no use in waiting longer.</summary>
    public void Kick() => kicked.Set();

    private async Task RunAsync()
    {
        var delay = LeastDelay;
        var told = "";
        while (isPresent && !IsSelf && !stopping.IsCancellationRequested)
        {
            var kick = kicked.Next;
            try
            {
                var connection = await portal.ConnectAsync(
                    service.ToString(), new ConnectOptions(Instance: vertex, Timeout: ConnectTimeout), stopping).ConfigureAwait(false);
                var ended = await run(connection, OnReady, stopping).ConfigureAwait(false);
                if (ended.IsSelf) IsSelf = true;
                else if (ended.WasReady) (delay, told) = (LeastDelay, "");
                if (!IsSelf && !stopping.IsCancellationRequested && told != ended.Reason) logger.Disconnected(service, vertex, told = ended.Reason);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                break;
            }
            catch (PortalException e)
            {
                if (told != e.Message) logger.Unreachable(service, vertex, told = e.Message);
            }
            met.TrySetResult();
            if (IsSelf || !isPresent) break;
            await Task.WhenAny(kick, Task.Delay(delay, stopping)).ConfigureAwait(false);
            delay = delay * 2 < MostDelay ? delay * 2 : MostDelay;
        }
        met.TrySetResult();
    }

    private void OnReady()
    {
        logger.Connected(service, vertex);
        met.TrySetResult();
    }
}

/// <summary>How a connection to a peer ended.</summary>
internal readonly record struct SenderEnded(string Reason, bool WasReady, bool IsSelf);
