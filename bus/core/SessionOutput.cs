using System.Buffers;

namespace Florete.Bus;

/// <summary>Bytes that a session has for its peer. Two buffers: one is being sent while the other is written.</summary>
internal sealed class SessionOutput : IBufferWriter<byte>
{
    /// <summary>A session with more than that has a peer that does not read. Above what windows and queues can fill.</summary>
    public const int MaxBytes = 8 << 20;

    private const int KeptBytes = 512 << 10;

    private ArrayBufferWriter<byte> written = new();
    private ArrayBufferWriter<byte> spare = new();

    public int WrittenCount => written.WrittenCount;

    /// <summary>There are bytes, and there were none.</summary>
    public Action? Ready { get; set; }

    public void Advance(int count)
    {
        var isFirst = written.WrittenCount == 0;
        written.Advance(count);
        if (isFirst) Ready?.Invoke();
    }

    public Memory<byte> GetMemory(int sizeHint = 0) => written.GetMemory(sizeHint);

    public Span<byte> GetSpan(int sizeHint = 0) => written.GetSpan(sizeHint);

    /// <summary>Hands out what is there; good until the next call.</summary>
    public ReadOnlyMemory<byte> Take()
    {
        (written, spare) = (spare, written);
        if (written.Capacity > KeptBytes) written = new ArrayBufferWriter<byte>();
        else written.ResetWrittenCount();
        return spare.WrittenMemory;
    }
}
