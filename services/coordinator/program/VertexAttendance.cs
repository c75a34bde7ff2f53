using System.Threading.Channels;
using Florete.Coordination.Contracts;
using Microsoft.Extensions.Logging;

namespace Florete.Coordination.Program;

/// <summary>Attends at the program's vertex, again whenever the stream ends: stands out, views in.</summary>
internal sealed partial class VertexAttendance(VertexClient client, string vertex, Arrivals arrivals, ILogger logger)
{
    private static readonly TimeSpan OpenPatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LeastPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan MostPause = TimeSpan.FromSeconds(2);

    private volatile Channel<Stand>? saying;

    /// <summary>Why it does not attend; null: it does.</summary>
    public string? Problem { get; private set; } = $"vertex {vertex} has not been attended yet.";

    /// <summary>Says where the program stands, if it attends; one that was not said yet is of no interest any more.</summary>
    public void Say(Stand stand) => saying?.Writer.TryWrite(stand);

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var pause = LeastPause;
        while (true)
        {
            try
            {
                var stream = await OpenAsync(cancellationToken).ConfigureAwait(false);
                await using (stream.ConfigureAwait(false))
                {
                    await AttendAsync(stream, () => pause = LeastPause, cancellationToken).ConfigureAwait(false);
                }
            }
            catch (CoordinationException e)
            {
                if (Problem != e.Message) Lost(e.Message);
                Problem = e.Message;
            }
            await Task.Delay(pause, cancellationToken).ConfigureAwait(false);
            pause = pause * 2 < MostPause ? pause * 2 : MostPause;
        }
    }

    private async Task<Attendance> OpenAsync(CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(OpenPatience);
        try
        {
            return await client.AttendAsync(vertex, patience.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new CoordinationException($"Vertex {vertex} did not answer in {OpenPatience.TotalSeconds:0} s.");
        }
    }

    private async Task AttendAsync(Attendance stream, Action isWell, CancellationToken cancellationToken)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var stands = Channel.CreateBounded<Stand>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest });
        saying = stands;
        await arrivals.TellAsync(static (c, now) => c.Attended(now), cancellationToken).ConfigureAwait(false);
        Task[] tasks = [ReadAsync(stream, isWell, ending.Token), WriteAsync(stream, stands.Reader, ending.Token)];
        try
        {
            await await Task.WhenAny(tasks).ConfigureAwait(false);
        }
        finally
        {
            saying = null;
            await ending.CancelAsync().ConfigureAwait(false);
            await Task.WhenAll(tasks).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            // Also when it is stopped: nothing waits for the loop then.
            if (!cancellationToken.IsCancellationRequested) await arrivals.TellAsync(static (c, now) => c.Detached(now), cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task ReadAsync(Attendance stream, Action isWell, CancellationToken cancellationToken)
    {
        while (true)
        {
            var answer = await stream.ReadAsync(cancellationToken).ConfigureAwait(false);
            if (answer.View is { } view)
            {
                if (view.Vertex != vertex) throw new CoordinationException($"Vertex {vertex} says that it is {view.Vertex}.");
                if (Problem is not null) Attends(vertex);
                Problem = null;
                isWell();
                await arrivals.TellAsync((c, now) => c.See(view, now), cancellationToken).ConfigureAwait(false);
            }
            else if (answer.Refused is { } refusal)
            {
                ClaimRefused(refusal.Reason, refusal.Text);
                await arrivals.TellAsync((c, now) => c.ClaimRefused(refusal, now), cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private static async Task WriteAsync(Attendance stream, ChannelReader<Stand> stands, CancellationToken cancellationToken)
    {
        await foreach (var stand in stands.ReadAllAsync(cancellationToken).ConfigureAwait(false)) await stream.StandAsync(stand, cancellationToken).ConfigureAwait(false);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Attends at vertex {Vertex}")]
    private partial void Attends(string vertex);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Not attending: {Problem}")]
    private partial void Lost(string problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The vertex refuses the claim ({Reason}): {Text}")]
    private partial void ClaimRefused(string reason, string text);
}
