using System.Security.Cryptography;
using Florete.Runtime;

namespace Florete.Sealing;

/// <summary>Seals packets under the key of one epoch. Loop-affine. Owns the key.</summary>
public sealed class Sealer : IDisposable
{
    public const int TagBytes = 16;

    private readonly SealingKey key;
    private readonly AesGcm aead;
    private readonly RekeyLimits limits;
    private readonly ulong[] next;
    private Instant usedSince = Instant.Never;
    private long packets;
    private long bytes;

    /// <param name="epoch">The epoch of the key.</param>
    /// <param name="key">Owned from now on.</param>
    /// <param name="lanes">How many lanes are in use, from lane 0.</param>
    /// <param name="limits">When the next epoch is due.</param>
    public Sealer(byte epoch, SealingKey key, int lanes, RekeyLimits limits)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)lanes, 256u);
        Epoch = epoch;
        this.key = key;
        this.limits = limits;
        aead = key.CreateAead();
        next = new ulong[lanes];
    }

    public byte Epoch { get; }

    /// <summary>True when the next epoch shall be prepared.</summary>
    public bool IsDue(Instant now) => packets >= limits.Packets || bytes >= limits.PayloadBytes || Age(now) >= limits.Age;

    /// <summary>True when nothing may be sealed any more.</summary>
    public bool IsExhausted(Instant now) => packets / 2 >= limits.Packets || bytes / 2 >= limits.PayloadBytes || Age(now) / 2 >= limits.Age;

    /// <summary>Assigns the next counter of a lane. Call it when the packet leaves the queue.</summary>
    public PacketCounter Next(byte lane) => PacketCounter.Of(lane, ++next[lane]);

    /// <summary>Encrypts the packet in place and appends the tag.</summary>
    public void Seal(PacketBuffer packet, PacketCounter counter, ReadOnlySpan<byte> associated, Instant now)
    {
        if (usedSince == Instant.Never) usedSince = now;
        packets++;
        bytes += packet.Length;
        Span<byte> nonce = stackalloc byte[SealingKey.NonceBytes];
        key.WriteNonce(counter, nonce);
        var tag = packet.Append(TagBytes);
        var body = packet.Span[..^TagBytes];
        aead.Encrypt(nonce, body, body, tag, associated);
    }

    public void Dispose()
    {
        aead.Dispose();
        key.Dispose();
    }

    private TimeSpan Age(Instant now) => usedSince == Instant.Never ? TimeSpan.Zero : now - usedSince;
}
