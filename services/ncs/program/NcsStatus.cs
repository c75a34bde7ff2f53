using System.Text.Json;
using System.Text.Json.Serialization;

namespace Florete.Ncs.Program;

/// <param name="Ready">It has a topology.</param>
/// <param name="Missing">What it lacks, in sentences.</param>
internal sealed record HealthAnswer(bool Ready, IReadOnlyList<string> Missing);

/// <param name="Answers">Answers since the start by their problem; those with paths as <c>paths</c>.</param>
/// <param name="Vertices">Of the last topology.</param>
/// <param name="Links">Of the last topology.</param>
/// <param name="TopologyAgeMilliseconds">Null: none has been told yet.</param>
/// <param name="LastComputationMicroseconds">0: none yet.</param>
/// <param name="Missing">What it lacks, in sentences.</param>
internal sealed record StatusAnswer(
    IReadOnlyDictionary<string, long> Answers, int Vertices, int Links, long? TopologyAgeMilliseconds, long LastComputationMicroseconds, IReadOnlyList<string> Missing);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(HealthAnswer))]
[JsonSerializable(typeof(StatusAnswer))]
internal sealed partial class NcsJson : JsonSerializerContext;
