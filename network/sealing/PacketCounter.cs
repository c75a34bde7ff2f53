namespace Florete.Sealing;

/// <summary>Counter of a sealed packet: lane (8 bits) ‖ sequence (56 bits). Unique within a key.</summary>
public readonly record struct PacketCounter(ulong Value)
{
    public const int Bytes = 8;

    public const ulong MaxSequence = (1UL << 56) - 1;

    /// <summary>The queue of the sender; sequences of one lane leave in order.</summary>
    public byte Lane => (byte)(Value >> 56);

    /// <summary>From 1; 0 is never used.</summary>
    public ulong Sequence => Value & MaxSequence;

    public static PacketCounter Of(byte lane, ulong sequence) => new(((ulong)lane << 56) | (sequence & MaxSequence));
}
