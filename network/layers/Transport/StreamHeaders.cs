using System.Buffers.Binary;
using System.Text;
using Florete.Portals;

namespace Florete.Layers;

/// <summary>What a stream of a transport connection is for; the first byte that the caller sends on it.</summary>
internal enum StreamKind : byte
{
    Control = 1,
    Stream = 2,
    Datagrams = 3,
}

/// <summary>Codecs of docs/protocols/transport.md "Streams". Parsers never throw: the bytes come from a peer.</summary>
internal static class StreamHeaders
{
    public const byte Version = 1;
    public const int HeadBytes = 4;
    public const int MaxBodyBytes = 1024;
    private const byte CriticalBit = 0x80;

    public static byte[] Request(StreamKind kind) => [(byte)kind, Version, 0, 0];

    public static byte[] Accepted() => Response(0, "");

    public static byte[] Refused(PortalException refusal) => Response((byte)refusal.Error, refusal.Message);

    /// <summary>A control or key frame: type, flags, length, value.</summary>
    public static byte[] Frame(byte type, ReadOnlySpan<byte> value)
    {
        var frame = new byte[HeadBytes + value.Length];
        frame[0] = type;
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(2), (ushort)value.Length);
        value.CopyTo(frame.AsSpan(HeadBytes));
        return frame;
    }

    /// <summary>Is a whole header or frame at the front? All of them have 4 bytes of head, the last two being the body's length.</summary>
    public static HeaderState Measure(ReadOnlySpan<byte> source, out int totalBytes)
    {
        totalBytes = HeadBytes;
        if (source.Length < HeadBytes) return HeaderState.Incomplete;
        var body = BinaryPrimitives.ReadUInt16BigEndian(source[2..]);
        if (body > MaxBodyBytes) return HeaderState.Malformed;
        totalBytes += body;
        return source.Length < totalBytes ? HeaderState.Incomplete : HeaderState.Complete;
    }

    /// <summary>Reads a complete request header; null and a reason if it cannot be served.</summary>
    public static StreamKind? ReadRequest(ReadOnlySpan<byte> header, out string problem)
    {
        problem = "";
        if (header[1] != Version) problem = $"the request header has version {header[1]}; this vertex speaks version {Version}";
        else if (!Enum.IsDefined((StreamKind)header[0])) problem = $"stream kind {header[0]} is unknown";
        else if (UnknownCritical(header[HeadBytes..])) problem = "the request header has a critical field that this vertex does not know, or is cut short";
        return problem.Length == 0 ? (StreamKind)header[0] : null;
    }

    /// <summary>Reads a complete response header; null means accepted.</summary>
    public static PortalException? ReadResponse(ReadOnlySpan<byte> header)
    {
        if (header[1] != Version) return new PortalException(PortalError.ProtocolViolation, $"The peer answered with version {header[1]}.");
        if (header[0] == 0) return null;
        return new PortalException(ErrorOf(header[0]), CleanText(header[HeadBytes..]));
    }

    /// <summary>The error for a code that a peer sent; unknown codes are violations.</summary>
    public static PortalError ErrorOf(ulong code) =>
        code is >= (ulong)PortalError.NotFound and <= (ulong)PortalError.ProtocolViolation ? (PortalError)code : PortalError.ProtocolViolation;

    /// <summary>A peer's text, fit for logs and terminals: no control characters.</summary>
    public static string CleanText(ReadOnlySpan<byte> utf8)
    {
        var text = new StringBuilder(Encoding.UTF8.GetString(utf8[..Math.Min(utf8.Length, MaxBodyBytes)]));
        for (var i = 0; i < text.Length; i++)
        {
            if (char.IsControl(text[i])) text[i] = ' ';
        }
        return text.ToString();
    }

    private static byte[] Response(byte code, string text)
    {
        var body = Encoding.UTF8.GetBytes(text);
        if (body.Length > MaxBodyBytes) body = body[..MaxBodyBytes];
        var header = new byte[HeadBytes + body.Length];
        header[0] = code;
        header[1] = Version;
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(2), (ushort)body.Length);
        body.CopyTo(header.AsSpan(HeadBytes));
        return header;
    }

    private static bool UnknownCritical(ReadOnlySpan<byte> fields)
    {
        while (fields.Length > 0)
        {
            if (fields.Length < 3 || (fields[0] & CriticalBit) != 0) return true;
            var length = BinaryPrimitives.ReadUInt16BigEndian(fields[1..]);
            if (fields.Length < 3 + length) return true;
            fields = fields[(3 + length)..];
        }
        return false;
    }
}

internal enum HeaderState
{
    Incomplete,
    Complete,
    Malformed,
}
