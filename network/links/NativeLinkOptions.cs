using Florete.Identities;

namespace Florete.Links;

/// <summary>What a <see cref="NativeLinkPortal"/> is set to.</summary>
public sealed record NativeLinkOptions
{
    private const int MaxLayerName = 31;

    /// <summary>The upper layer, as it is called below: its vertex <c>b</c> is <c>service/&lt;layer&gt;-b</c> there. a–z and 0–9.</summary>
    public required string Layer { get; init; }

    /// <summary>
    /// How often an idle link speaks; silence of four times that means down. The layer below needs about 250 ms to go round a silent link of its own,
    /// and must be done by then; a layer on top of this one should be slower again.
    /// </summary>
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>The identity by which a vertex of the upper layer is known in the layer below.</summary>
    /// <exception cref="FormatException">Layer and vertex together have more than 62 characters.</exception>
    public SpiffeId ServiceOf(SpiffeId vertex) => SpiffeId.Of(vertex.Cluster, IdentityKind.Service, $"{Layer}-{vertex.Name}");

    /// <summary>The vertex of the upper layer that an identity of the layer below stands for; null: none.</summary>
    public SpiffeId? VertexOf(SpiffeId service)
    {
        var prefix = Layer + "-";
        if (service.Kind != IdentityKind.Service || !service.Name.StartsWith(prefix, StringComparison.Ordinal)) return null;
        return SpiffeId.TryParse($"spiffe://{service.Cluster}/vertex/{service.Name[prefix.Length..]}", out var vertex, out _) ? vertex : null;
    }

    /// <exception cref="ArgumentException">Names the field out of range and its range.</exception>
    public void Validate()
    {
        if (Layer.Length is 0 or > MaxLayerName || !Layer.All(static c => c is (>= 'a' and <= 'z') or (>= '0' and <= '9')))
            throw new ArgumentException($"{nameof(NativeLinkOptions)}.{nameof(Layer)} must have 1 to {MaxLayerName} characters, a-z and 0-9 only: '{Layer}' does not.");
        if (KeepAlive < TimeSpan.FromMilliseconds(50) || KeepAlive > TimeSpan.FromSeconds(1))
            throw new ArgumentException($"{nameof(NativeLinkOptions)}.{nameof(KeepAlive)} must be 50 ms to 1 s.");
    }
}
