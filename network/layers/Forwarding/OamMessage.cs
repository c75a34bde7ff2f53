using System.Buffers.Binary;

namespace Florete.Layers;

internal enum OamKind : byte
{
    EchoRequest = 1,
    EchoReply = 2,
    TimeExceeded = 3,
    Unreachable = 4,
}

/// <summary>Why a packet could not go on, in a "destination unreachable".</summary>
public enum UnreachableCode : byte
{
    /// <summary>Other, or not told.</summary>
    None = 0,
    NoRoute = 1,
    NoRepair = 2,
    TooManySegments = 3,
    TooLarge = 4,
}

/// <summary>The fixed part of an OAM message (docs/protocols/oam.md).</summary>
internal readonly record struct OamMessage(
    OamKind Kind, UnreachableCode Code, ulong Correlator, Label RefusedLabel, uint RefusedFlowLabel, PayloadType RefusedType, byte IdentityBytes)
{
    public const int FixedBytes = 20;

    public bool IsError => Kind is OamKind.TimeExceeded or OamKind.Unreachable;

    /// <summary>False: not an OAM message. The identity lies at <see cref="FixedBytes"/>, within the source.</summary>
    public static bool TryParse(ReadOnlySpan<byte> source, out OamMessage message)
    {
        message = default;
        if (source.Length < FixedBytes || source[0] is < (byte)OamKind.EchoRequest or > (byte)OamKind.Unreachable) return false;
        if (source.Length < FixedBytes + source[19]) return false;
        var label = BinaryPrimitives.ReadUInt32BigEndian(source[10..]);
        var flow = BinaryPrimitives.ReadUInt32BigEndian(source[14..]);
        if (label > Label.Max || flow > Label.Max) return false;
        message = new OamMessage(
            (OamKind)source[0], (UnreachableCode)source[1], BinaryPrimitives.ReadUInt64BigEndian(source[2..]), new Label(label), flow, (PayloadType)source[18], source[19]);
        return true;
    }

    /// <summary>Writes the fixed part into the first <see cref="FixedBytes"/> bytes.</summary>
    public void Write(Span<byte> destination)
    {
        destination[0] = (byte)Kind;
        destination[1] = (byte)Code;
        BinaryPrimitives.WriteUInt64BigEndian(destination[2..], Correlator);
        BinaryPrimitives.WriteUInt32BigEndian(destination[10..], RefusedLabel.Value);
        BinaryPrimitives.WriteUInt32BigEndian(destination[14..], RefusedFlowLabel);
        destination[18] = (byte)RefusedType;
        destination[19] = IdentityBytes;
    }
}
