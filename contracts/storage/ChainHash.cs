using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Florete.Identities;

namespace Florete.Storage.Contracts;

/// <summary>SHA-256 of an encoded certificate chain (<see cref="EncodedChain"/>): how versions name it. Written as 64 hexadecimal digits.</summary>
public readonly record struct ChainHash(UInt128 High, UInt128 Low)
{
    public const int Bytes = 32;

    public static ChainHash Of(ReadOnlySpan<byte> encodedChain)
    {
        Span<byte> hash = stackalloc byte[Bytes];
        SHA256.HashData(encodedChain, hash);
        return Read(hash);
    }

    /// <summary>Reads <see cref="Bytes"/> bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer.</exception>
    public static ChainHash Read(ReadOnlySpan<byte> source) => new(BinaryPrimitives.ReadUInt128BigEndian(source), BinaryPrimitives.ReadUInt128BigEndian(source[16..]));

    /// <summary>Writes <see cref="Bytes"/> bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is less room.</exception>
    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt128BigEndian(destination, High);
        BinaryPrimitives.WriteUInt128BigEndian(destination[16..], Low);
    }

    public static bool TryParse([NotNullWhen(true)] string? text, out ChainHash hash)
    {
        hash = default;
        Span<byte> bytes = stackalloc byte[Bytes];
        if (text is null || text.Length != 2 * Bytes) return false;
        if (Convert.FromHexString(text, bytes, out _, out _) != System.Buffers.OperationStatus.Done) return false;
        hash = Read(bytes);
        return true;
    }

    public override string ToString() => $"{High:x32}{Low:x32}";
}
