using System.Text.Json.Serialization;
using Florete.Identities;

namespace Florete.Coordination.Contracts;

internal sealed record DecisionFields(int Format, string Cluster, string Vertex, Epoch Epoch, ulong Number, IReadOnlyList<PathFields> Paths);

internal sealed record PathFields(string To, IReadOnlyList<string> Via);

// Stricter than messages are: of what is signed there is one reading.
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    MaxDepth = 8,
    AllowDuplicateProperties = false,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(DecisionFields))]
internal sealed partial class DecisionJson : JsonSerializerContext
{
    public const int Format = 1;
}
