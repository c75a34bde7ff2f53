using System.Text.Json;
using System.Text.Json.Serialization;

namespace Florete.Coordination.Contracts;

/// <summary>What a coordinator program is, as its vertex tells the others. The numbers are those of the directory's TLV.</summary>
[JsonConverter(typeof(StandStateJson))]
public enum StandState
{
    Candidate = 1,
    Coordinator = 2,
}

/// <summary>Two words, and nothing else: a number would make a state that there is not.</summary>
public sealed class StandStateJson : JsonConverter<StandState>
{
    public override StandState Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String)
        {
            if (reader.ValueTextEquals("candidate"u8)) return StandState.Candidate;
            if (reader.ValueTextEquals("coordinator"u8)) return StandState.Coordinator;
        }
        throw new JsonException("A state is 'candidate' or 'coordinator'.");
    }

    public override void Write(Utf8JsonWriter writer, StandState value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value == StandState.Coordinator ? "coordinator"u8 : "candidate"u8);
}
