using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using System.Text.Unicode;

namespace Florete.Coordination.Contracts;

/// <summary>Serializers that are made by the compiler: a program that starts in a second cannot wait for reflection.</summary>
[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    MaxDepth = 8,
    NumberHandling = JsonNumberHandling.Strict,
    PropertyNameCaseInsensitive = false,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(VertexRequest))]
[JsonSerializable(typeof(VertexAnswer))]
[JsonSerializable(typeof(CoordinatorStatus))]
[JsonSerializable(typeof(CoordinatorHealth))]
public sealed partial class CoordinationJson : JsonSerializerContext
{
    /// <summary>A request as a line, without its end.</summary>
    public static byte[] Write(VertexRequest request) => JsonSerializer.SerializeToUtf8Bytes(request, Default.VertexRequest);

    /// <summary>An answer as a line, without its end.</summary>
    public static byte[] Write(VertexAnswer answer) => JsonSerializer.SerializeToUtf8Bytes(answer, Default.VertexAnswer);

    // Never throws; whoever calls has bounded the size.
    internal static bool TryRead<T>(ReadOnlySpan<byte> json, JsonTypeInfo<T> type, [NotNullWhen(true)] out T? value, [NotNullWhen(false)] out string? problem)
        where T : class
    {
        (value, problem) = (null, "The line is not UTF-8.");
        // The JSON reader does not look into strings that it skips.
        if (!Utf8.IsValid(json)) return false;
        try
        {
            value = JsonSerializer.Deserialize(json, type);
            problem = value is null ? "The line is null." : null;
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException or FormatException)
        {
            var at = (e as JsonException)?.Path;
            problem = at is { Length: > 0 and <= 100 } ? $"The line is no JSON of this protocol, at {at}." : "The line is no JSON of this protocol.";
        }
        return problem is null;
    }
}
