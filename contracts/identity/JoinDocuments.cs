using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Florete.Identity.Contracts;

/// <summary>What a joining node asks (docs/protocols/join.md "Request").</summary>
/// <param name="Token">As it was pasted.</param>
/// <param name="Request">PKCS#10, DER.</param>
public sealed record JoinRequest(string Token, byte[] Request);

/// <summary>What a joining node gets (docs/protocols/join.md "Answer"). Also the answer to a renewal.</summary>
/// <param name="Certificate">The node authority, DER.</param>
/// <param name="Bundle">PEM.</param>
/// <param name="Bounds">The signed bounds, as their file.</param>
public sealed record JoinAnswer(byte[] Certificate, string Bundle, string Bounds);

/// <summary>A node authority asks for its successor (docs/protocols/join.md "Renewing a node authority").</summary>
/// <param name="Request">PKCS#10 of the new key, DER.</param>
/// <param name="Certificate">The authority that ends, DER.</param>
/// <param name="Signature">By the key of the authority that ends.</param>
public sealed record RenewRequest(byte[] Request, byte[] Certificate, byte[] Signature);

/// <summary>Why not.</summary>
/// <param name="Code">A word of docs/protocols/join.md.</param>
/// <param name="Message">For the person who must act.</param>
public sealed record RefusalDocument(string Code, string Message);

/// <summary>Something that matters to who watches over the cluster.</summary>
/// <param name="Number">Grows by one; ask for what comes after it.</param>
/// <param name="Time">UTC.</param>
/// <param name="Kind"><c>join</c>, <c>issue</c>, <c>renew</c>, <c>refusal</c>.</param>
/// <param name="Subject">The identity that it is about.</param>
/// <param name="By">Who did it, or asked.</param>
/// <param name="Detail">For people.</param>
public sealed record IdentityEvent(long Number, DateTimeOffset Time, string Kind, string Subject, string By, string Detail);

/// <summary>The answer to <c>GET /v1/events</c>.</summary>
public sealed record EventsDocument(IReadOnlyList<IdentityEvent> Events);

/// <summary>JSON of these documents.</summary>
public static class IdentityJson
{
    // One level of properties; anything deeper is none of ours.
    private const int MaxDepth = 4;

    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web)
    {
        MaxDepth = MaxDepth,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.Never,
    };

    /// <summary>The same, for those who read and write JSON by themselves.</summary>
    public static JsonSerializerOptions Settings => Options;

    public static byte[] Write<T>(T document) => JsonSerializer.SerializeToUtf8Bytes(document, Options);

    /// <summary>False: it is not that document. Never throws; bound the size before.</summary>
    public static bool TryRead<T>(ReadOnlySpan<byte> json, [NotNullWhen(true)] out T? document)
        where T : class
    {
        try
        {
            document = JsonSerializer.Deserialize<T>(json, Options);
            return document is not null;
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or FormatException)
        {
            document = null;
            return false;
        }
    }
}
