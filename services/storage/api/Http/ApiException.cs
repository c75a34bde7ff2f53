using Florete.Storage.Client;
using Microsoft.AspNetCore.Http;

namespace Florete.Storage.Api.Http;

/// <summary>A refusal of a request, worded for the person who must act.</summary>
internal sealed class ApiException(int status, string title, string? remedy = null) : Exception(title)
{
    public int Status { get; } = status;

    public string? Remedy { get; } = remedy;

    /// <summary>With 412: what to sign instead.</summary>
    public PrepareAnswer? Prepare { get; init; }

    /// <summary>With 503: when to ask again, in whole seconds.</summary>
    public int? RetryAfterSeconds { get; init; }

    public static ApiException Invalid(string what, string? remedy = null) => new(StatusCodes.Status400BadRequest, what, remedy);

    public static ApiException Forbidden(string what) => new(StatusCodes.Status403Forbidden, what);

    public static ApiException Busy(string what, string? remedy = null) =>
        new(StatusCodes.Status503ServiceUnavailable, what, remedy ?? "Ask again, or ask another replica.") { RetryAfterSeconds = 1 };
}
