namespace Florete.Sealing;

/// <summary>
/// Which sequences of one lane were authenticated (RFC 4303 §3.4.3, RFC 6479's ring of words). Ask <see cref="Check"/> before decrypting
/// and <see cref="Mark"/> only after.
/// </summary>
public sealed class ReplayWindow
{
    /// <summary>Sequences behind the highest one that can still be accepted.</summary>
    public const int Size = 4096;

    /// <summary>
    /// How far ahead of the highest authenticated sequence a packet is believed. So many losses in a row outlast any link, and most forged
    /// counters fall beyond it, before they cost a decryption or a buffer.
    /// </summary>
    public const ulong MaxAhead = 1 << 20;

    // One word more than the window, so that clearing a word never clears sequences that are inside it.
    private const int Words = (Size / 64) + 1;
    private readonly ulong[] bits = new ulong[Words];

    /// <summary>Highest marked sequence; 0: none.</summary>
    public ulong Highest { get; private set; }

    /// <summary>How many were marked.</summary>
    public ulong Marked { get; private set; }

    public ReplayCheck Check(ulong sequence)
    {
        if (sequence == 0 || sequence > Highest + MaxAhead) return ReplayCheck.OutOfRange;
        if (sequence > Highest) return ReplayCheck.Fresh;
        if (sequence + Size <= Highest) return ReplayCheck.Replayed;
        return (bits[Word(sequence)] & Bit(sequence)) == 0 ? ReplayCheck.Fresh : ReplayCheck.Replayed;
    }

    /// <summary>Marks a sequence that <see cref="Check"/> called fresh and whose packet was authenticated.</summary>
    public void Mark(ulong sequence)
    {
        if (sequence > Highest)
        {
            var from = Highest / 64;
            var steps = Math.Min((sequence / 64) - from, Words);
            for (ulong i = 1; i <= steps; i++) bits[(from + i) % Words] = 0;
            Highest = sequence;
        }
        bits[Word(sequence)] |= Bit(sequence);
        Marked++;
    }

    private static int Word(ulong sequence) => (int)(sequence / 64 % Words);

    private static ulong Bit(ulong sequence) => 1UL << (int)(sequence % 64);
}

/// <summary>What a replay window says about a sequence.</summary>
public enum ReplayCheck
{
    Fresh,
    Replayed,
    OutOfRange,
}
