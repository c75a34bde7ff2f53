using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;
using MassTransit.Transports;

namespace Florete.Bus.MassTransit.Transport;

/// <summary>Headers of a message on the wire: a JSON object of strings, numbers and booleans. What is no such thing is written as its text.</summary>
internal static class FloreteHeaders
{
    public static ReadOnlyMemory<byte> Write(IEnumerable<KeyValuePair<string, object>> headers)
    {
        var output = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(output))
        {
            json.WriteStartObject();
            var written = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
            foreach (var (name, value) in headers)
            {
                if (value is null || !written.Add(name)) continue;
                json.WritePropertyName(name);
                Write(json, value);
            }
            json.WriteEndObject();
        }
        return output.WrittenMemory;
    }

    /// <summary>Whatever a peer sent: what is not understood is left out.</summary>
    public static IHeaderProvider Read(ReadOnlyMemory<byte> headers)
    {
        var read = new Dictionary<string, object>(StringComparer.OrdinalIgnoreCase);
        try
        {
            using var json = JsonDocument.Parse(headers, new JsonDocumentOptions { MaxDepth = 2 });
            if (json.RootElement.ValueKind != JsonValueKind.Object) return new Provider(read);
            foreach (var property in json.RootElement.EnumerateObject())
            {
                if (Value(property.Value) is { } value) read[property.Name] = value;
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // No JSON, or text that is none (half a character). What was read before stands; a message without its content type goes among the errors.
        }
        return new Provider(read);
    }

    private static object? Value(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.String => element.GetString(),
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Number when element.TryGetInt64(out var whole) => whole,
        JsonValueKind.Number => element.GetDouble(),
        _ => null,
    };

    private static void Write(Utf8JsonWriter json, object value)
    {
        switch (value)
        {
            case bool truth:
                json.WriteBooleanValue(truth);
                break;
            case byte or short or ushort or int or uint or long:
                json.WriteNumberValue(Convert.ToInt64(value, CultureInfo.InvariantCulture));
                break;
            case DateTime time:
                json.WriteStringValue(time.ToString("O", CultureInfo.InvariantCulture));
                break;
            case DateTimeOffset time:
                json.WriteStringValue(time.ToString("O", CultureInfo.InvariantCulture));
                break;
            default:
                json.WriteStringValue(Convert.ToString(value, CultureInfo.InvariantCulture));
                break;
        }
    }

    private sealed class Provider(Dictionary<string, object> headers) : IHeaderProvider
    {
        public IEnumerable<KeyValuePair<string, object>> GetAll() => headers;

        public bool TryGetHeader(string key, [NotNullWhen(true)] out object? value) => headers.TryGetValue(key, out value);
    }
}
