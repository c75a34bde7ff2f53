using System.Net;
using Florete.Identities;
using Florete.Links;
using Florete.Portals;
using Florete.Runtime;
using Florete.Simulation;
using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Layers.Tests.Transport;

/// <summary>Whole vertices over simulated <c>udp</c> links, in virtual time: a, b, c, … in a line or a ring.</summary>
internal sealed class Mesh : IDisposable
{
    private readonly List<Member> members = [];
    private readonly Dictionary<string, NodeAuthority> nodes = [];
    private readonly bool nodesIssue;

    public Mesh(int count, bool isRing = false, int seed = 1, PathProperties? path = null, bool nodesIssue = false)
    {
        this.nodesIssue = nodesIssue;
        Authority = CertificateAuthority.Create("home", Clock.WallClock.GetUtcNow());
        Network = new SimulatedNetwork(seed);
        if (path is not null) Network.SetAll(path);
        var names = Enumerable.Range(0, count).Select(static i => ((char)('a' + i)).ToString()).ToArray();
        for (var i = 0; i < count; i++)
        {
            // Each dials the one before; in a ring the last one dials the first as well.
            List<int> neighbours = i > 0 ? [i - 1] : [];
            if (isRing && i == count - 1) neighbours.Add(0);
            members.Add(new Member(this, names[i], Address(i), [.. neighbours.Select(n => (names[n], Address(n)))]));
        }
    }

    public VirtualClock Clock { get; } = new();

    public SimulatedNetwork Network { get; }

    public CertificateAuthority Authority { get; }

    public OpenBounds Bounds { get; } = new();

    public int Count => members.Count;

    public Member this[int index] => members[index];

    public static string Address(int index) => $"10.0.0.{index + 1}:7000";

    /// <summary>Issued by the root; or, where nodes issue, a vertex by its own node, and what else there is by node a.</summary>
    public HeldIdentity Hold(IdentityKind kind, string name, TimeSpan? life = null) => new(Issue(SpiffeId.Of("home", kind, name), life ?? TimeSpan.FromHours(24)));

    /// <summary>As an operator would sign it now.</summary>
    public Revocation Revocation(SpiffeId subject)
    {
        var now = Clock.WallClock.GetUtcNow();
        return new Revocation(
            subject, now + Identities.Revocation.Lead, RevocationReason.KeyCompromise, "", SpiffeId.Of("home", IdentityKind.Operator, "root"), now, now.AddDays(1));
    }

    public void Renew(HeldIdentity identity, TimeSpan life) => identity.Renew(Issue(identity.Id, life));

    /// <summary>Runs virtual time until the task is done, and returns its result or throws its error.</summary>
    public T Wait<T>(Task<T> task, int seconds = 60)
    {
        Clock.RunUntil(() => task.IsCompleted, TimeSpan.FromSeconds(seconds));
        Assert.True(task.IsCompleted, "Not done in time.");
        return task.GetAwaiter().GetResult();
    }

    public void WaitFor(Func<bool> condition, int seconds = 60) =>
        Assert.True(Clock.RunUntil(condition, TimeSpan.FromSeconds(seconds)), "The condition did not come to hold.");

    public void Cut(int one, int other, bool isCut = true)
    {
        Network.Cut(members[one].Socket.Local, members[other].Socket.Local, isCut);
        Network.Cut(members[other].Socket.Local, members[one].Socket.Local, isCut);
    }

    public void Dispose()
    {
        foreach (var member in members) Assert.Empty(member.Faults);
        foreach (var node in nodes.Values) node.Dispose();
        Authority.Dispose();
    }

    private X509Svid Issue(SpiffeId id, TimeSpan life)
    {
        if (!nodesIssue) return Authority.Issue(id, life, Clock.WallClock.GetUtcNow());
        var node = id.Kind is IdentityKind.Vertex or IdentityKind.Node ? id.Name : "a";
        if (!nodes.TryGetValue(node, out var authority)) nodes[node] = authority = Authority.IssueNodeAuthority(node, TimeSpan.FromDays(30), Clock.WallClock.GetUtcNow());
        return authority.Issue(id, life, Clock.WallClock.GetUtcNow());
    }
}

internal sealed class Member
{
    public Member(Mesh mesh, string name, string address, (string Name, string Address)[] neighbours)
    {
        Mesh = mesh;
        Loop = new VirtualLoop(mesh.Clock);
        Loop.Faulted += Faults.Add;
        Socket = mesh.Network.Open(Loop, address);
        var identity = Identity = mesh.Hold(IdentityKind.Vertex, name);
        var verifier = new PeerVerifier(TrustBundle.Of(mesh.Authority.Root), mesh.Bounds, Revocations);
        var links = new UdpLinkPortal(
            Loop, Pool, Socket,
            new UdpLinkOptions { Neighbours = [.. neighbours.Select(n => new UdpNeighbour(Id(n.Name), [IPEndPoint.Parse(n.Address)]))] },
            new LinkTrust(mesh.Authority.ClusterIdentity, verifier, mesh.Bounds));
        Vertex = Run(async () => await LayerVertex.StartAsync(
            new LayerVertexOptions(), Loop, Pool, identity, [new Underlay("udp", links, [.. neighbours.Select(n => Id(n.Name))])],
            verifier, mesh.Bounds, null, NullLoggerFactory.Instance, new LayerSecurity(Revocations, null, Events)));
    }

    public Mesh Mesh { get; }

    public HeldIdentity Identity { get; }

    public RevocationList Revocations { get; } = new();

    public SecurityEvents Events { get; } = new(TimeProvider.System);

    public VirtualLoop Loop { get; }

    public PacketPool Pool { get; } = new();

    public SimulatedSocket Socket { get; }

    public LayerVertex Vertex { get; }

    public List<Exception> Faults { get; } = [];

    public static SpiffeId Id(string name) => SpiffeId.Of("home", IdentityKind.Vertex, name);

    /// <summary>Runs a program of this node in its loop, in virtual time, and returns its result.</summary>
    public T Run<T>(Func<Task<T>> program, int seconds = 60) => Mesh.Wait(Loop.RunAsync(program), seconds);

    public IAsyncDisposable Publish(HeldIdentity identity, Func<PortalConnection, Task> serve) =>
        Run(async () => await Vertex.PublishAsync(identity, new Program(Loop, serve)));

    public PortalConnection Connect(HeldIdentity caller, SpiffeId target, int seconds = 60, ConnectOptions? options = null) =>
        Run(async () => await Vertex.ConnectAsync(caller, target, options ?? ConnectOptions.Default), seconds);

    /// <summary>Hands in a revocation at this vertex.</summary>
    public Revocation Revoke(SpiffeId subject)
    {
        var revocation = Mesh.Revocation(subject);
        var signer = Mesh.Authority.Issue(revocation.SignedBy, TimeSpan.FromDays(30), Mesh.Clock.WallClock.GetUtcNow());
        Run(async () => await Vertex.AnnounceAsync(SignedRevocation.Sign("cluster", revocation, signer).Message));
        return revocation;
    }

    /// <summary>Waits until the service can be found from here.</summary>
    public void Discover(SpiffeId service)
    {
        for (var tries = 0; tries < 1000; tries++)
        {
            if (Run(async () => await Vertex.StatusAsync()).Services.Any(s => s.Service == service)) return;
            Mesh.Clock.Run(TimeSpan.FromMilliseconds(20));
        }
        Assert.Fail($"{service} was not found from {Vertex.Id}.");
    }

    private sealed class Program(EventLoop loop, Func<PortalConnection, Task> serve) : IAcceptor
    {
        public ConnectionMode Modes => ConnectionMode.Both;

        public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
        {
            loop.Post(() => _ = serve(connection));
            return ValueTask.CompletedTask;
        }
    }
}
