using Florete.Coordination.Contracts;
using Florete.Ncs.Contracts;
using Florete.Portals;
using MassTransit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Florete.Coordination.Program;

/// <summary>Asks path computations over the bus. The bus is joined with the first question: where no paths are wanted it costs nothing.</summary>
internal sealed class PathAsker(IProgramPortal portal, ILoggerFactory logs) : IAsyncDisposable
{
    // A path computation answers in 2 s, or not.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim joining = new(1);

    // Each instance has a queue of 64.
    private readonly SemaphoreSlim asking = new(16);
    private ServiceProvider? provider;
    private IRequestClient<PathRequest>? client;

    /// <summary>Why the last question got no answer; null: it did, or nothing was asked.</summary>
    public string? Problem { get; private set; }

    /// <summary>Never throws but for cancellation: what goes wrong is an outcome.</summary>
    public async Task<PathOutcome> AskAsync(PathQuestion question, CancellationToken cancellationToken)
    {
        await asking.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            var paths = await ClientAsync(cancellationToken).ConfigureAwait(false);
            var response = await paths.GetResponse<PathAnswer>(RequestOf(question), cancellationToken, RequestTimeout.After(ms: (int)Patience.TotalMilliseconds)).ConfigureAwait(false);
            Problem = null;
            return OutcomeOf(question, response.Message);
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            Problem = e is RequestTimeoutException
                ? $"paths: no path computation ({NcsProtocol.Service}) has answered in {Patience.TotalSeconds:0} s; does florete-ncs run, and do the bounds let service/coordinator and service/ncs connect to each other?"
                : $"paths: {e.Message}";
            return PathOutcome.Failed(Problem);
        }
        finally
        {
            asking.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (provider is not null)
        {
            await provider.GetRequiredService<IBusControl>().StopAsync(TimeSpan.FromSeconds(2)).ConfigureAwait(false);
            await provider.DisposeAsync().ConfigureAwait(false);
        }
        joining.Dispose();
        asking.Dispose();
    }

    private static PathRequest RequestOf(PathQuestion question) => new()
    {
        From = question.Wish.From,
        To = question.Wish.To,
        Avoid = question.Wish.Avoid ?? [],
        MaxMetricMicroseconds = (long)Math.Min(question.Wish.MaxMetricMicroseconds, long.MaxValue),
        MinCapacityBitsPerSecond = (long)Math.Min(question.Wish.MinCapacityBitsPerSecond, long.MaxValue),
        DisjointFrom = question.DisjointFrom is { } other ? [other] : [],
    };

    // The answer is another program's: it is looked at before it is believed.
    private static PathOutcome OutcomeOf(PathQuestion question, PathAnswer answer)
    {
        if (answer.Problem is { } problem)
        {
            var isFinal = problem is not (PathProblem.NoTopology or PathProblem.TooLate);
            return new PathOutcome(IsMet: false, isFinal, answer.Text ?? problem.ToString());
        }
        if (answer.Paths is not [{ } path, ..] || path.Vertices is not { Count: >= 2 } vertices || path.Via is not { Count: <= CoordinationProtocol.MaxVia } via)
            return PathOutcome.Failed("The path computation answers without a path; use programs of one version.");
        var hops = new Hop[via.Count];
        for (var i = 0; i < hops.Length; i++)
        {
            if (!Hop.TryParse(via[i], out hops[i])) return PathOutcome.Failed($"The path computation names '{via[i]}', which is neither a vertex nor a link.");
        }
        if (vertices[0] != question.Wish.From || vertices[^1] != question.Wish.To) return PathOutcome.Failed("The path computation answers with another path than was asked for.");
        return new PathOutcome(IsMet: true, IsFinal: true, string.Join(" - ", vertices), vertices, hops);
    }

    private async Task<IRequestClient<PathRequest>> ClientAsync(CancellationToken cancellationToken)
    {
        await joining.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (client is not null) return client;
            var services = new ServiceCollection();
            services.AddSingleton(logs);
            services.AddSingleton(typeof(ILogger<>), typeof(Logger<>));
            services.AddMassTransit(x => x.UsingFlorete((_, cfg) => cfg.Host(portal, static host => host.Peers(NcsProtocol.Service))));
            provider = services.BuildServiceProvider();
            await provider.GetRequiredService<IBusControl>().StartAsync(cancellationToken).ConfigureAwait(false);
            return client = provider.GetRequiredService<IBus>().CreateRequestClient<PathRequest>(new Uri($"queue:{NcsProtocol.Queue}"));
        }
        finally
        {
            joining.Release();
        }
    }
}
