using System.Buffers.Binary;
using System.Text;
using Florete.Identities;

namespace Florete.Layers;

/// <summary>The body of a revocation record: needed until 8, reason 1, words 1 + n, TLVs (docs/protocols/revocation.md).</summary>
internal sealed record RevocationBody(DateTimeOffset NeededUntil, RevocationReason Reason, string Text)
{
    public const int MaxTextBytes = 200;

    private const int FixedBytes = 8 + 1 + 1;
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    // Beyond it DateTimeOffset ends.
    private static readonly ulong LastTime = (ulong)DateTimeOffset.MaxValue.ToUnixTimeMilliseconds();

    /// <exception cref="ArgumentException">The words are longer than <see cref="MaxTextBytes"/> in UTF-8, or hold control characters.</exception>
    public byte[] Encode()
    {
        var text = Encoding.UTF8.GetBytes(Text);
        if (text.Length > MaxTextBytes) throw new ArgumentException($"A reason has at most {MaxTextBytes} bytes, and this one has {text.Length}.", nameof(Text));
        if (!IsPrintable(Text)) throw new ArgumentException("A reason holds no control characters.", nameof(Text));
        var body = new byte[FixedBytes + text.Length];
        BinaryPrimitives.WriteUInt64BigEndian(body, (ulong)NeededUntil.ToUnixTimeMilliseconds());
        body[8] = (byte)Reason;
        body[9] = (byte)text.Length;
        text.CopyTo(body, FixedBytes);
        return body;
    }

    public static bool TryDecode(ReadOnlySpan<byte> body, out RevocationBody? decoded)
    {
        decoded = null;
        if (body.Length < FixedBytes || body[9] > MaxTextBytes || body.Length < FixedBytes + body[9]) return false;
        if (!TryReadTime(BinaryPrimitives.ReadUInt64BigEndian(body), out var until)) return false;
        string text;
        try
        {
            text = Strict.GetString(body.Slice(FixedBytes, body[9]));
        }
        catch (DecoderFallbackException)
        {
            return false;
        }
        if (!IsPrintable(text) || !VertexBody.AreSkippable(body[(FixedBytes + body[9])..])) return false;
        decoded = new RevocationBody(until, (RevocationReason)body[8], text);
        return true;
    }

    /// <summary>The revocation that a record means; false if the record is none in form. Proves nothing.</summary>
    public static bool TryRead(in RecordView view, SpiffeId signer, out Revocation? revocation)
    {
        revocation = null;
        if ((view.Flags & RecordFlags.Lasting) == 0 || (view.Flags & RecordFlags.Withdrawn) != 0) return false;
        if (!TryReadTime(view.Incarnation, out var before) || !TryReadTime(view.Sequence, out var signedAt) || !TryDecode(view.Body, out var body)) return false;
        if (!SpiffeId.TryParse(Encoding.Latin1.GetString(view.Subject), out var subject, out _) || subject.Cluster != signer.Cluster) return false;
        revocation = new Revocation(subject, before, body!.Reason, body.Text, signer, signedAt, body.NeededUntil);
        return true;
    }

    private static bool TryReadTime(ulong milliseconds, out DateTimeOffset time)
    {
        time = milliseconds <= LastTime ? DateTimeOffset.FromUnixTimeMilliseconds((long)milliseconds) : default;
        return milliseconds <= LastTime;
    }

    private static bool IsPrintable(string text) => !text.Any(char.IsControl);
}
