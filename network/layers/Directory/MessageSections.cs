using System.Buffers.Binary;

namespace Florete.Layers;

internal enum SectionType : byte
{
    Record = 1,
    Acknowledgement = 2,
    Fragment = 3,
    CertificateRequest = 4,
    Certificate = 5,
    Summary = 6,
    Entries = 7,
    RecordRequest = 8,
}

/// <summary>Walks through the sections of a message: type 1, length 2, content.</summary>
internal ref struct SectionReader
{
    public const byte Version = 1;
    public const int HeaderBytes = 3;

    private ReadOnlySpan<byte> rest;

    private SectionReader(ReadOnlySpan<byte> sections) => rest = sections;

    public SectionType Type { get; private set; }

    public ReadOnlySpan<byte> Content { get; private set; }

    /// <summary>True when the message did not end where a section ends.</summary>
    public bool IsMalformed { get; private set; }

    public static bool TryOpen(ReadOnlySpan<byte> message, out SectionReader reader)
    {
        reader = default;
        if (message.IsEmpty || message[0] != Version) return false;
        reader = new SectionReader(message[1..]);
        return true;
    }

    public bool Next()
    {
        if (rest.IsEmpty) return false;
        if (rest.Length < HeaderBytes || rest.Length - HeaderBytes < BinaryPrimitives.ReadUInt16BigEndian(rest[1..]))
        {
            IsMalformed = true;
            return false;
        }
        Type = (SectionType)rest[0];
        Content = rest.Slice(HeaderBytes, BinaryPrimitives.ReadUInt16BigEndian(rest[1..]));
        rest = rest[(HeaderBytes + Content.Length)..];
        return true;
    }
}

/// <summary>A part of a record or certificate chain that fits no message.</summary>
internal readonly ref struct Fragment
{
    public const byte OfRecord = 1, OfCertificate = 2;
    public const int HeaderBytes = 1 + 2 + 8 + 2 + 2;

    public byte What { get; init; }

    public ushort AgeSeconds { get; init; }

    public ulong Hash { get; init; }

    public ushort TotalBytes { get; init; }

    public ushort Offset { get; init; }

    public ReadOnlySpan<byte> Part { get; init; }

    /// <summary>Every fragment but the last is full, so offset and total say how long each must be.</summary>
    public static bool TryParse(ReadOnlySpan<byte> content, out Fragment fragment)
    {
        fragment = default;
        if (content.Length <= HeaderBytes) return false;
        fragment = new Fragment
        {
            What = content[0],
            AgeSeconds = BinaryPrimitives.ReadUInt16BigEndian(content[1..]),
            Hash = BinaryPrimitives.ReadUInt64BigEndian(content[3..]),
            TotalBytes = BinaryPrimitives.ReadUInt16BigEndian(content[11..]),
            Offset = BinaryPrimitives.ReadUInt16BigEndian(content[13..]),
            Part = content[HeaderBytes..],
        };
        var max = fragment.What switch
        {
            OfRecord => DirectoryLimits.MaxRecordBytes,
            OfCertificate => DirectoryLimits.MaxEncodedChainBytes,
            _ => 0,
        };
        if (fragment.TotalBytes > max || fragment.Offset % DirectoryLimits.FragmentBytes != 0 || fragment.Offset >= fragment.TotalBytes) return false;
        return fragment.Part.Length == Math.Min(DirectoryLimits.FragmentBytes, fragment.TotalBytes - fragment.Offset);
    }

    public void Write(Span<byte> destination)
    {
        destination[0] = What;
        BinaryPrimitives.WriteUInt16BigEndian(destination[1..], AgeSeconds);
        BinaryPrimitives.WriteUInt64BigEndian(destination[3..], Hash);
        BinaryPrimitives.WriteUInt16BigEndian(destination[11..], TotalBytes);
        BinaryPrimitives.WriteUInt16BigEndian(destination[13..], Offset);
        Part.CopyTo(destination[HeaderBytes..]);
    }
}

/// <summary>One line of the digest: a record that the sender holds.</summary>
internal readonly record struct DigestEntry(ulong Key, RecordVersion Version)
{
    public const int Bytes = 32;

    /// <summary>Reads 32 bytes.</summary>
    public static DigestEntry Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt64BigEndian(source),
        new RecordVersion(
            BinaryPrimitives.ReadUInt64BigEndian(source[8..]), BinaryPrimitives.ReadUInt64BigEndian(source[16..]),
            BinaryPrimitives.ReadUInt64BigEndian(source[24..])));

    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, Key);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], Version.Incarnation);
        BinaryPrimitives.WriteUInt64BigEndian(destination[16..], Version.Sequence);
        BinaryPrimitives.WriteUInt64BigEndian(destination[24..], Version.Hash);
    }
}
