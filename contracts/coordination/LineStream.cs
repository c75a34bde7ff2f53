namespace Florete.Coordination.Contracts;

/// <summary>Lines of bytes over a stream, each ended by LF. One reader and one writer at a time. Owns the stream.</summary>
/// <param name="stream">Both directions.</param>
/// <param name="maxLineBytes">Of a line read, without its end.</param>
public sealed class LineStream(Stream stream, int maxLineBytes) : IAsyncDisposable
{
    private const byte End = (byte)'\n';

    private byte[] buffer = new byte[Math.Min(4096, maxLineBytes + 1)];
    private byte[] outgoing = [];
    private int start;
    private int filled;
    private int searched;

    /// <summary>The next line without its end; good until the next read. Null: the stream has ended; what was begun and not ended is no line.</summary>
    /// <exception cref="InvalidDataException">The line is longer than allowed; the stream is of no use any more.</exception>
    /// <exception cref="IOException">The stream broke.</exception>
    public async ValueTask<ReadOnlyMemory<byte>?> ReadAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            var end = buffer.AsSpan(searched, filled - searched).IndexOf(End);
            if (end >= 0)
            {
                var line = buffer.AsMemory(start, searched + end - start);
                start = searched = searched + end + 1;
                return line;
            }
            searched = filled;
            if (filled - start > maxLineBytes) throw new InvalidDataException($"A line is longer than {maxLineBytes} bytes.");
            MakeRoom();
            var read = await stream.ReadAsync(buffer.AsMemory(filled), cancellationToken).ConfigureAwait(false);
            if (read == 0) return null;
            filled += read;
        }
    }

    /// <summary>Writes a line and its end in one piece.</summary>
    /// <param name="line">Without LF.</param>
    /// <param name="cancellationToken">Gives up; then part of it may have been written.</param>
    /// <exception cref="IOException">The stream broke.</exception>
    public ValueTask WriteAsync(ReadOnlyMemory<byte> line, CancellationToken cancellationToken = default)
    {
        if (outgoing.Length < line.Length + 1) outgoing = new byte[Math.Max(256, line.Length + 1)];
        line.CopyTo(outgoing);
        outgoing[line.Length] = End;
        return stream.WriteAsync(outgoing.AsMemory(0, line.Length + 1), cancellationToken);
    }

    public ValueTask DisposeAsync() => stream.DisposeAsync();

    // Grows as bytes come: a peer takes no memory by announcing.
    private void MakeRoom()
    {
        if (start > 0)
        {
            buffer.AsSpan(start, filled - start).CopyTo(buffer);
            (filled, searched, start) = (filled - start, searched - start, 0);
        }
        if (filled == buffer.Length) Array.Resize(ref buffer, Math.Min(buffer.Length * 2, maxLineBytes + 1));
    }
}
