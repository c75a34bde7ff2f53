using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Florete.Layers;

/// <summary>SHA-256 of an encoded certificate chain: how records name it.</summary>
internal readonly record struct CertificateHash(ulong A, ulong B, ulong C, ulong D)
{
    public const int Bytes = 32;

    /// <summary>The first 8 bytes, which name the chain where a wrong guess costs nothing but a retry.</summary>
    public ulong Short => A;

    /// <summary>Reads 32 bytes.</summary>
    public static CertificateHash Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt64BigEndian(source), BinaryPrimitives.ReadUInt64BigEndian(source[8..]),
        BinaryPrimitives.ReadUInt64BigEndian(source[16..]), BinaryPrimitives.ReadUInt64BigEndian(source[24..]));

    public static CertificateHash Of(ReadOnlySpan<byte> encodedChain)
    {
        Span<byte> hash = stackalloc byte[Bytes];
        SHA256.HashData(encodedChain, hash);
        return Read(hash);
    }

    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, A);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], B);
        BinaryPrimitives.WriteUInt64BigEndian(destination[16..], C);
        BinaryPrimitives.WriteUInt64BigEndian(destination[24..], D);
    }
}
