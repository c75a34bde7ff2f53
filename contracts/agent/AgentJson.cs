using System.Text.Json.Serialization;

namespace Florete.Agent.Contracts;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(WorkloadStatus[]))]
[JsonSerializable(typeof(string[]))]
public sealed partial class AgentJson : JsonSerializerContext;
