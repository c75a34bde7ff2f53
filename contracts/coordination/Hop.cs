using System.Diagnostics.CodeAnalysis;

namespace Florete.Coordination.Contracts;

/// <summary>What a path passes: a vertex (<c>e</c>), or the link from it to a neighbour (<c>c&gt;b</c>).</summary>
/// <param name="Vertex">The vertex; of a link the one at which it begins.</param>
/// <param name="Neighbour">The vertex at the other end of the link; null: no link is named.</param>
public readonly record struct Hop(string Vertex, string? Neighbour = null)
{
    public bool IsLink => Neighbour is not null;

    public static bool TryParse([NotNullWhen(true)] string? text, out Hop hop)
    {
        hop = default;
        if (text is null) return false;
        var arrow = text.IndexOf('>', StringComparison.Ordinal);
        var (vertex, neighbour) = arrow < 0 ? (text, null) : (text[..arrow], text[(arrow + 1)..]);
        if (!CoordinationProtocol.IsName(vertex) || (neighbour is not null && (!CoordinationProtocol.IsName(neighbour) || neighbour == vertex))) return false;
        hop = new Hop(vertex, neighbour);
        return true;
    }

    public override string ToString() => IsLink ? $"{Vertex}>{Neighbour}" : Vertex ?? "";
}
