using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Florete.Identities;
using Florete.Portals;
using Florete.Storage.Client;
using Florete.Storage.Contracts;

namespace Florete.Storage.Api.Replication;

/// <summary>The replica of one vertex as other replicas ask it. What it answers is read with care, and proved by who takes it.</summary>
internal sealed class PeerClient : IDisposable
{
    public const string ThroughHeader = "Florete-Through";
    public const string LastHeader = "Florete-Last";
    public const string BytesType = "application/octet-stream";

    // A page, and what is said of it.
    private const int MaxAnswerBytes = VersionBatch.MaxAnswerBytes + 4096;
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(5);

    private readonly HttpClient http;

    public PeerClient(IProgramPortal portal, SpiffeId storage, SpiffeId vertex)
    {
        Vertex = vertex;
        var options = new ConnectOptions(Instance: vertex, Timeout: ConnectLimit);
        var handler = PortalHttp.CreateHandler(portal);
        // A connection is to this instance, so it is good as long as it lives.
        handler.PooledConnectionLifetime = Timeout.InfiniteTimeSpan;
        handler.ConnectCallback = async (_, cancellationToken) => new PortalStream(
            await portal.ConnectAsync(storage.ToString(), options, cancellationToken).ConfigureAwait(false), isAbortedByDispose: true);
        http = new HttpClient(handler) { BaseAddress = new Uri("http://storage.rete/"), Timeout = AnswerLimit, MaxResponseContentBufferSize = MaxAnswerBytes };
    }

    public SpiffeId Vertex { get; }

    /// <exception cref="PeerException">It did not answer, or not what was asked.</exception>
    public async Task<IReadOnlyList<BucketEntry>> DifferencesAsync(BucketSummary summary, CancellationToken cancellationToken)
    {
        var bytes = await PostAsync("v1/replication/differences", summary.Encode(), cancellationToken).ConfigureAwait(false);
        return Differences.TryDecode(bytes, out var entries) ? entries : throw Malformed();
    }

    /// <summary>Of the versions with these ids, those that found room in an answer; none: it has none of them any more.</summary>
    /// <exception cref="PeerException">It did not answer, or not what was asked.</exception>
    public async Task<IReadOnlyList<OfferedVersion>> VersionsAsync(IReadOnlyList<VersionId> ids, CancellationToken cancellationToken)
    {
        var request = new byte[ids.Count * VersionId.Bytes];
        for (var i = 0; i < ids.Count; i++) ids[i].Write(request.AsSpan(i * VersionId.Bytes));
        return Batch(await PostAsync("v1/replication/versions", request, cancellationToken).ConfigureAwait(false));
    }

    /// <summary>What it has, in its own order.</summary>
    /// <exception cref="PeerException">It did not answer, or not what was asked.</exception>
    public async Task<(IReadOnlyList<OfferedVersion> Versions, long Through, bool IsLast)> LogAsync(long after, CancellationToken cancellationToken)
    {
        using var answer = await SendAsync(new HttpRequestMessage(HttpMethod.Get, string.Create(CultureInfo.InvariantCulture, $"v1/replication/log?after={after}")), cancellationToken).ConfigureAwait(false);
        var bytes = await ReadAsync(answer, cancellationToken).ConfigureAwait(false);
        if (!answer.Headers.TryGetValues(ThroughHeader, out var through) || !long.TryParse(through.First(), NumberStyles.None, CultureInfo.InvariantCulture, out var sequence) || sequence < after
            || !answer.Headers.TryGetValues(LastHeader, out var last))
        {
            throw Malformed();
        }
        return (Batch(bytes), sequence, last.First() == "true");
    }

    /// <summary>An encoded chain; null: it has it no more.</summary>
    /// <exception cref="PeerException">It did not answer, or not what was asked.</exception>
    public async Task<byte[]?> ChainAsync(ChainHash hash, CancellationToken cancellationToken)
    {
        using var answer = await SendAsync(new HttpRequestMessage(HttpMethod.Get, $"v1/replication/chains/{hash}"), cancellationToken, HttpStatusCode.NotFound).ConfigureAwait(false);
        if (answer.StatusCode == HttpStatusCode.NotFound) return null;
        var bytes = await ReadAsync(answer, cancellationToken).ConfigureAwait(false);
        return bytes.Length <= EncodedChain.MaxBytes && ChainHash.Of(bytes) == hash ? bytes : throw Malformed();
    }

    /// <summary>Tells it versions that it must have before it decides.</summary>
    /// <exception cref="PeerException">It did not answer, or not what was asked.</exception>
    public Task OfferAsync(ReadOnlyMemory<byte> batch, CancellationToken cancellationToken) => PostAsync("v1/replication/offers", batch, cancellationToken);

    /// <exception cref="PeerException">It did not answer, or not what was asked.</exception>
    public async Task<PrepareAnswer> PrepareAsync(PrepareRequest request, CancellationToken cancellationToken)
    {
        var bytes = await PostAsync("v1/replication/prepare", JsonSerializer.SerializeToUtf8Bytes(request, StorageJson.Default.PrepareRequest), cancellationToken).ConfigureAwait(false);
        try
        {
            return JsonSerializer.Deserialize(bytes, StorageJson.Default.PrepareAnswer) ?? throw Malformed();
        }
        catch (JsonException)
        {
            throw Malformed();
        }
    }

    /// <summary>Passes a signed version on. Returns what it answered: the status, and what is wrong unless it took it.</summary>
    /// <exception cref="PeerException">It did not answer.</exception>
    public async Task<(HttpStatusCode Status, Problem? Problem)> SwapAsync(DocumentVersion version, string? chain, string expected, CancellationToken cancellationToken)
    {
        var request = new HttpRequestMessage(HttpMethod.Put, $"v1/replication/swap?expected={expected}") { Content = Content(version.Bytes, StorageProtocol.VersionMediaType) };
        if (chain is not null) request.Headers.Add(HeaderNames.Chain, chain);
        using var answer = await TryAsync(request, cancellationToken).ConfigureAwait(false);
        if (answer.IsSuccessStatusCode) return (answer.StatusCode, null);
        try
        {
            return (answer.StatusCode, JsonSerializer.Deserialize(await ReadAsync(answer, cancellationToken).ConfigureAwait(false), StorageJson.Default.Problem));
        }
        catch (JsonException)
        {
            throw Malformed();
        }
    }

    public void Dispose() => http.Dispose();

    private IReadOnlyList<OfferedVersion> Batch(byte[] bytes) => VersionBatch.TryDecode(bytes, out var versions, out _) ? versions : throw Malformed();

    private async Task<byte[]> PostAsync(string path, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        using var answer = await SendAsync(new HttpRequestMessage(HttpMethod.Post, path) { Content = Content(body, BytesType) }, cancellationToken).ConfigureAwait(false);
        return await ReadAsync(answer, cancellationToken).ConfigureAwait(false);
    }

    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken, HttpStatusCode allowed = HttpStatusCode.OK)
    {
        var answer = await TryAsync(request, cancellationToken).ConfigureAwait(false);
        if (answer.IsSuccessStatusCode || answer.StatusCode == allowed) return answer;
        using (answer)
        {
            var problem = await StorageConnection.ProblemAsync(answer, cancellationToken).ConfigureAwait(false);
            throw new PeerException($"The replica of {Vertex.Name} answered {(int)answer.StatusCode}: {problem?.Title ?? "no reason."}");
        }
    }

    private async Task<HttpResponseMessage> TryAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        using (request)
        {
            try
            {
                return await http.SendAsync(request, cancellationToken).ConfigureAwait(false);
            }
            catch (HttpRequestException e)
            {
                throw new PeerException($"The replica of {Vertex.Name} cannot be asked: {(e.InnerException as PortalException ?? (Exception)e).Message}", e);
            }
            catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
            {
                throw new PeerException($"The replica of {Vertex.Name} did not answer within {AnswerLimit.TotalSeconds:0} s.", e);
            }
        }
    }

    private static async Task<byte[]> ReadAsync(HttpResponseMessage answer, CancellationToken cancellationToken) =>
        await answer.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false);

    private static ReadOnlyMemoryContent Content(ReadOnlyMemory<byte> bytes, string type)
    {
        var content = new ReadOnlyMemoryContent(bytes);
        content.Headers.ContentType = new MediaTypeHeaderValue(type);
        return content;
    }

    private PeerException Malformed() => new($"The replica of {Vertex.Name} answered what is not understood here; use programs of one version.");
}

/// <summary>An exchange with another replica failed; it is tried again.</summary>
internal sealed class PeerException(string message, Exception? inner = null) : Exception(message, inner);
