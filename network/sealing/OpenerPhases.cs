using Florete.Runtime;

namespace Florete.Sealing;

/// <summary>
/// The openers of a receiver: previous, current and next epoch. Make before break: an old opener lives until <see cref="Overlap"/> after
/// the first packet of a newer epoch was authenticated. Loop-affine.
/// </summary>
public sealed class OpenerPhases(int lanes) : IDisposable
{
    /// <summary>How long overtaken packets of the old epoch are still taken; longer than any path holds a packet back.</summary>
    public static readonly TimeSpan Overlap = TimeSpan.FromSeconds(5);

    private const int MaxOpeners = 3;
    private readonly List<Phase> phases = new(MaxOpeners);
    private Opener? current;
    private ulong endedReceived;
    private ulong endedMissing;

    /// <summary>Newest epoch installed; null before the first.</summary>
    public byte? NewestEpoch => phases.Count == 0 ? null : phases[^1].Opener.Epoch;

    /// <summary>Packets authenticated and missing over all epochs so far.</summary>
    public (ulong Received, ulong Missing) Tally
    {
        get
        {
            var (received, missing) = (endedReceived, endedMissing);
            foreach (var phase in phases)
            {
                var tally = phase.Opener.Tally;
                received += tally.Received;
                missing += tally.Missing;
            }
            return (received, missing);
        }
    }

    /// <summary>
    /// Installs the key that the sender will use next. A newest epoch that was never used is replaced (its carrier broke before the sender knew);
    /// the oldest gives way early when three are held. False (key disposed) when it is not the epoch after the newest, or three unused ones are
    /// held: the sender broke the protocol.
    /// </summary>
    public bool TryInstall(byte epoch, SealingKey key, Instant now)
    {
        Expire(now);
        if (phases.Count > 1 && NewestEpoch == epoch && !phases[^1].Opener.IsUsed)
        {
            phases[^1].Opener.Dispose();
            phases.RemoveAt(phases.Count - 1);
        }
        if (phases.Count == MaxOpeners && phases[0].RetiresAt != Instant.Never) RemoveOldest();
        if (phases.Count == MaxOpeners || (NewestEpoch is { } newest && epoch != (byte)(newest + 1)))
        {
            key.Dispose();
            return false;
        }
        phases.Add(new Phase(new Opener(epoch, key, lanes)));
        current ??= phases[0].Opener;
        return true;
    }

    /// <summary>Could a packet with this epoch and counter be accepted?</summary>
    public OpenResult Check(byte epoch, PacketCounter counter) =>
        Find(epoch) is { } opener ? opener.Check(counter) : OpenResult.UnknownEpoch;

    /// <inheritdoc cref="Opener.Open"/>
    public OpenResult Open(PacketBuffer packet, byte epoch, PacketCounter counter, ReadOnlySpan<byte> associated, Instant now)
    {
        if (Find(epoch) is not { } opener) return OpenResult.UnknownEpoch;
        var isFirst = !opener.IsUsed;
        var result = opener.Open(packet, counter, associated);
        if (result == OpenResult.Opened && isFirst) Retire(opener, now);
        return result;
    }

    /// <summary>Drops openers whose time is over. Call it now and then.</summary>
    public void Expire(Instant now)
    {
        while (phases.Count > 1 && phases[0].RetiresAt <= now) RemoveOldest();
    }

    public void Dispose()
    {
        foreach (var phase in phases) phase.Opener.Dispose();
        phases.Clear();
        current = null;
    }

    private void RemoveOldest()
    {
        var (received, missing) = phases[0].Opener.Tally;
        endedReceived += received;
        endedMissing += missing;
        phases[0].Opener.Dispose();
        phases.RemoveAt(0);
    }

    private Opener? Find(byte epoch)
    {
        if (current is not null && current.Epoch == epoch) return current;
        foreach (var phase in phases)
        {
            if (phase.Opener.Epoch == epoch) return phase.Opener;
        }
        return null;
    }

    // Everything older than an epoch that is in use now gets its time limit.
    private void Retire(Opener newest, Instant now)
    {
        current = newest;
        foreach (var phase in phases)
        {
            if (phase.Opener == newest) return;
            phase.RetiresAt = Instant.Min(phase.RetiresAt, now + Overlap);
        }
    }

    private sealed class Phase(Opener opener)
    {
        public Opener Opener { get; } = opener;

        public Instant RetiresAt { get; set; } = Instant.Never;
    }
}
