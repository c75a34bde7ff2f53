namespace Florete.Coordination.Contracts;

/// <summary>A stream on which a program attends at its vertex: as long as it is open and stands are said, the program is a candidate. One reader and one writer at a time.</summary>
public sealed class Attendance : IAsyncDisposable
{
    private readonly VertexStream stream;

    internal Attendance(VertexStream stream) => this.stream = stream;

    /// <exception cref="CoordinationException">The stream has ended.</exception>
    public Task StandAsync(Stand stand, CancellationToken cancellationToken = default) => stream.WriteAsync(VertexRequest.Of(stand), cancellationToken);

    /// <summary>The next answer: a view, or that a claim is refused.</summary>
    /// <exception cref="CoordinationException">The stream has ended, or the vertex answers something else.</exception>
    public async Task<VertexAnswer> ReadAsync(CancellationToken cancellationToken = default)
    {
        var answer = await stream.ReadAsync(cancellationToken).ConfigureAwait(false);
        return answer.View is not null || answer.Refused is not null ? answer : throw stream.Unexpected("a view");
    }

    public ValueTask DisposeAsync() => stream.DisposeAsync();
}
