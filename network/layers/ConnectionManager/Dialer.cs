using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>Keeps one neighbour connected over one underlay: dials while no link stands, and backs off. Loop-affine.</summary>
internal sealed class Dialer
{
    private readonly ConnectionManager manager;
    private readonly ConnectionManagerOptions options;
    private readonly EventLoop loop;
    private readonly Random random;
    private readonly LoopTimer timer;
    private readonly CancellationToken stopping;
    private bool isStopped;

    public Dialer(
        ConnectionManager manager, EventLoop loop, ConnectionManagerOptions options, Random random, int underlay, SpiffeId neighbour, CancellationToken stopping)
    {
        this.manager = manager;
        this.loop = loop;
        this.options = options;
        this.random = random;
        this.stopping = stopping;
        Underlay = underlay;
        Neighbour = neighbour;
        timer = loop.CreateTimer(Consider);
    }

    public int Underlay { get; }

    public SpiffeId Neighbour { get; }

    public int Failures { get; private set; }

    public string? LastError { get; set; }

    /// <summary>The dial under way, or the last one.</summary>
    public Task Dialling { get; private set; } = Task.CompletedTask;

    /// <summary>Dials now, if there is need and nothing forbids it.</summary>
    public void Consider()
    {
        if (IsStopping || !Dialling.IsCompleted || manager.HasLink(Underlay, Neighbour)) return;
        timer.Cancel();
        Dialling = DialAsync();
    }

    /// <summary>A link has ended that stood so long; the first redial after a quiet time is immediate.</summary>
    public void OnLinkDown(TimeSpan stood, string reason)
    {
        LastError = reason;
        if (stood >= options.StableAfter) Failures = 0;
        WaitAndDial();
    }

    /// <summary>Dials no more; a dial under way may still succeed.</summary>
    public void Stop()
    {
        isStopped = true;
        timer.Cancel();
    }

    private bool IsStopping => isStopped || stopping.IsCancellationRequested;

    private async Task DialAsync()
    {
        try
        {
            var connection = await manager.DialAsync(Underlay, Neighbour, stopping);
            await manager.AddAsync(connection, Underlay);
        }
        catch (PortalException e)
        {
            if (e.Message != LastError) manager.OnDialFailed(this, e.Message);
            LastError = e.Message;
            // Not a failure of the link's, so without this the first redial would be immediate for ever.
            Failures = Math.Max(1, Failures);
            loop.Post(WaitAndDial);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
    }

    private void WaitAndDial()
    {
        if (IsStopping) return;
        timer.Set(loop.Now + NextDelay());
    }

    private TimeSpan NextDelay()
    {
        var failures = Failures++;
        if (failures == 0) return TimeSpan.Zero;
        var most = options.MostBackoff.TotalMilliseconds;
        var least = options.LeastBackoff.TotalMilliseconds;
        // Capped before the shift can overflow; jitter so that two ends, or many vertices, do not dial in step.
        var delay = Math.Min(most, least * (1 << Math.Min(failures - 1, 20))) * (0.75 + (0.5 * random.NextDouble()));
        return TimeSpan.FromMilliseconds(Math.Clamp(delay, least, most));
    }
}
