using System.Buffers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Florete.AspNetCore;
using Florete.Identities;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using Microsoft.AspNetCore.Http;

namespace Florete.Storage.Api.Http;

/// <summary>What requests say, read with care, and answers that have one form everywhere.</summary>
internal static class Requests
{
    private const string ProblemType = "application/problem+json";

    /// <summary>The proved identity of who asks.</summary>
    /// <exception cref="ApiException">It did not come through a portal.</exception>
    public static SpiffeId Caller(this HttpContext context) =>
        context.Features.Get<IPortalConnectionFeature>()?.Caller ?? throw new ApiException(StatusCodes.Status401Unauthorized, "Only callers through a portal are served: theirs is a proved identity.");

    /// <summary>The vertex that proved to hold it.</summary>
    /// <exception cref="ApiException">It did not come through a portal.</exception>
    public static SpiffeId CallerVertex(this HttpContext context) =>
        context.Features.Get<IPortalConnectionFeature>()?.CallerVertex ?? throw new ApiException(StatusCodes.Status401Unauthorized, "Only callers through a portal are served: theirs is a proved vertex.");

    public static CollectionName Collection(this HttpContext context) =>
        CollectionName.TryParse(context.Request.RouteValues["collection"] as string, out var collection, out var problem) ? collection : throw ApiException.Invalid(problem);

    public static DocumentKey Key(this HttpContext context)
    {
        if (!DocumentName.TryParse(context.Request.RouteValues["name"] as string, out var name, out var problem)) throw ApiException.Invalid(problem);
        if (!UnitName.TryParse(context.Word("unit") ?? "", out var unit, out problem)) throw ApiException.Invalid(problem);
        return new DocumentKey(context.Collection(), name, unit);
    }

    /// <summary>A query parameter; null: it is not there.</summary>
    public static string? Word(this HttpContext context, string name)
    {
        var values = context.Request.Query[name];
        return values.Count switch
        {
            0 => null,
            1 => values[0],
            _ => throw ApiException.Invalid($"'{name}' is there {values.Count} times; say it once."),
        };
    }

    public static string Prefix(this HttpContext context)
    {
        var prefix = context.Word("prefix") ?? "";
        if (prefix.Length > DocumentName.MaxLength) throw ApiException.Invalid($"'prefix' has {prefix.Length} characters; names have at most {DocumentName.MaxLength}.");
        foreach (var c in prefix)
        {
            if (!char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c is not ('-' or '.' or '_' or '/')) throw ApiException.Invalid("'prefix' has a character that no name has; names are of a-z, 0-9, '-', '.', '_' and '/'.");
        }
        return prefix;
    }

    public static int Limit(this HttpContext context)
    {
        if (context.Word("limit") is not { } text) return StorageLimits.MaxPageItems;
        return int.TryParse(text, out var limit) && limit is >= 1 and <= StorageLimits.MaxPageItems ? limit : throw ApiException.Invalid($"'limit' must be from 1 to {StorageLimits.MaxPageItems}.");
    }

    /// <summary>The whole body, in memory of its own.</summary>
    /// <exception cref="ApiException">It is longer than allowed.</exception>
    public static async Task<byte[]> BodyAsync(this HttpContext context, int most)
    {
        if (context.Request.ContentLength > most) throw TooLarge(most);
        var reader = context.Request.BodyReader;
        while (true)
        {
            var read = await reader.ReadAsync(context.RequestAborted).ConfigureAwait(false);
            if (read.Buffer.Length > most) throw TooLarge(most);
            if (!read.IsCompleted)
            {
                reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
                continue;
            }
            var body = read.Buffer.ToArray();
            reader.AdvanceTo(read.Buffer.End);
            return body;
        }
    }

    public static async Task<T> JsonAsync<T>(this HttpContext context, JsonTypeInfo<T> type, int most)
    {
        try
        {
            return JsonSerializer.Deserialize(await context.BodyAsync(most).ConfigureAwait(false), type) ?? throw new JsonException("it is null");
        }
        catch (JsonException e)
        {
            throw ApiException.Invalid($"The request is not the JSON that is expected here: {e.Message}");
        }
    }

    public static async Task AnswerAsync<T>(this HttpContext context, T answer, JsonTypeInfo<T> type, int status = StatusCodes.Status200OK)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        var bytes = JsonSerializer.SerializeToUtf8Bytes(answer, type);
        context.Response.ContentLength = bytes.Length;
        await context.Response.BodyWriter.WriteAsync(bytes, context.RequestAborted).ConfigureAwait(false);
    }

    public static async Task BytesAsync(this HttpContext context, ReadOnlyMemory<byte> bytes, string type)
    {
        context.Response.ContentType = type;
        context.Response.ContentLength = bytes.Length;
        await context.Response.BodyWriter.WriteAsync(bytes, context.RequestAborted).ConfigureAwait(false);
    }

    public static async Task RefuseAsync(this HttpContext context, ApiException refusal)
    {
        var problem = JsonSerializer.SerializeToUtf8Bytes(new Problem(refusal.Message, refusal.Status, refusal.Remedy, refusal.Prepare), StorageJson.Default.Problem);
        context.Response.StatusCode = refusal.Status;
        context.Response.ContentType = ProblemType;
        context.Response.ContentLength = problem.Length;
        if (refusal.RetryAfterSeconds is { } seconds) context.Response.Headers.RetryAfter = seconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
        await context.Response.BodyWriter.WriteAsync(problem, context.RequestAborted).ConfigureAwait(false);
    }

    private static ApiException TooLarge(int most) => new(StatusCodes.Status413PayloadTooLarge, $"The request has more than {most} bytes.", "Keep large things elsewhere, and in the document where they are.");
}
