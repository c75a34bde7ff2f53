namespace Florete.Layers;

/// <summary>Collects the header at the front of a stream, however it is cut into packets; never more than the largest header.</summary>
internal struct HeaderReader
{
    private byte[]? collected;
    private int length;

    /// <summary>
    /// Takes bytes; complete: <paramref name="header"/> is whole and <paramref name="rest"/> what follows it. The header is valid until the next call.
    /// </summary>
    public HeaderState Take(ReadOnlySpan<byte> data, out ReadOnlySpan<byte> header, out ReadOnlySpan<byte> rest)
    {
        header = rest = default;
        if (length == 0 && StreamHeaders.Measure(data, out var whole) == HeaderState.Complete)
        {
            header = data[..whole];
            rest = data[whole..];
            return HeaderState.Complete;
        }
        collected ??= new byte[StreamHeaders.HeadBytes + StreamHeaders.MaxBodyBytes];
        while (true)
        {
            var state = StreamHeaders.Measure(collected.AsSpan(0, length), out var total);
            if (state == HeaderState.Complete)
            {
                header = collected.AsSpan(0, total);
                rest = data;
                length = 0;
                return HeaderState.Complete;
            }
            if (state == HeaderState.Malformed || data.IsEmpty) return state;
            var piece = Math.Min(total - length, data.Length);
            data[..piece].CopyTo(collected.AsSpan(length));
            length += piece;
            data = data[piece..];
        }
    }
}
