using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;

namespace Florete.Bus;

/// <summary>
/// Cuts a stream into frames. It takes all bytes at once, for a stream's flow control may wait for bytes to be consumed; it grows as bytes arrive, never
/// by what a length claims.
/// </summary>
internal sealed class FrameAssembler
{
    private const int RestBytes = 64 << 10;

    private byte[] buffer = [];
    private int start;
    private int end;

    public void Append(in ReadOnlySequence<byte> received)
    {
        if (start == end)
        {
            (start, end) = (0, 0);
            if (buffer.Length > RestBytes) buffer = [];
        }
        var needed = end - start + checked((int)received.Length);
        if (start + needed > buffer.Length)
        {
            var target = needed > buffer.Length ? new byte[Capacity(needed)] : buffer;
            buffer.AsSpan(start, end - start).CopyTo(target);
            (buffer, end, start) = (target, end - start, 0);
        }
        received.CopyTo(buffer.AsSpan(end));
        end += (int)received.Length;
    }

    /// <summary>False: more bytes must come first. The body is good until the next <see cref="Append"/>.</summary>
    /// <param name="type">Of the frame.</param>
    /// <param name="body">Of the frame.</param>
    /// <param name="isBroken">No frame begins like this: the stream is of no further use.</param>
    public bool TryTake(out BusFrameType type, out ReadOnlyMemory<byte> body, out bool isBroken)
    {
        (type, body, isBroken) = (default, default, false);
        if (end - start < 5) return false;
        var length = BinaryPrimitives.ReadUInt32BigEndian(buffer.AsSpan(start));
        isBroken = length is 0 or > BusLimits.MaxFrameBytes;
        if (isBroken || end - start - 4 < length) return false;
        type = (BusFrameType)buffer[start + 4];
        body = buffer.AsMemory(start + 5, (int)length - 1);
        start += 4 + (int)length;
        return true;
    }

    private static int Capacity(int needed) => Math.Max(4096, (int)BitOperations.RoundUpToPowerOf2((uint)needed));
}
