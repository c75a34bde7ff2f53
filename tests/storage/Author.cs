using System.Numerics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Florete.Identities;
using Florete.Storage.Contracts;

namespace Florete.Storage.Tests;

/// <summary>An author with a real key.</summary>
internal sealed class Author(X509Svid svid) : IDisposable
{
    private static readonly BigInteger Order = BigInteger.Parse("00FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551", System.Globalization.NumberStyles.HexNumber, null);

    private readonly ECDsa key = svid.Leaf.GetECDsaPrivateKey()!;

    public SpiffeId Id => svid.Id;

    public byte[] Chain { get; } = EncodedChain.Encode(svid);

    public VersionDraft Draft(DocumentKey document, PreparedWrite prepared, string? body, bool compareAndSwap = false) => new()
    {
        Key = document,
        Replica = prepared.Replica,
        Stamp = prepared.Clock,
        Seen = prepared.Seen,
        Author = Id,
        Chain = ChainHash.Of(Chain),
        Body = body is null ? null : (ReadOnlyMemory<byte>?)Encoding.UTF8.GetBytes(body),
        CompareAndSwap = compareAndSwap,
    };

    public DocumentVersion Make(DocumentKey document, PreparedWrite prepared, string? body, bool compareAndSwap = false) => Sign(Draft(document, prepared, body, compareAndSwap));

    public DocumentVersion Sign(VersionDraft draft, bool canonical = true)
    {
        var hash = SHA256.HashData([.. "florete program signature 1\0florete-storage/1\0"u8, .. SHA256.HashData(draft.Content.Span)]);
        var signature = key.SignHash(hash, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        var s = new BigInteger(signature.AsSpan(32), isUnsigned: true, isBigEndian: true);
        if (s > Order / 2 == canonical)
        {
            signature.AsSpan(32).Clear();
            var other = (Order - s).ToByteArray(isUnsigned: true, isBigEndian: true);
            other.CopyTo(signature, 64 - other.Length);
        }
        return draft.WithSignature(signature);
    }

    public void Dispose() => key.Dispose();
}
