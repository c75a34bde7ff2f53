using System.Net;
using System.Net.Http.Headers;
using Florete.Identities;
using Florete.Portals;

namespace Florete.Identity.Contracts;

/// <summary>Speaks to the identity services of other nodes.</summary>
public sealed class IssuerClient(IProgramPortal portal, string cluster)
{
    // Signed bounds, twice over in JSON.
    private const int MaxAnswerBytes = 4 * 1024 * 1024;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private SpiffeId? lastIssuer;

    private SpiffeId Service => SpiffeId.Of(cluster, IdentityKind.Service, "identity");

    /// <summary>Redeems a token at the vertex that it names; null asks whoever issues.</summary>
    /// <param name="path"><c>/v1/join</c> or <c>/v1/renew</c>.</param>
    /// <param name="request">JSON.</param>
    /// <param name="vertex">Whose instance is asked; null: one after the other, until one is the issuer.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="JoinException">Refused, or no issuer can be reached.</exception>
    public async Task<byte[]> AskAsync(string path, ReadOnlyMemory<byte> request, SpiffeId? vertex, CancellationToken cancellationToken)
    {
        if (vertex is not null) return await AskOneAsync(path, request, vertex, cancellationToken).ConfigureAwait(false) ?? throw NoIssuer();
        var instances = new List<SpiffeId>();
        try
        {
            await foreach (var change in portal.DiscoverAsync(new ServiceQuery(Service), false, cancellationToken).ConfigureAwait(false)) instances.Add(change.Vertex);
        }
        catch (PortalException e)
        {
            throw new JoinException(JoinRefusal.Unreachable, e.Message, e);
        }
        JoinException? last = null;
        foreach (var instance in instances.OrderByDescending(one => one == lastIssuer))
        {
            try
            {
                if (await AskOneAsync(path, request, instance, cancellationToken).ConfigureAwait(false) is not { } answer) continue;
                lastIssuer = instance;
                return answer;
            }
            catch (JoinException e) when (e.Code == JoinRefusal.Unreachable)
            {
                last = e;
            }
        }
        throw last ?? NoIssuer();
    }

    // Null: that instance does not issue.
    private async Task<byte[]?> AskOneAsync(string path, ReadOnlyMemory<byte> request, SpiffeId vertex, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(Patience);
        var options = new ConnectOptions(Class: TrafficClass.Interactive, Instance: vertex, Timeout: Patience / 2);
        using var http = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (_, token) => new PortalStream(await portal.ConnectAsync(Service.ToString(), options, token).ConfigureAwait(false), isAbortedByDispose: true),
            UseProxy = false,
        })
        {
            MaxResponseContentBufferSize = MaxAnswerBytes,
        };
        try
        {
            using var content = new ReadOnlyMemoryContent(request);
            content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            using var response = await http.PostAsync(new Uri($"http://{MeshName.ToSni(Service)}{path}"), content, patience.Token).ConfigureAwait(false);
            var body = await response.Content.ReadAsByteArrayAsync(patience.Token).ConfigureAwait(false);
            if (response.StatusCode == HttpStatusCode.OK) return body;
            if (response.StatusCode == HttpStatusCode.NotFound) return null;
            throw IdentityJson.TryRead<RefusalDocument>(body, out var refusal)
                ? new JoinException(JoinRefusals.Parse(refusal.Code), refusal.Message)
                : new JoinException(JoinRefusal.Failed, $"{vertex.Path} answers {(int)response.StatusCode}.");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new JoinException(JoinRefusal.Unreachable, $"The identity service at {vertex.Path} did not answer in {Patience.TotalSeconds:0} s.");
        }
        catch (Exception e) when (e is HttpRequestException or IOException or PortalException)
        {
            var reason = e.InnerException as PortalException ?? e;
            throw new JoinException(JoinRefusal.Unreachable, $"The identity service at {vertex.Path} is not reached: {reason.Message}", e);
        }
    }

    private static JoinException NoIssuer() => new(
        JoinRefusal.Unreachable, "No node within reach issues for this cluster; let florete-identity run where the root's key is (florctl issuer enable).");
}
