using System.Buffers;
using System.Text;
using Florete.Identities;
using Florete.Quic;

namespace Florete.Links;

/// <summary>Constants of <c>florete-join/1</c> and the forms of its messages (docs/protocols/join.md).</summary>
internal static class JoinProtocol
{
    public const string Alpn = "florete-join/1";
    public const ushort Version = 1;

    // A bundle has up to 16 roots of some 700 bytes in PEM.
    public const int MaxBundleBytes = 64 * 1024;

    // A token and a PKCS#10 request of a P-256 key have 2 KB.
    public const int MaxRequestBytes = 8 * 1024;

    // Signed bounds of 1 MiB are 1.4 MiB of base64, and a little more as JSON in JSON.
    public const int MaxAnswerBytes = 3 * 1024 * 1024;

    // A sentence for a person.
    public const int MaxSentenceBytes = 500;

    public const int PartBytes = ControlChannel.MaxBodyBytes - 1;

    public static readonly TimeSpan WholeTime = TimeSpan.FromSeconds(30), RequestTime = TimeSpan.FromSeconds(5);

    /// <summary>What a joiner asks for that does not know whom it will meet.</summary>
    public static string AnyVertexOf(string cluster) => $"join.vertex.{cluster}.{MeshName.Suffix}";

    public static QuicOptions ClientOptions => new()
    {
        Alpn = Alpn,
        MaxPacketBytes = QuicOptions.LeastPacketBytes,
        StreamWindowBytes = 64 * 1024,
        ConnectionWindowBytes = 64 * 1024,
        MaxPeerStreams = 0,
        HandshakeTimeout = RequestTime,
        IdleTimeout = TimeSpan.Zero, // the whole has a deadline
        InitialRoundTrip = TimeSpan.FromMilliseconds(100),
    };

    public static byte[] Refused(JoinRefusal code, string sentence)
    {
        var text = Encoding.UTF8.GetBytes(sentence);
        return [(byte)code, .. text.AsSpan(0, Math.Min(text.Length, MaxSentenceBytes))];
    }

    /// <summary>A stranger's sentence: short and without control characters, before it meets a terminal.</summary>
    public static string Sentence(ReadOnlySpan<byte> utf8) =>
        string.Concat(Encoding.UTF8.GetString(utf8[..Math.Min(utf8.Length, MaxSentenceBytes)]).Select(static c => char.IsControl(c) ? ' ' : c));
}

/// <summary>Messages after the joiner's Hello.</summary>
internal enum JoinMessageType : byte
{
    Hello = 1,
    Bundle = 2,
    Request = 3,
    Answer = 4,
    Refused = 5,
}

/// <summary>A document that comes in parts, up to a size.</summary>
internal sealed class JoinDocument(int maxBytes)
{
    private readonly ArrayBufferWriter<byte> bytes = new();

    public bool IsWhole { get; private set; }

    public ReadOnlyMemory<byte> Content => bytes.WrittenMemory;

    /// <summary>False: it is malformed, too long, or was whole before.</summary>
    public bool Add(ReadOnlySpan<byte> part)
    {
        if (IsWhole || part.IsEmpty || part[0] > 1 || bytes.WrittenCount + part.Length - 1 > maxBytes) return false;
        bytes.Write(part[1..]);
        IsWhole = part[0] == 0;
        return true;
    }
}

/// <summary>Sends a document in parts, as fast as the peer takes them.</summary>
internal sealed class JoinSending(JoinMessageType type, ReadOnlyMemory<byte> content)
{
    // More waits here instead of in the connection's chunks.
    private const long MostBuffered = 32 * 1024;

    private int sent;
    private bool isDone;

    public void Pump(ControlChannel channel)
    {
        Span<byte> part = stackalloc byte[ControlChannel.MaxBodyBytes];
        while (!isDone && channel.BufferedBytes < MostBuffered)
        {
            var bytes = Math.Min(JoinProtocol.PartBytes, content.Length - sent);
            isDone = sent + bytes == content.Length;
            part[0] = isDone ? (byte)0 : (byte)1;
            content.Span.Slice(sent, bytes).CopyTo(part[1..]);
            sent += bytes;
            channel.Send((ControlMessageType)type, part[..(1 + bytes)]);
        }
    }
}
