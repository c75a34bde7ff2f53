using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Florete.Identities;
using Florete.Portals;

namespace Florete.Storage.Client;

/// <summary>Requests to the nearest replica, or to one that is named, and what their answers mean.</summary>
internal sealed class StorageConnection : IDisposable
{
    public const string Host = "storage.rete";
    public const string ChainHeader = "Florete-Chain";

    // A replica that comes back is there within that; who waits for longer wants to know.
    private const int MaxTries = 6;
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan MostPause = TimeSpan.FromSeconds(1);

    // The largest answer that is read whole: a page, or a body and what is said of it.
    private const int MaxAnswerBytes = 8 << 20;

    private readonly HttpClient http;

    public StorageConnection(IProgramPortal portal, SpiffeId? instance)
    {
        var handler = PortalHttp.CreateHandler(portal, new ConnectOptions(Class: TrafficClass.Interactive, Instance: instance));
        http = new HttpClient(handler) { BaseAddress = new Uri($"http://{Host}/"), Timeout = TimeSpan.FromSeconds(30), MaxResponseContentBufferSize = MaxAnswerBytes };
    }

    /// <summary>Sends a request that may be repeated, until a replica answers it.</summary>
    /// <param name="make">Makes it anew for each try.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="StorageClientException">Unavailable: none did.</exception>
    public async Task<HttpResponseMessage> SendAsync(Func<HttpRequestMessage> make, CancellationToken cancellationToken)
    {
        var pause = FirstPause;
        for (var tries = 1; ; tries++)
        {
            using var request = make();
            var wait = pause;
            try
            {
                var answer = await http.SendAsync(request, cancellationToken).ConfigureAwait(false);
                if (answer.StatusCode != HttpStatusCode.ServiceUnavailable) return answer;
                using (answer)
                {
                    if (tries >= MaxTries) throw await ErrorAsync(answer, cancellationToken).ConfigureAwait(false);
                    if (answer.Headers.RetryAfter?.Delta is { } told && told > wait) wait = told;
                }
            }
            catch (HttpRequestException e) when (tries < MaxTries && !IsFinal(e))
            {
                // Another instance, or the same when it is back.
            }
            catch (HttpRequestException e)
            {
                throw Unavailable(e);
            }
            catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
            {
                if (tries >= 2) throw Unavailable(e);
            }
            await Task.Delay(wait * (0.5 + Random.Shared.NextDouble()), cancellationToken).ConfigureAwait(false);
            pause = pause * 2 < MostPause ? pause * 2 : MostPause;
        }
    }

    /// <summary>Sends a request once, and returns when the head of the answer is there.</summary>
    /// <exception cref="StorageClientException">Unavailable: nobody answered.</exception>
    public async Task<HttpResponseMessage> OpenAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        try
        {
            return await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
        }
        catch (HttpRequestException e)
        {
            throw Unavailable(e);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw Unavailable(e);
        }
    }

    /// <summary>A question whose answer is JSON.</summary>
    /// <exception cref="StorageClientException">It was not answered, or with an error.</exception>
    public async Task<T> AskAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        using var answer = await SendAsync(() => new HttpRequestMessage(HttpMethod.Get, path), cancellationToken).ConfigureAwait(false);
        if (!answer.IsSuccessStatusCode) throw await ErrorAsync(answer, cancellationToken).ConfigureAwait(false);
        return await ReadAsync(answer, type, cancellationToken).ConfigureAwait(false);
    }

    public static async Task<T> ReadAsync<T>(HttpResponseMessage answer, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        try
        {
            var bytes = await answer.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false);
            return JsonSerializer.Deserialize(bytes, type) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new StorageClientException(StorageError.Unexpected, "The replica's answer is not understood; use programs of one version.", e);
        }
    }

    public static async Task<Problem?> ProblemAsync(HttpResponseMessage answer, CancellationToken cancellationToken)
    {
        if (answer.Content.Headers.ContentType?.MediaType is not ("application/problem+json" or "application/json")) return null;
        try
        {
            return JsonSerializer.Deserialize(await answer.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false), StorageJson.Default.Problem);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public static async Task<StorageClientException> ErrorAsync(HttpResponseMessage answer, CancellationToken cancellationToken) =>
        Error(answer.StatusCode, await ProblemAsync(answer, cancellationToken).ConfigureAwait(false));

    public static StorageClientException Error(HttpStatusCode status, Problem? problem)
    {
        var error = status switch
        {
            HttpStatusCode.Forbidden or HttpStatusCode.Unauthorized => StorageError.Forbidden,
            HttpStatusCode.PreconditionFailed => StorageError.Conflict,
            HttpStatusCode.ServiceUnavailable or HttpStatusCode.TooManyRequests => StorageError.Unavailable,
            HttpStatusCode.InsufficientStorage => StorageError.Full,
            >= HttpStatusCode.BadRequest and < HttpStatusCode.InternalServerError => StorageError.Invalid,
            _ => StorageError.Unexpected,
        };
        var message = problem is null ? $"The replica answered {(int)status}." : problem.Detail is { Length: > 0 } remedy ? $"{problem.Title} {remedy}" : problem.Title;
        return new StorageClientException(error, message);
    }

    public static EntityTagHeaderValue Tag(string version) => new($"\"{version}\"");

    public void Dispose() => http.Dispose();

    // What no repeating mends: nobody has the name, or the bounds forbid it.
    private static bool IsFinal(HttpRequestException e) => e.InnerException is PortalException { Error: PortalError.Refused };

    private static StorageClientException Unavailable(Exception e)
    {
        var reason = e.InnerException as PortalException;
        return reason?.Error == PortalError.Refused
            ? new StorageClientException(StorageError.Forbidden, reason.Message, e)
            : new StorageClientException(StorageError.Unavailable, $"No replica of the storage answers: {(reason ?? e).Message}", e);
    }
}
