using Florete.Runtime;

namespace Florete.Sealing;

/// <summary>
/// The keys of a sender: the one in use, and the one that is being carried to the receiver. The caller carries
/// <see cref="Prepare"/>'s key and calls <see cref="Confirm"/> when the receiver has installed it. Loop-affine.
/// </summary>
public sealed class SealerPhases : IDisposable
{
    private readonly int lanes;
    private readonly RekeyLimits limits;
    private Sealer? next;

    /// <exception cref="ArgumentOutOfRangeException">A limit is out of range.</exception>
    public SealerPhases(int lanes, RekeyLimits limits)
    {
        this.lanes = lanes;
        this.limits = limits.Validated();
    }

    /// <summary>The sealer in use; null until the first key is confirmed.</summary>
    public Sealer? Current { get; private set; }

    /// <summary>True while a key is on its way.</summary>
    public bool IsPreparing => next is not null;

    /// <summary>True when a new key shall be prepared.</summary>
    public bool IsDue(Instant now) => next is null && Current is { } current && current.IsDue(now);

    /// <summary>Makes the key of the next epoch; writes it, encoded, to <paramref name="encoded"/> and returns its epoch.</summary>
    public byte Prepare(Span<byte> encoded)
    {
        next?.Dispose();
        var epoch = (byte)(Current is null ? 0 : Current.Epoch + 1);
        var key = SealingKey.Generate();
        key.Write(encoded);
        next = new Sealer(epoch, key, lanes, limits);
        return epoch;
    }

    /// <summary>The receiver has the key of this epoch: use it from now on. Idempotent. False when it is neither the one being carried nor the one in use.</summary>
    public bool Confirm(byte epoch)
    {
        if (next is null || next.Epoch != epoch) return Current?.Epoch == epoch;
        Current?.Dispose();
        Current = next;
        next = null;
        return true;
    }

    public void Dispose()
    {
        Current?.Dispose();
        next?.Dispose();
        (Current, next) = (null, null);
    }
}
