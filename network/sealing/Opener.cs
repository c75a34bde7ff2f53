using System.Security.Cryptography;
using Florete.Runtime;

namespace Florete.Sealing;

/// <summary>What became of a sealed packet.</summary>
public enum OpenResult
{
    Opened,
    UnknownEpoch,
    OutOfRange,
    Replayed,
    Unauthentic,
}

/// <summary>Opens packets of one epoch. Loop-affine. Owns the key.</summary>
public sealed class Opener : IDisposable
{
    // docs/protocols/sealing.md "Key phases".
    private const long MaxFailures = 1L << 36;

    private readonly SealingKey key;
    private readonly AesGcm aead;
    private readonly ReplayWindow[] windows;
    private long failures;

    /// <param name="epoch">The epoch of the key.</param>
    /// <param name="key">Owned from now on.</param>
    /// <param name="lanes">How many lanes are in use, from lane 0.</param>
    public Opener(byte epoch, SealingKey key, int lanes)
    {
        Epoch = epoch;
        this.key = key;
        aead = key.CreateAead();
        windows = new ReplayWindow[lanes];
        for (var i = 0; i < lanes; i++) windows[i] = new ReplayWindow();
    }

    public byte Epoch { get; }

    /// <summary>True once a packet was authenticated.</summary>
    public bool IsUsed { get; private set; }

    /// <summary>Packets authenticated, and the gaps before the highest ones: what was lost or is on its way.</summary>
    public (ulong Received, ulong Missing) Tally
    {
        get
        {
            ulong received = 0, missing = 0;
            foreach (var window in windows)
            {
                received += window.Marked;
                missing += window.Highest - window.Marked;
            }
            return (received, missing);
        }
    }

    /// <summary>Could a packet with this counter be accepted? Ask before giving it memory or time.</summary>
    public OpenResult Check(PacketCounter counter)
    {
        if (counter.Lane >= windows.Length || failures >= MaxFailures) return OpenResult.OutOfRange;
        return windows[counter.Lane].Check(counter.Sequence) switch
        {
            ReplayCheck.Fresh => OpenResult.Opened,
            ReplayCheck.Replayed => OpenResult.Replayed,
            _ => OpenResult.OutOfRange,
        };
    }

    /// <summary>Checks, decrypts in place, removes the tag and marks the counter. When it fails, the packet's bytes are spoilt and nothing is remembered.</summary>
    public OpenResult Open(PacketBuffer packet, PacketCounter counter, ReadOnlySpan<byte> associated)
    {
        var check = Check(counter);
        if (check != OpenResult.Opened) return check;
        if (packet.Length < Sealer.TagBytes) return Failed();
        Span<byte> nonce = stackalloc byte[SealingKey.NonceBytes];
        key.WriteNonce(counter, nonce);
        var body = packet.Span[..^Sealer.TagBytes];
        try
        {
            aead.Decrypt(nonce, body, packet.Span[^Sealer.TagBytes..], body, associated);
        }
        catch (AuthenticationTagMismatchException)
        {
            return Failed();
        }
        packet.TrimEnd(Sealer.TagBytes);
        windows[counter.Lane].Mark(counter.Sequence);
        IsUsed = true;
        return OpenResult.Opened;
    }

    public void Dispose()
    {
        aead.Dispose();
        key.Dispose();
    }

    private OpenResult Failed()
    {
        failures++;
        return OpenResult.Unauthentic;
    }
}
