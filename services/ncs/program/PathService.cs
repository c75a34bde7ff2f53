using System.Collections.Concurrent;
using System.Diagnostics;
using Florete.Ncs.Contracts;
using Microsoft.Extensions.Logging;

namespace Florete.Ncs.Program;

/// <summary>Answers requests over the topology of the moment, within a bounded time, and counts.</summary>
internal sealed partial class PathService(TopologySource topology, ILogger<PathService> logger)
{
    private readonly ConcurrentDictionary<string, long> answers = new(StringComparer.Ordinal);
    private TimeSpan lastComputation;

    /// <summary>Answers by their problem; those with paths as <c>paths</c>.</summary>
    public IReadOnlyDictionary<string, long> Answers => answers;

    public TimeSpan LastComputation => lastComputation;

    /// <summary>Why there is no topology; null: there is one.</summary>
    public string? Missing { get; private set; } = "the topology has not been asked for yet.";

    /// <exception cref="OperationCanceledException">Who asked has gone.</exception>
    public async Task<PathAnswer> AnswerAsync(PathRequest request, CancellationToken cancellationToken)
    {
        using var time = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        time.CancelAfter(NcsProtocol.AnswerTime);
        var answer = await AnswerInTimeAsync(request, time.Token, cancellationToken).ConfigureAwait(false);
        var name = answer.Problem is { } problem ? char.ToLowerInvariant(problem.ToString()[0]) + problem.ToString()[1..] : "paths";
        answers.AddOrUpdate(name, 1, static (_, count) => count + 1);
        return answer;
    }

    /// <summary>Asks for the topology if none is fresh.</summary>
    public async Task<bool> LookAsync(CancellationToken cancellationToken)
    {
        using var time = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        time.CancelAfter(NcsProtocol.AnswerTime);
        return await TopologyAsync(time.Token, cancellationToken).ConfigureAwait(false) is not null;
    }

    private async Task<PathAnswer> AnswerInTimeAsync(PathRequest request, CancellationToken time, CancellationToken cancellationToken)
    {
        if (await TopologyAsync(time, cancellationToken).ConfigureAwait(false) is not { } network) return PathAnswer.Failed(PathProblem.NoTopology, Missing!);
        var began = Stopwatch.GetTimestamp();
        try
        {
            return PathComputation.Answer(network, request, time);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return PathAnswer.Failed(PathProblem.TooLate, $"The computation took more than {NcsProtocol.AnswerTime.TotalSeconds:0} s; ask for fewer paths.");
        }
        finally
        {
            lastComputation = Stopwatch.GetElapsedTime(began);
        }
    }

    private async Task<Network?> TopologyAsync(CancellationToken time, CancellationToken cancellationToken)
    {
        try
        {
            var network = await topology.GetAsync(time).ConfigureAwait(false);
            if (Missing is not null) Known(network.Count, network.LinkCount / 2);
            Missing = null;
            return network;
        }
        catch (TopologyException e)
        {
            Miss(e.Message);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            Miss($"The vertex of this node has not told the topology within {NcsProtocol.AnswerTime.TotalSeconds:0} s.");
        }
        return null;
    }

    // Once for each reason: askers repeat themselves.
    private void Miss(string reason)
    {
        if (Missing != reason) Unknown(reason);
        Missing = reason;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The topology is known: {Vertices} vertices, {Links} links")]
    private partial void Known(int vertices, int links);

    [LoggerMessage(Level = LogLevel.Warning, Message = "There is no topology: {Reason}")]
    private partial void Unknown(string reason);
}
