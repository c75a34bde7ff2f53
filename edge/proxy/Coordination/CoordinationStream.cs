using System.Threading.Channels;
using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Portals;

namespace Florete.Proxy.Coordination;

/// <summary>One stream to <c>node/…</c>: requests in order, and views when they come.</summary>
/// <param name="endpoint">Answers.</param>
/// <param name="connection">Owned from here on.</param>
internal sealed class CoordinationStream(CoordinationEndpoint endpoint, PortalConnection connection) : IDisposable
{
    private static readonly TimeSpan LinePatience = TimeSpan.FromSeconds(10), Idle = TimeSpan.FromSeconds(60);

    // Of a layer that is larger than those that it is made for.
    private static readonly VertexAnswer TooLong = VertexAnswer.OfError($"The answer has more than {CoordinationProtocol.MaxAnswerLineBytes} bytes: the layer is too large.");

    private readonly SemaphoreSlim writing = new(1);
    private readonly CancellationTokenSource ending = CancellationTokenSource.CreateLinkedTokenSource(connection.Closed);
    private VertexCoordination.Attending? attending;
    private Task showing = Task.CompletedTask;

    public SpiffeId Caller => connection.Remote;

    public SpiffeId CallerVertex => connection.RemoteVertex;

    /// <summary>Serves until the stream ends; throws nothing that a peer could cause.</summary>
    public async Task RunAsync()
    {
        try
        {
            await ServeAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or PortalException or InvalidOperationException or ObjectDisposedException)
        {
            // The caller or the node goes, or another program attends.
        }
        finally
        {
            await ending.CancelAsync().ConfigureAwait(false);
            if (attending is { } program) await endpoint.InTurnAsync(core => core.Leave(program)).ConfigureAwait(false);
            await showing.ConfigureAwait(false);
            await connection.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>From any thread; <see cref="RunAsync"/> completes soon.</summary>
    public void End() => connection.Abort(new PortalException(PortalError.Closed, "This vertex speaks no longer of coordination."));

    public void Dispose()
    {
        ending.Dispose();
        writing.Dispose();
    }

    private async Task ServeAsync()
    {
        var lines = new RequestLines(connection.Stream!.Input, CoordinationProtocol.MaxRequestLineBytes, Idle, LinePatience);
        while (true)
        {
            byte[]? line;
            try
            {
                line = await lines.ReadAsync(ending.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is TimeoutException or InvalidDataException)
            {
                await WriteAsync(VertexAnswer.OfError(e.Message)).ConfigureAwait(false);
                return;
            }
            if (line is null) return;
            var answer = VertexRequest.TryRead(line, out var request, out var problem)
                ? await AnswerAsync(request).ConfigureAwait(false)
                : VertexAnswer.OfError(problem);
            if (answer is not null) await WriteAsync(answer).ConfigureAwait(false);
        }
    }

    private async Task<VertexAnswer?> AnswerAsync(VertexRequest request)
    {
        if (request.Decide is { } decide) return await endpoint.DecideAsync(this, decide).ConfigureAwait(false);
        if (Caller != endpoint.Node) return VertexAnswer.OfError($"Only {endpoint.Node.Path} may ask this of {endpoint.Node.Path}, and this is {Caller.Path}.");
        if (request.Topology is not null) return await endpoint.TopologyAsync().ConfigureAwait(false);
        if (request.Stand is { } stand)
        {
            return attending is { } program ? await endpoint.StandAsync(program, stand).ConfigureAwait(false) : VertexAnswer.OfError("Attend on this stream before you stand.");
        }
        await AttendAsync().ConfigureAwait(false);
        return null;
    }

    private async Task AttendAsync()
    {
        // Only the last view counts: a program that does not read, as one that is frozen, keeps nothing waiting.
        var views = Channel.CreateBounded<VertexView>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
        var before = showing;
        var program = await endpoint.InTurnAsync(core => core.Attend(view => views.Writer.TryWrite(view), () => views.Writer.TryComplete())).ConfigureAwait(false);
        attending = program;
        // Asked again on the same stream, it is the same stream's candidacy.
        await before.ConfigureAwait(false);
        showing = ShowAsync(program, views.Reader);
    }

    private async Task ShowAsync(VertexCoordination.Attending program, ChannelReader<VertexView> views)
    {
        try
        {
            await foreach (var view in views.ReadAllAsync(ending.Token).ConfigureAwait(false)) await WriteAsync(VertexAnswer.Of(view)).ConfigureAwait(false);
            if (attending != program) return;
            await WriteAsync(VertexAnswer.OfError("Another program attends at this vertex now.")).ConfigureAwait(false);
            await ending.CancelAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or PortalException or InvalidOperationException or ObjectDisposedException)
        {
            // The stream ends; whoever reads it ends the rest.
            await ending.CancelAsync().ConfigureAwait(false);
        }
    }

    private async Task WriteAsync(VertexAnswer answer)
    {
        var json = CoordinationJson.Write(answer);
        if (json.Length > CoordinationProtocol.MaxAnswerLineBytes) json = CoordinationJson.Write(TooLong);
        byte[] line = [.. json, (byte)'\n'];
        await writing.WaitAsync(ending.Token).ConfigureAwait(false);
        try
        {
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(ending.Token);
            deadline.CancelAfter(Idle);
            var written = await connection.Stream!.Output.WriteAsync(line, deadline.Token).ConfigureAwait(false);
            if (written.IsCompleted) throw new IOException("The caller reads no more.");
        }
        finally
        {
            writing.Release();
        }
    }
}
