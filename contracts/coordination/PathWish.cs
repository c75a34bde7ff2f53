using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Serialization;

namespace Florete.Coordination.Contracts;

/// <summary>A path that is wanted: a document of the storage, collection <see cref="Collection"/>.</summary>
/// <param name="From">The vertex at which it begins.</param>
/// <param name="To">The vertex at which it ends.</param>
/// <param name="Avoid">Vertices (<c>b</c>) and links (<c>b&gt;c</c>) that it must not pass; at most <see cref="MaxAvoid"/>.</param>
/// <param name="MaxMetricMicroseconds">The sum of its links' metrics; 0: any.</param>
/// <param name="MinCapacityBitsPerSecond">Of each of its links; 0: any.</param>
/// <param name="DisjointFrom">Name of another such document, from whose path it is to be disjoint; null: none.</param>
public sealed record PathWish(
    string From, string To, IReadOnlyList<string>? Avoid = null, ulong MaxMetricMicroseconds = 0, ulong MinCapacityBitsPerSecond = 0, string? DisjointFrom = null)
{
    public const string Collection = "paths";

    public const int MaxAvoid = 64;

    private const int MaxBytes = 16 * 1024;

    // As the storage's names.
    private const int MaxNameLength = 253;

    /// <summary>Reads the body of a document. A member that is not known is a problem: a wish that is misspelt must not be taken for a wider one.</summary>
    public static bool TryParse(ReadOnlySpan<byte> json, [NotNullWhen(true)] out PathWish? wish, [NotNullWhen(false)] out string? problem)
    {
        wish = null;
        problem = $"A path has at most {MaxBytes} bytes.";
        if (json.Length > MaxBytes) return false;
        if (!CoordinationJson.TryRead(json, PathWishJson.Default.PathWish, out wish, out _))
        {
            problem = "It is no path: write {\"from\": \"a\", \"to\": \"d\"} and, if wanted, avoid, maxMetricMicroseconds, minCapacityBitsPerSecond, disjointFrom.";
            return false;
        }
        problem = wish.Problem();
        if (problem is not null) wish = null;
        return problem is null;
    }

    private string? Problem()
    {
        if (!CoordinationProtocol.IsName(From)) return "from: it is no name of a vertex.";
        if (!CoordinationProtocol.IsName(To)) return "to: it is no name of a vertex.";
        if (From == To) return "from and to are one vertex; a path has two ends.";
        if (Avoid is { Count: > MaxAvoid }) return $"avoid: at most {MaxAvoid} are allowed.";
        if (Avoid is not null && !Avoid.All(static a => Hop.TryParse(a, out _))) return "avoid: write vertices (b) or links (b>c).";
        return DisjointFrom is { Length: 0 or > MaxNameLength } ? "disjointFrom: it is no name of a document." : null;
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    MaxDepth = 4,
    AllowDuplicateProperties = false,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(PathWish))]
internal sealed partial class PathWishJson : JsonSerializerContext;
