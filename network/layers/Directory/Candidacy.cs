using System.Buffers.Binary;

namespace Florete.Layers;

/// <summary>What a vertex's coordinator program is, while it lives.</summary>
public enum CandidacyState : byte
{
    /// <summary>It would coordinate.</summary>
    Candidate = 1,

    /// <summary>It coordinates.</summary>
    Coordinator = 2,
}

/// <summary>What a vertex says in its record of its coordinator program (docs/protocols/coordination.md, "In the directory").</summary>
/// <param name="State">Candidate or coordinator.</param>
/// <param name="Counter">Of the newest term that it has held or seen, 0: none; of a coordinator, of the term that it holds, at least 1.</param>
public readonly record struct Candidacy(CandidacyState State, ulong Counter)
{
    internal const int Bytes = 1 + 8;

    /// <summary>It can be said.</summary>
    public bool IsValid => State == CandidacyState.Candidate || (State == CandidacyState.Coordinator && Counter > 0);

    internal void Write(Span<byte> value)
    {
        value[0] = (byte)State;
        BinaryPrimitives.WriteUInt64BigEndian(value[1..], Counter);
    }

    internal static bool TryRead(ReadOnlySpan<byte> value, out Candidacy candidacy)
    {
        candidacy = default;
        if (value.Length != Bytes) return false;
        candidacy = new Candidacy((CandidacyState)value[0], BinaryPrimitives.ReadUInt64BigEndian(value[1..]));
        return candidacy.IsValid;
    }
}
