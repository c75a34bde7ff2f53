using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Florete.Sealing;

/// <summary>The secret of one epoch in one direction: AES-128 key and IV. Wiped when disposed; never logged.</summary>
public sealed class SealingKey : IDisposable
{
    public const int KeyBytes = 16, NonceBytes = 12;

    /// <summary>Its encoded size.</summary>
    public const int Bytes = KeyBytes + NonceBytes;

    private readonly byte[] secret = GC.AllocateUninitializedArray<byte>(Bytes, pinned: true);

    private SealingKey()
    {
    }

    /// <summary>A fresh random key.</summary>
    public static SealingKey Generate()
    {
        var key = new SealingKey();
        RandomNumberGenerator.Fill(key.secret);
        return key;
    }

    /// <summary>Reads a key that was carried here; false when the length is wrong.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out SealingKey? key)
    {
        key = null;
        if (source.Length != Bytes) return false;
        key = new SealingKey();
        source.CopyTo(key.secret);
        return true;
    }

    /// <summary>Writes the key, to be carried over an encrypted channel only.</summary>
    public void Write(Span<byte> destination) => secret.CopyTo(destination);

    public void Dispose() => CryptographicOperations.ZeroMemory(secret);

    internal AesGcm CreateAead() => new(secret.AsSpan(0, KeyBytes), Sealer.TagBytes);

    internal void WriteNonce(PacketCounter counter, Span<byte> nonce)
    {
        secret.AsSpan(KeyBytes, NonceBytes).CopyTo(nonce);
        var tail = nonce[4..];
        BinaryPrimitives.WriteUInt64BigEndian(tail, BinaryPrimitives.ReadUInt64BigEndian(tail) ^ counter.Value);
    }
}
