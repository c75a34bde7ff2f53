using Florete.Identities;
using Florete.Runtime;
using Microsoft.Extensions.Logging;
using DecidedPath = Florete.Coordination.Contracts.DecidedPath;

namespace Florete.Proxy.Coordination;

/// <summary>
/// The vertex's side of coordination (docs/protocols/coordination.md): vouches for the program that attends here, keeps the newest epoch, and decides which decisions are taken. No sockets and no
/// threads of its own; constructed, used and disposed inside turns of the network's loop. This part keeps: what has an effect is on disk before.
/// </summary>
internal sealed partial class VertexCoordination : IDisposable
{
    private static readonly TimeSpan SaveAgain = TimeSpan.FromSeconds(1);

    private readonly ICoordinatedNetwork network;
    private readonly EventLoop loop;
    private readonly SpiffeId vertex;
    private readonly Bounds bounds;
    private readonly RevocationList revocations;
    private readonly DecisionChecks checks;
    private readonly ICoordinationFile file;
    private readonly ILogger logger;
    private readonly LoopTimer silence, saveAgain;
    private readonly Queue<Change> changes = new();
    private CoordinationMemory memory;
    private IReadOnlyList<DecidedPath> paths = [];
    private string? decisionProblem, saveProblem;
    private bool isSaving, isObserving, isDisposed;

    public VertexCoordination(
        ICoordinatedNetwork network, SpiffeId vertex, Bounds bounds, RevocationList revocations, DecisionChecks checks, ICoordinationFile file, ILogger logger)
    {
        (this.network, this.vertex, this.bounds, this.revocations, this.checks, this.file, this.logger) = (network, vertex, bounds, revocations, checks, file, logger);
        loop = network.Loop;
        memory = file.Loaded;
        silence = loop.CreateTimer(OnSilence);
        saveAgain = loop.CreateTimer(Observe);
        network.ViewChanged += OnViewChanged;
        bounds.Changed += OnRulesChanged;
        revocations.Changed += OnRulesChanged;
        Obey();
        Observe();
    }

    /// <summary>The newest epoch that is on disk, by the bounds of now; null: none.</summary>
    public Epoch? Newest => memory.NewestBy(bounds, vertex);

    private bool IsNamed => bounds.MayCoordinate(vertex).IsAllowed;

    /// <summary>Takes a decision that is proved (<see cref="DecisionChecks.Check"/>), unless it is older than what is known, or outside the bounds.</summary>
    /// <param name="offered">What came.</param>
    /// <param name="done">Called in a turn: null and null: it is on disk and in force. Else why not; a sentence alone: it cannot be kept.</param>
    public void Decide(KeptDecision offered, Action<RefusedDecision?, string?> done)
    {
        RefusedDecision? refused = null;
        Remember(
            now =>
            {
                refused = IsOlder(offered, now) ?? checks.CheckBounds(offered.Document);
                if (refused is not null || IsKept(offered, now)) return now;
                return now with { Newest = Greater(now.NewestBy(bounds, vertex), offered.Document.Epoch), Decision = offered };
            },
            problem => done(refused, refused is null ? problem : null));
    }

    /// <summary>As the node's owner is shown it.</summary>
    /// <param name="refusals">Of the node.</param>
    /// <param name="states">Of the paths in force.</param>
    public CoordinationReport Report(DecisionRefusals refusals, IReadOnlyList<PathReport> states) =>
        CoordinationReport.Of(bounds, network.View, Newest, memory.Decision, decisionProblem, states, refusals, saveProblem);

    public void Dispose()
    {
        if (isDisposed) return;
        isDisposed = true;
        network.ViewChanged -= OnViewChanged;
        bounds.Changed -= OnRulesChanged;
        revocations.Changed -= OnRulesChanged;
        silence.Cancel();
        saveAgain.Cancel();
    }

    private static Epoch Greater(Epoch? known, Epoch other) => known is { } epoch && epoch > other ? epoch : other;

    private static bool IsKept(KeptDecision offered, CoordinationMemory now) =>
        now.Decision is { } last && last.Document.Epoch == offered.Document.Epoch && last.Document.Number == offered.Document.Number;

    private RefusedDecision? IsOlder(KeptDecision offered, CoordinationMemory now)
    {
        var epoch = offered.Document.Epoch;
        if (now.NewestBy(bounds, vertex) is { } newest && epoch < newest)
        {
            return new RefusedDecision(DecisionRefusal.StaleEpoch, $"The epoch {epoch} is over: {newest} is the newest here.", epoch);
        }
        if (now.Decision is not { } last || last.Document.Epoch != epoch) return null;
        if (offered.Document.Number < last.Document.Number)
        {
            return new RefusedDecision(DecisionRefusal.StaleNumber, $"Decision {offered.Document.Number} of epoch {epoch} is older than {last.Document.Number}, which is in force.", epoch);
        }
        return offered.Document.Number > last.Document.Number || offered.Signed.Document.AsSpan().SequenceEqual(last.Signed.Document)
            ? null
            : new RefusedDecision(DecisionRefusal.StaleNumber, $"Decision {offered.Document.Number} of epoch {epoch} was another; a coordinator counts on.", epoch);
    }

    private void OnViewChanged()
    {
        Observe();
        Refresh();
    }

    // By whoever it was changed.
    private void OnRulesChanged() => loop.Post(() =>
    {
        if (isDisposed) return;
        Obey();
        Observe();
        Refresh();
    });

    /// <summary>Remembers a greater epoch than the newest that a vertex claims.</summary>
    private void Observe()
    {
        if (isObserving || isDisposed || !IsNews(memory)) return;
        isObserving = true;
        Remember(
            now => IsNews(now) ? now with { Newest = network.View.Newest } : now,
            problem =>
            {
                isObserving = false;
                if (problem is not null) saveAgain.Set(loop.Now + SaveAgain);
                else Observe();
            });
    }

    private bool IsNews(CoordinationMemory now) => network.View.Newest is { } seen && (now.NewestBy(bounds, vertex) is not { } newest || seen > newest);

    /// <summary>Puts in force what was decided, as far as the bounds and revocations of now allow it.</summary>
    private void Obey()
    {
        var problem = memory.Decision is { } kept ? checks.ProblemOf(kept) : null;
        if (problem is not null && problem != decisionProblem) NotInForce(problem);
        decisionProblem = problem;
        var wanted = problem is null ? memory.Decision?.Document.Paths ?? [] : [];
        if (wanted.SequenceEqual(paths)) return;
        paths = wanted;
        network.SetPaths(paths);
    }

    private void Remember(Func<CoordinationMemory, CoordinationMemory> change, Action<string?> done)
    {
        changes.Enqueue(new Change(change, done));
        SaveNext();
    }

    // What came while the last was being written is written in one go. Callers wait for their answers, so there are as many changes as streams at most, and one of the view.
    private void SaveNext()
    {
        if (isSaving || changes.Count == 0) return;
        Change[] batch = [.. changes];
        changes.Clear();
        var next = batch.Aggregate(memory, static (now, change) => change.Apply(now));
        if (ReferenceEquals(next, memory))
        {
            foreach (var change in batch) change.Done(null);
            return;
        }
        isSaving = true;
        file.Save(next, fault => loop.Post(() => OnSaved(batch, next, fault)));
    }

    private void OnSaved(Change[] batch, CoordinationMemory next, Exception? fault)
    {
        isSaving = false;
        if (isDisposed) return;
        if (fault is null) memory = next;
        else if (saveProblem is null) CannotSave(fault);
        saveProblem = fault?.Message;
        if (fault is null) Obey();
        foreach (var change in batch) change.Done(saveProblem);
        Refresh();
        SaveNext();
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Coordination: no new term or decision takes effect, for it cannot be saved; free the disk, or correct the owner of the state folder")]
    private partial void CannotSave(Exception fault);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Coordination: what was decided last is not in force: {Problem}")]
    private partial void NotInForce(string problem);

    private sealed record Change(Func<CoordinationMemory, CoordinationMemory> Apply, Action<string?> Done);
}
