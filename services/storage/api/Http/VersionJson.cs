using System.Buffers;
using System.Text.Json;
using Florete.Storage.Contracts;

namespace Florete.Storage.Api.Http;

/// <summary>Versions as JSON, as <see cref="Florete.Storage.Client.VersionItem"/> reads them; written by hand, since a body is JSON already.</summary>
internal static class VersionJson
{
    public static readonly JsonWriterOptions Options = new() { SkipValidation = true };

    /// <summary>An object with all that is said of a version.</summary>
    public static void Write(Utf8JsonWriter json, DocumentVersion version)
    {
        json.WriteStartObject();
        json.WriteString("collection"u8, version.Key.Collection.ToString());
        json.WriteString("name"u8, version.Key.Name.ToString());
        json.WriteString("unit"u8, version.Key.Unit.ToString());
        json.WriteString("version"u8, version.Id.ToString());
        json.WriteString("stamp"u8, version.Stamp.ToString());
        json.WriteString("author"u8, version.Author.ToString());
        json.WriteString("replica"u8, version.Replica.ToString());
        json.WriteBoolean("deleted"u8, version.IsTombstone);
        if (!version.IsTombstone)
        {
            json.WritePropertyName("body"u8);
            WriteBody(json, version.Body.Span);
        }
        json.WriteEndObject();
    }

    // Lines end where JSON's strings cannot: what breaks lines in a body stands between its tokens, and may be blank as well (RFC 8259 §2).
    private static void WriteBody(Utf8JsonWriter json, ReadOnlySpan<byte> body)
    {
        if (body.IndexOfAny((byte)'\n', (byte)'\r') < 0)
        {
            json.WriteRawValue(body, skipInputValidation: true);
            return;
        }
        var copy = ArrayPool<byte>.Shared.Rent(body.Length);
        body.CopyTo(copy);
        var line = copy.AsSpan(0, body.Length);
        line.Replace((byte)'\n', (byte)' ');
        line.Replace((byte)'\r', (byte)' ');
        json.WriteRawValue(line, skipInputValidation: true);
        ArrayPool<byte>.Shared.Return(copy);
    }
}
