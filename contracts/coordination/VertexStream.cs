using Florete.Portals;

namespace Florete.Coordination.Contracts;

/// <summary>A stream to <c>node/…</c>: requests out, answers in.</summary>
internal sealed class VertexStream(string vertex, PortalStream stream, int maxAnswerBytes) : IAsyncDisposable
{
    private readonly LineStream lines = new(stream, maxAnswerBytes);

    public async Task WriteAsync(VertexRequest request, CancellationToken cancellationToken)
    {
        try
        {
            await lines.WriteAsync(CoordinationJson.Write(request), cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (IsBroken(e))
        {
            throw Broken(e);
        }
    }

    public async Task<VertexAnswer> ReadAsync(CancellationToken cancellationToken)
    {
        ReadOnlyMemory<byte>? line;
        try
        {
            line = await lines.ReadAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (IsBroken(e))
        {
            throw Broken(e);
        }
        if (line is null) throw new CoordinationException($"Vertex {vertex} has closed the stream.");
        if (!VertexAnswer.TryRead(line.Value.Span, out var answer, out var problem)) throw new CoordinationException($"Vertex {vertex} answers what cannot be read: {problem}");
        return answer.Error is null ? answer : throw new CoordinationException($"Vertex {vertex} says: {answer.Error}");
    }

    public CoordinationException Unexpected(string wanted) => new($"Vertex {vertex} answers something else than {wanted}; use programs of one version.");

    public ValueTask DisposeAsync() => lines.DisposeAsync();

    private static bool IsBroken(Exception e) => e is IOException or InvalidDataException or PortalException or ObjectDisposedException or InvalidOperationException;

    private CoordinationException Broken(Exception e) => new($"The stream to vertex {vertex} broke: {(e.InnerException as PortalException ?? e).Message}", e);
}
