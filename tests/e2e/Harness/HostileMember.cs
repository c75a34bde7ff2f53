using System.Collections.Concurrent;
using System.Net;
using Florete.Identities;
using Florete.Links;
using Florete.Portals;
using Florete.Runtime;
using Florete.Simulation;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>
/// A member of the cluster that means harm: a vertex with a proper SVID and a place in the bounds, linked with one neighbour, that says to it
/// whatever the test wants. It stands in its node's namespace, with that node's files, where flor would run, and dials again when the link ends.
/// </summary>
public sealed class HostileMember : IDatagramSink, IAsyncDisposable
{
    // So little at a time that no queue on the way overflows: what is sent arrives, and can be counted.
    private const int BurstBytes = 32 * 1024, BurstMessages = 16;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20), Pause = TimeSpan.FromMilliseconds(2), Redial = TimeSpan.FromMilliseconds(200);

    private readonly ThreadLoop loop = new("hostile");
    private readonly PacketPool pool = new();
    private readonly ConcurrentDictionary<string, byte[]> heard = new();
    private readonly ConcurrentDictionary<string, byte[]> chains = new();
    private readonly IdentityFolder identities;
    private readonly CancellationTokenSource leaving = new();
    private UdpLinkPortal? portal;
    private PortalConnection? link;
    private Task linked = Task.CompletedTask;
    private volatile int links;

    private HostileMember(Node node)
    {
        Cluster = TrustBundle.Load(Path.Combine(node.Folder, "bundle.pem"));
        identities = IdentityFolder.Open(Path.Combine(node.Folder, "identities"));
        Vertex = Svid(IdentityKind.Vertex, node.Name);
    }

    public X509Svid Vertex { get; }

    /// <summary>Links that have stood. When it grows, what was sent shortly before may not have arrived.</summary>
    public int Links => links;

    private TrustBundle Cluster { get; }

    /// <summary>Forms the link from the node's namespace; several of one node, each with a neighbour of its own, have a port each.</summary>
    public static async Task<HostileMember> JoinAsync(Node node, string neighbour, string address, int port = Harness.Cluster.Port)
    {
        ArgumentNullException.ThrowIfNull(node);
        var member = new HostileMember(node);
        try
        {
            member.Open(node, member.Id(IdentityKind.Vertex, neighbour), IPEndPoint.Parse(address), port);
            await member.LinkAsync(member.Id(IdentityKind.Vertex, neighbour));
            member.linked = member.KeepLinkedAsync(member.link!.Remote);
            return member;
        }
        catch
        {
            await member.DisposeAsync();
            throw;
        }
    }

    public SpiffeId Id(IdentityKind kind, string name) => SpiffeId.Of(Cluster.Cluster, kind, name);

    /// <summary>What the node's folder holds, its chain ready for who asks.</summary>
    public X509Svid Svid(IdentityKind kind, string name) => Answerable(identities.Find(Id(kind, name))!.Current);

    /// <summary>An SVID, from wherever, whose chain the neighbour gets when it asks.</summary>
    public X509Svid Answerable(X509Svid svid)
    {
        var chain = DirectoryForge.Chain(svid);
        chains[Convert.ToHexString(DirectoryForge.HashOf(chain))] = chain;
        return svid;
    }

    /// <summary>The last record by this signer that the neighbour sent; null: none yet.</summary>
    public byte[]? Heard(SpiffeId signer)
    {
        ArgumentNullException.ThrowIfNull(signer);
        return heard.GetValueOrDefault(signer.ToString());
    }

    /// <summary>The neighbour's record of somebody, as the neighbour sends it to whoever has none.</summary>
    public async Task<byte[]> HearAsync(SpiffeId signer)
    {
        await Eventually.HoldsAsync($"the neighbour sends the record of {signer}", async () =>
        {
            if (Heard(signer) is not null) return true;
            await SayAsync(DirectoryForge.HasNothing());
            return false;
        });
        return Heard(signer)!;
    }

    /// <summary>Sends directory messages, each in a packet of its own.</summary>
    public Task SayAsync(params IEnumerable<byte[]> messages) => SendAsync(messages.Select(message => (byte[])[0x00, 0x00, 0xD5, 0x01, 4, .. message]));

    /// <summary>Sends packets as they are.</summary>
    public async Task SendAsync(IEnumerable<byte[]> packets)
    {
        foreach (var burst in Bursts(packets))
        {
            await loop.RunAsync(() =>
            {
                foreach (var bytes in burst)
                {
                    Send(bytes);
                }

                return Task.CompletedTask;
            });
            await Task.Delay(Pause);
        }
    }

    void IDatagramSink.OnDatagram(PacketBuffer packet)
    {
        // docs/protocols/layer-packet.md: one entry with label 13, then payload type 4.
        var bytes = packet.Span.ToArray();
        packet.Return();
        if (bytes.Length < 6 || bytes[4] != 4)
        {
            return;
        }

        foreach (var (type, content) in DirectoryForge.Sections(bytes[5..]))
        {
            if (type == DirectoryForge.RecordSection)
            {
                var record = DirectoryForge.RecordIn(content);
                heard[DirectoryForge.SignerOf(record)] = record;
            }

            for (var at = 0; type == DirectoryForge.CertificateRequestSection && at < content.Length; at += DirectoryForge.HashBytes)
            {
                if (chains.TryGetValue(Convert.ToHexString(content, at, DirectoryForge.HashBytes), out var chain))
                {
                    Send([0x00, 0x00, 0xD5, 0x01, 4, .. DirectoryForge.Message(DirectoryForge.CertificateSection, chain)]);
                }
            }
        }
    }

    void IDatagramSink.OnQualityChanged()
    {
    }

    public async ValueTask DisposeAsync()
    {
        await leaving.CancelAsync();
        await linked;
        leaving.Dispose();
        if (link is not null)
        {
            await link.DisposeAsync();
        }

        if (portal is not null)
        {
            await portal.DisposeAsync();
        }

        await loop.DisposeAsync();
    }

    private static IEnumerable<List<byte[]>> Bursts(IEnumerable<byte[]> packets)
    {
        var (burst, size) = (new List<byte[]>(), 0);
        foreach (var packet in packets)
        {
            burst.Add(packet);
            size += packet.Length;
            if (burst.Count < BurstMessages && size < BurstBytes)
            {
                continue;
            }

            yield return burst;
            (burst, size) = ([], 0);
        }

        yield return burst;
    }

    private void Open(Node node, SpiffeId neighbour, IPEndPoint address, int port)
    {
        var socket = node.Network.Enter(() => UdpLinkPortal.OpenSocket(loop, new IPEndPoint(IPAddress.Any, port)));
        portal = new UdpLinkPortal(
            loop, pool, socket, new UdpLinkOptions { Neighbours = [new UdpNeighbour(neighbour, [address])] },
            new LinkTrust(Cluster.ClusterIdentity, new PeerVerifier(Cluster), new OpenBounds()));
    }

    private async Task KeepLinkedAsync(SpiffeId neighbour)
    {
        while (!leaving.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(Redial, leaving.Token);
                if (link!.Closed.IsCancellationRequested)
                {
                    await LinkAsync(neighbour);
                }
            }
            catch (Exception e) when (e is PortalException or OperationCanceledException)
            {
                // Again, unless the test is over.
            }
        }
    }

    private async Task LinkAsync(SpiffeId neighbour)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(leaving.Token);
        limit.CancelAfter(Patience);
        var made = await portal!.ConnectAsync(identities.Find(Vertex.Id)!, neighbour, new ConnectOptions(ConnectionMode.Datagram), limit.Token);
        await loop.RunAsync(() =>
        {
            made.Datagrams!.Sink = this;
            link = made;
            links = links + 1;
            return Task.CompletedTask;
        });
    }

    /// <summary>In a turn.</summary>
    private void Send(byte[] bytes)
    {
        if (link!.Closed.IsCancellationRequested)
        {
            return;
        }

        var packet = pool.Rent();
        bytes.CopyTo(packet.Append(bytes.Length));
        link.Datagrams!.Send(packet, TrafficClass.Control);
    }
}
