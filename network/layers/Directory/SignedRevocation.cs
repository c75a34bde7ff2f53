using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Florete.Identities;

namespace Florete.Layers;

/// <summary>
/// A revocation with all that proves it, as one directory message: the operator's chain, then the record. It may be kept in a file and carried by anybody.
/// </summary>
public sealed class SignedRevocation
{
    /// <summary>A message with the longest chain and the longest record.</summary>
    public const int MaxBytes = 1 + (2 * SectionReader.HeaderBytes) + DirectoryLimits.MaxEncodedChainBytes + 2 + DirectoryLimits.MaxRecordBytes;

    private SignedRevocation(byte[] message, byte[] chain, byte[] record, Revocation content)
    {
        (Message, Chain, Record, Content) = (message, chain, record, content);
    }

    /// <summary>The bytes of the message.</summary>
    public byte[] Message { get; }

    public Revocation Content { get; }

    internal byte[] Chain { get; }

    internal byte[] Record { get; }

    internal ulong Key => RecordView.TryParse(Record, out var view) ? view.Key() : 0;

    internal RecordVersion Version => RecordView.TryParse(Record, out var view) ? view.Version() : default;

    /// <summary>Signs a revocation for a layer; <see cref="Revocation.SignedBy"/> must be the signer.</summary>
    /// <exception cref="ArgumentException">The signer is no operator of the subject's cluster, or the reason is too long or has control characters.</exception>
    /// <exception cref="CryptographicException">The signer's key cannot sign.</exception>
    public static SignedRevocation Sign(string layer, Revocation revocation, X509Svid signer)
    {
        if (signer.Id.Kind != IdentityKind.Operator || signer.Id.Cluster != revocation.Subject.Cluster || signer.Id != revocation.SignedBy)
        {
            throw new ArgumentException($"{signer.Id} cannot sign a revocation of {revocation.Subject} by {revocation.SignedBy}.", nameof(signer));
        }
        var body = new RevocationBody(revocation.NeededUntil, revocation.Reason, revocation.Text).Encode();
        var record = RecordWriter.Sign(
            layer, RecordKind.Revocation, RecordFlags.Lasting, (ulong)revocation.Before.ToUnixTimeMilliseconds(), (ulong)revocation.SignedAt.ToUnixTimeMilliseconds(),
            signer, revocation.Subject.ToString(), body);
        return Of(EncodedChain.Encode(signer), record, revocation);
    }

    /// <summary>Reads a message and checks all of it but what is in force: form, chain at the time of signing, signature. Never throws.</summary>
    /// <param name="message">As <see cref="Message"/>.</param>
    /// <param name="layer">For which it must be signed.</param>
    /// <param name="verifier">Of the cluster's bundle.</param>
    /// <param name="signed">When true.</param>
    /// <param name="problem">What is wrong, a sentence, when false.</param>
    public static bool TryVerify(
        ReadOnlySpan<byte> message, string layer, IPeerVerifier verifier, [NotNullWhen(true)] out SignedRevocation? signed, [NotNullWhen(false)] out string? problem)
    {
        signed = null;
        if (!TryRead(message, out var read, out problem)) return false;
        var content = read.Content;
        if (CertificateChain.Verify(read.Chain, verifier, content.SignedAt, out var refusal) is not { } chain)
        {
            problem = $"Its signer is not proved: {refusal}";
            return false;
        }
        if (!RecordView.TryParse(read.Record, out var view)) throw new InvalidOperationException("A record that was just read does not parse.");
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        view.HashToSign(layer, hash);
        if (chain.Id != content.SignedBy || view.Certificate != chain.Hash || !SignatureForm.IsCanonical(view.Signature) || !chain.Verifies(hash, view.Signature))
        {
            problem = $"It is not signed by {content.SignedBy}, or was altered since, or is for another layer than '{layer}'.";
            return false;
        }
        signed = read;
        return true;
    }

    /// <summary>Reads the form alone. It proves nothing.</summary>
    public static bool TryRead(ReadOnlySpan<byte> message, [NotNullWhen(true)] out SignedRevocation? read, [NotNullWhen(false)] out string? problem)
    {
        read = null;
        problem = "It is no signed revocation, or one that was cut short or comes from a newer version.";
        if (message.Length > MaxBytes || !SectionReader.TryOpen(message, out var sections)) return false;
        byte[]? chain = null, record = null;
        while (sections.Next())
        {
            if (sections.Type == SectionType.Certificate && chain is null) chain = sections.Content.ToArray();
            else if (sections.Type == SectionType.Record && record is null && sections.Content is [0xFF, 0xFF, _, ..]) record = sections.Content[2..].ToArray();
            else return false;
        }
        if (sections.IsMalformed || chain is null || record is null || !RecordView.TryParse(record, out var view) || view.Kind != RecordKind.Revocation) return false;
        if (!SpiffeId.TryParse(Encoding.Latin1.GetString(view.Signer), out var signer, out _)) return false;
        if (signer.Kind != IdentityKind.Operator)
        {
            problem = $"{signer} signed it, and only an operator may revoke.";
            return false;
        }
        if (!RevocationBody.TryRead(view, signer, out var content)) return false;
        read = new SignedRevocation(message.ToArray(), chain, record, content!);
        problem = null;
        return true;
    }

    internal static SignedRevocation Of(byte[] chain, byte[] record, Revocation content)
    {
        var message = new byte[1 + (2 * SectionReader.HeaderBytes) + chain.Length + 2 + record.Length];
        message[0] = SectionReader.Version;
        var rest = Section(message.AsSpan(1), SectionType.Certificate, chain.Length);
        chain.CopyTo(rest);
        rest = Section(rest[chain.Length..], SectionType.Record, 2 + record.Length);
        BinaryPrimitives.WriteUInt16BigEndian(rest, DirectoryLimits.LastingAge);
        record.CopyTo(rest[2..]);
        return new SignedRevocation(message, chain, record, content);
    }

    private static Span<byte> Section(Span<byte> into, SectionType type, int length)
    {
        into[0] = (byte)type;
        BinaryPrimitives.WriteUInt16BigEndian(into[1..], (ushort)length);
        return into[SectionReader.HeaderBytes..];
    }
}
