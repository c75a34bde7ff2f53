using System.Buffers.Binary;

namespace Florete.Layers;

/// <summary>Packs sections into messages and sends each when the next section does not fit.</summary>
internal sealed class MessageWriter
{
    private readonly byte[] buffer;
    private readonly Action<ReadOnlySpan<byte>> send;
    private int length = 1;

    public MessageWriter(int maxMessageBytes, Action<ReadOnlySpan<byte>> send)
    {
        buffer = new byte[maxMessageBytes];
        buffer[0] = SectionReader.Version;
        this.send = send;
    }

    public long SentMessages { get; private set; }

    public long SentBytes { get; private set; }

    /// <summary>The longest section content that a message holds.</summary>
    public int MaxContentBytes => buffer.Length - 1 - SectionReader.HeaderBytes;

    /// <summary>Room for content in the message being written.</summary>
    public int RoomBytes => Math.Max(0, buffer.Length - length - SectionReader.HeaderBytes);

    /// <summary>Begins a section of exactly <paramref name="contentBytes"/>; the caller fills the result before anything else is written.</summary>
    public Span<byte> Section(SectionType type, int contentBytes)
    {
        if (contentBytes > RoomBytes) Flush();
        var content = buffer.AsSpan(length + SectionReader.HeaderBytes, contentBytes);
        buffer[length] = (byte)type;
        BinaryPrimitives.WriteUInt16BigEndian(buffer.AsSpan(length + 1), (ushort)contentBytes);
        length += SectionReader.HeaderBytes + contentBytes;
        return content;
    }

    /// <summary>Writes a list of 8-byte values, in as many sections as it takes; clears it.</summary>
    public void List(SectionType type, List<ulong> values)
    {
        for (var from = 0; from < values.Count;)
        {
            if (RoomBytes < 8) Flush();
            var count = Math.Min(values.Count - from, RoomBytes / 8);
            var content = Section(type, count * 8);
            for (var i = 0; i < count; i++) BinaryPrimitives.WriteUInt64BigEndian(content[(8 * i)..], values[from + i]);
            from += count;
        }
        values.Clear();
    }

    /// <summary>Writes a record or chain: whole if a message holds it, else in fragments.</summary>
    public void Object(byte what, ushort ageSeconds, ulong hash, ReadOnlySpan<byte> bytes)
    {
        var headerBytes = what == Fragment.OfRecord ? 2 : 0;
        if (headerBytes + bytes.Length <= MaxContentBytes)
        {
            var content = Section(what == Fragment.OfRecord ? SectionType.Record : SectionType.Certificate, headerBytes + bytes.Length);
            if (headerBytes > 0) BinaryPrimitives.WriteUInt16BigEndian(content, ageSeconds);
            bytes.CopyTo(content[headerBytes..]);
            return;
        }
        for (var offset = 0; offset < bytes.Length; offset += DirectoryLimits.FragmentBytes)
        {
            var part = bytes[offset..Math.Min(bytes.Length, offset + DirectoryLimits.FragmentBytes)];
            new Fragment { What = what, AgeSeconds = ageSeconds, Hash = hash, TotalBytes = (ushort)bytes.Length, Offset = (ushort)offset, Part = part }
                .Write(Section(SectionType.Fragment, Fragment.HeaderBytes + part.Length));
        }
    }

    public void Flush()
    {
        if (length == 1) return;
        SentMessages++;
        SentBytes += length;
        send(buffer.AsSpan(0, length));
        length = 1;
    }
}
