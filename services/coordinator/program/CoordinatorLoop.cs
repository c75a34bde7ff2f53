using System.Diagnostics;
using Florete.Coordination.Contracts;
using Florete.Hosting;
using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;
using Microsoft.Extensions.Logging;

namespace Florete.Coordination.Program;

/// <summary>
/// Drives a <see cref="Coordinator"/>: in each turn what is due is begun before what has arrived is looked at. Everything that waits for others runs beside the loop, and tells it what came of it.
/// </summary>
internal sealed partial class CoordinatorLoop : IAsyncDisposable
{
    private static readonly TimeSpan LeastPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan MostPause = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LongestSleep = TimeSpan.FromSeconds(10);

    private readonly IProgramPortal node;
    private readonly WishWatch wishes;
    private readonly PathAsker asker;
    private readonly CoordinatorMetrics metrics;
    private readonly ILoggerFactory logs;
    private readonly ILogger logger;
    private readonly Arrivals arrivals = new();
    private readonly Lock gate = new();
    private readonly TaskCompletionSource fault = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Coordinator? coordinator;
    private volatile VertexAttendance? attendance;
    private volatile string? problem = "flor has not told yet whose portal socket --node names.";
    private Epoch? lastTerm;

    /// <param name="node">The portal of <c>node/…</c>.</param>
    /// <param name="service">The portal of <c>service/coordinator</c>.</param>
    /// <param name="asker">Asks for paths.</param>
    /// <param name="metrics">Figures.</param>
    /// <param name="logs">For people.</param>
    public CoordinatorLoop(IProgramPortal node, IProgramPortal service, PathAsker asker, CoordinatorMetrics metrics, ILoggerFactory logs)
    {
        (this.node, this.asker, this.metrics, this.logs) = (node, asker, metrics, logs);
        logger = logs.CreateLogger<CoordinatorLoop>();
        wishes = new WishWatch(service, arrivals, logs.CreateLogger<WishWatch>());
    }

    /// <summary>It attends at its vertex.</summary>
    public bool IsReady
    {
        get
        {
            lock (gate) return coordinator is { IsAttending: true, View: not null };
        }
    }

    /// <summary>What is not there, for people.</summary>
    public IReadOnlyList<string> Missing => [.. new[] { problem, attendance?.Problem, wishes.Problem, asker.Problem }.OfType<string>()];

    public CoordinatorStatus Status
    {
        get
        {
            var missing = Missing;
            lock (gate) return coordinator?.Status(Now, missing) ?? new CoordinatorStatus("detached", [], [], missing);
        }
    }

    private static Instant Now => new((long)(Stopwatch.GetTimestamp() * (1_000_000_000.0 / Stopwatch.Frequency)));

    /// <summary>Until cancelled. Whatever goes wrong with vertices and services is tried again; what this throws is a fault of the program.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            var me = await WhoAmIAsync(stopping.Token).ConfigureAwait(false);
            var client = new VertexClient(node, me.Cluster);
            await using (client.ConfigureAwait(false))
            {
                lock (gate) coordinator = new Coordinator(me.Cluster);
                attendance = new VertexAttendance(client, me.Name, arrivals, logs.CreateLogger<VertexAttendance>());
                var topology = new TopologyWatch(client, me.Name, arrivals, () =>
                {
                    lock (gate) return coordinator.WantsPaths;
                });
                var sender = new DecisionSender(node, client, arrivals, metrics, logs.CreateLogger<DecisionSender>());
                Task[] tasks =
                [
                    Task.Run(() => attendance.RunAsync(stopping.Token), CancellationToken.None),
                    Task.Run(() => wishes.RunAsync(stopping.Token), CancellationToken.None),
                    Task.Run(() => topology.RunAsync(stopping.Token), CancellationToken.None),
                    Task.Run(() => TurnAsync(coordinator, attendance, sender, client, stopping.Token), CancellationToken.None),
                    fault.Task,
                ];
                // None of them ends by itself: the first that does has failed, or all are stopped.
                var first = await Task.WhenAny(tasks).ConfigureAwait(false);
                await stopping.CancelAsync().ConfigureAwait(false);
                await Task.WhenAll(tasks[..^1]).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                await first.ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // It was told to stop.
        }
    }

    public ValueTask DisposeAsync() => asker.DisposeAsync();

    private async Task TurnAsync(Coordinator turning, VertexAttendance vertex, DecisionSender sender, VertexClient client, CancellationToken cancellationToken)
    {
        using var alarm = new Alarm(TimeProvider.System);
        var waiting = arrivals.WaitAsync(cancellationToken);
        while (true)
        {
            DueWork due;
            lock (gate) due = turning.TakeDue(Now);
            foreach (var decision in due.Decisions) Begin(sender.SendAsync(decision, cancellationToken));
            if (due.Stand is { } stand) vertex.Say(stand);
            foreach (var question in due.Questions) Begin(AskAsync(question, cancellationToken));

            Epoch? term;
            TimeSpan sleep;
            lock (gate)
            {
                while (arrivals.TryTake(out var arrived)) arrived!(turning, Now);
                term = turning.Term;
                sleep = turning.NextDue - Now;
            }
            if (term != lastTerm)
            {
                if (lastTerm is { } ended) Ends(ended);
                if (term is { } begun)
                {
                    metrics.Terms.Add(1);
                    Begins(begun);
                }
                else
                {
                    Begin(client.ForgetExceptAsync(new HashSet<string>()));
                }
                lastTerm = term;
            }
            if (sleep <= TimeSpan.Zero) continue;
            if (waiting.IsCompleted)
            {
                await waiting.ConfigureAwait(false);
                waiting = arrivals.WaitAsync(cancellationToken);
            }
            await Task.WhenAny(waiting, alarm.After(sleep < LongestSleep ? sleep : LongestSleep)).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    // Its outcomes are told by itself; what it throws beyond is a fault of the program.
    private void Begin(Task task) => task.ContinueWith(
        t => fault.TrySetException(t.Exception!.InnerExceptions), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);

    private async Task AskAsync(PathQuestion question, CancellationToken cancellationToken)
    {
        await Task.Yield();
        var outcome = await asker.AskAsync(question, cancellationToken).ConfigureAwait(false);
        metrics.Paths.Add(1, new KeyValuePair<string, object?>("outcome", outcome.IsMet ? "met" : outcome.IsFinal ? "unmet" : "failed"));
        await arrivals.TellAsync((c, now) => c.Computed(question, outcome, now), cancellationToken).ConfigureAwait(false);
    }

    // No name is known yet, and flor may start later.
    private async Task<SpiffeId> WhoAmIAsync(CancellationToken cancellationToken)
    {
        for (var pause = LeastPause; ; pause = pause * 2 < MostPause ? pause * 2 : MostPause)
        {
            try
            {
                var id = await VertexClient.WhoAmIAsync(node, cancellationToken).ConfigureAwait(false);
                if (id.Kind == IdentityKind.Node)
                {
                    problem = null;
                    return id;
                }
                problem = $"{node} is the portal socket of {id.Path}; name the one of node/NAME with --node.";
                pause = MostPause;
            }
            catch (PortalException e)
            {
                problem = e.Message;
            }
            await Task.Delay(pause, cancellationToken).ConfigureAwait(false);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Coordinator: term {Epoch} begins")]
    private partial void Begins(Epoch epoch);

    [LoggerMessage(Level = LogLevel.Information, Message = "Coordinator no more: term {Epoch} ends")]
    private partial void Ends(Epoch epoch);
}
