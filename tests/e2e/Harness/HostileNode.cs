using System.Buffers.Binary;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Portals;
using Florete.PortalSocket;
using Florete.Storage.Client;
using Florete.Storage.Contracts;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>
/// A node that joined by token, so it has proper SVIDs and an authority of its own, and means harm. What programs may do there it does through the portal sockets of
/// its flor; what flor would never do, <see cref="HostileMember"/> does in flor's place.
/// </summary>
public sealed class HostileNode(Node node, string cluster) : IDisposable
{
    private readonly NodeAuthority authority = NodeAuthority.Load(node.Folder);
    private readonly PortalSocketClient storage = new(node.PortalOf("storage"));

    public SpiffeId Id(IdentityKind kind, string name) => SpiffeId.Of(cluster, kind, name);

    /// <summary>An SVID by the node's own authority, whether the bounds let the node hold it or not.</summary>
    public X509Svid Issue(IdentityKind kind, string name) => authority.Issue(Id(kind, name), TimeSpan.FromHours(1), DateTimeOffset.UtcNow);

    /// <summary>Sends a decision, properly signed by its own node identity; returns why it is refused.</summary>
    public async Task<string?> DecideAsync(string vertex, DecisionDocument decision)
    {
        ArgumentNullException.ThrowIfNull(decision);
        var portal = new PortalSocketClient(node.PortalOf($"node-{node.Name}"));
        await using var vertices = new VertexClient(portal, cluster);
        var document = decision.Encode();
        var signature = await portal.SignAsync(CoordinationProtocol.DecisionPurpose, document);
        return (await vertices.DecideAsync(vertex, new SignedDecision(document, signature.Bytes.ToArray(), EncodedChain.Encode(signature.Chain))))?.Reason;
    }

    /// <summary>Passes a version on to another replica as a compare-and-swap, in the name of whose SVID it is.</summary>
    public async Task<HttpStatusCode> SwapAsync(string vertex, DocumentKey key, X509Svid author)
    {
        ArgumentNullException.ThrowIfNull(author);
        var chain = EncodedChain.Encode(author);
        var draft = Draft(vertex, key, author.Id, chain, isSwap: true);
        return await SwapAsync(vertex, draft.WithSignature(ProgramSignature.Sign(author, StorageProtocol.SigningPurpose, SHA256.HashData(draft.Content.Span))), chain);
    }

    /// <summary>The same in the name of its own replica, properly signed.</summary>
    public async Task<HttpStatusCode> SwapAsync(string vertex, DocumentKey key)
    {
        var chain = EncodedChain.Encode((await storage.SignAsync(StorageProtocol.SigningPurpose, Array.Empty<byte>())).Chain);
        var draft = Draft(vertex, key, Id(IdentityKind.Service, "storage"), chain, isSwap: true);
        return await SwapAsync(vertex, draft.WithSignature((await storage.SignAsync(StorageProtocol.SigningPurpose, draft.Content)).Bytes.Span), chain);
    }

    /// <summary>Tells another replica of a version by somebody, with that one's true chain and its own signature.</summary>
    public async Task TellAsync(string vertex, DocumentKey key, SpiffeId author, IReadOnlyList<byte[]> chain)
    {
        var draft = Draft(vertex, key, author, EncodedChain.Encode(chain), isSwap: false);
        var version = draft.WithSignature((await storage.SignAsync(StorageProtocol.SigningPurpose, draft.Content)).Bytes.Span);
        var batch = new byte[5 + version.Bytes.Length];
        BinaryPrimitives.WriteInt32BigEndian(batch, 1 + version.Bytes.Length);
        version.Bytes.CopyTo(batch.AsMemory(5));
        using var http = Replica(vertex);
        using var told = await http.PostAsync(new Uri("v1/replication/offers", UriKind.Relative), new ByteArrayContent(batch));
        _ = told.EnsureSuccessStatusCode();
    }

    /// <summary>Writes as a service of its own.</summary>
    /// <exception cref="StorageClientException">It may not.</exception>
    public async Task WriteAsync(string vertex, DocumentKey key, string service)
    {
        using var client = new StorageClient(new PortalSocketClient(node.PortalOf(service)), Id(IdentityKind.Vertex, vertex));
        await client.PutAsync(key, "\"forged\""u8.ToArray());
    }

    public void Dispose() => authority.Dispose();

    private static VersionDraft Draft(string vertex, DocumentKey key, SpiffeId author, byte[] chain, bool isSwap) => new()
    {
        Key = key,
        Replica = ReplicaName.Parse(vertex),
        Stamp = Stamp.Of(DateTimeOffset.UtcNow),
        Seen = SeenVector.Empty,
        Author = author,
        Chain = ChainHash.Of(chain),
        Body = "\"forged\""u8.ToArray(),
        CompareAndSwap = isSwap,
    };

    private async Task<HttpStatusCode> SwapAsync(string vertex, DocumentVersion version, byte[] chain)
    {
        using var http = Replica(vertex);
        using var swap = new HttpRequestMessage(HttpMethod.Put, "v1/replication/swap?expected=none") { Content = new ByteArrayContent(version.Bytes.ToArray()) };
        swap.Content.Headers.ContentType = new MediaTypeHeaderValue(StorageProtocol.VersionMediaType);
        swap.Headers.Add(HeaderNames.Chain, Convert.ToBase64String(chain));
        using var answer = await http.SendAsync(swap);
        return answer.StatusCode;
    }

    private HttpClient Replica(string vertex) =>
        new(PortalHttp.CreateHandler(storage, new ConnectOptions(Instance: Id(IdentityKind.Vertex, vertex)))) { BaseAddress = new Uri("http://storage.rete/") };
}
