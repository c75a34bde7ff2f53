using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Florete.Identities;

namespace Florete.Layers;

/// <summary>
/// A vertex's claim of its candidate number <paramref name="Index"/> as node segment. Labels need no allocator: each vertex has a row of
/// pseudo-random candidates, and of two claims of one label every vertex prefers the same.
/// </summary>
internal readonly record struct SegmentClaim(SpiffeId Vertex, ushort Index)
{
    /// <summary>The label that the claim is for.</summary>
    public Label Label
    {
        get
        {
            var prefix = "florete node segment 1\0"u8;
            Span<byte> text = stackalloc byte[prefix.Length + SpiffeId.MaxLength + 1 + 2];
            prefix.CopyTo(text);
            var at = prefix.Length;
            at += Encoding.ASCII.GetBytes(Vertex.ToString(), text[at..]);
            text[at++] = 0;
            BinaryPrimitives.WriteUInt16BigEndian(text[at..], Index);
            var hash = RecordView.HashOf(text[..(at + 2)]);
            return new Label(Label.Nodes.First + (uint)(hash % (uint)Label.Nodes.Count));
        }
    }

    /// <summary>True if this claim keeps the label against <paramref name="other"/>, which is of another vertex.</summary>
    public bool Beats(SegmentClaim other)
    {
        if (Index != other.Index) return Index < other.Index;
        Span<byte> mine = stackalloc byte[SHA256.HashSizeInBytes];
        Span<byte> theirs = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.ASCII.GetBytes(Vertex.ToString()), mine);
        SHA256.HashData(Encoding.ASCII.GetBytes(other.Vertex.ToString()), theirs);
        return mine.SequenceCompareTo(theirs) < 0;
    }
}

/// <summary>All claims of a layer; knows who holds each label.</summary>
internal sealed class SegmentClaims
{
    private readonly Dictionary<SpiffeId, (SegmentClaim Claim, Label Label)> claims = [];
    private readonly Dictionary<Label, List<SegmentClaim>> byLabel = [];

    public void Set(SegmentClaim claim)
    {
        if (claims.TryGetValue(claim.Vertex, out var held) && held.Claim.Index == claim.Index) return;
        Remove(claim.Vertex);
        var label = claim.Label;
        claims[claim.Vertex] = (claim, label);
        if (!byLabel.TryGetValue(label, out var list)) byLabel[label] = list = new List<SegmentClaim>(1);
        list.Add(claim);
    }

    public void Remove(SpiffeId vertex)
    {
        if (!claims.Remove(vertex, out var held)) return;
        var list = byLabel[held.Label];
        list.Remove(held.Claim);
        if (list.Count == 0) byLabel.Remove(held.Label);
    }

    /// <summary>The node segment that the vertex holds; null if it has none or a better claim took it.</summary>
    public Label? Holds(SpiffeId vertex)
    {
        if (!claims.TryGetValue(vertex, out var held)) return null;
        foreach (var other in byLabel[held.Label])
        {
            if (other.Vertex != vertex && other.Beats(held.Claim)) return null;
        }
        return held.Label;
    }

    /// <summary>The first index, from <paramref name="from"/> on, whose label no better claim of another vertex holds.</summary>
    public ushort NextFree(SpiffeId vertex, ushort from)
    {
        for (var index = from; index < ushort.MaxValue; index++)
        {
            var claim = new SegmentClaim(vertex, index);
            var taken = byLabel.TryGetValue(claim.Label, out var others) && others.Exists(o => o.Vertex != vertex && o.Beats(claim));
            if (!taken) return index;
        }
        return ushort.MaxValue;
    }
}
