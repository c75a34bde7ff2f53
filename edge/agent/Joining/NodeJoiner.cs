using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Florete.Configuration;
using Florete.Identities;
using Florete.Identity.Contracts;
using Florete.Links;
using Florete.Runtime;

namespace Florete.Agent.Joining;

/// <summary>
/// Makes a node's folder out of a token (docs/protocols/join.md "On the new machine"). Every step may be cut short and repeated: the key is on disk
/// before it is used, the answer before it is needed, and the configuration comes last.
/// </summary>
internal sealed class NodeJoiner(JoinToken token, string folder, Action<string> note)
{
    private const int MaxAnswerBytes = 4 * 1024 * 1024;
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1), MostPause = TimeSpan.FromSeconds(10);

    private readonly string joining = Path.Combine(folder, "joining");

    public string Listen { get; init; } = "0.0.0.0:7431";

    public required string ServicesOwner { get; init; }

    public bool LetsJoin { get; init; }

    /// <summary>How long to try while nobody can be reached.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Services of this node, and where their programs listen, <c>HOST:PORT</c>.</summary>
    public IReadOnlyList<(string Service, string Address)> Outbounds { get; init; } = [];

    /// <summary>Proxies for all programs of this machine: where they listen, and as whom they act (a path, <c>user/me</c>).</summary>
    public IReadOnlyList<(string Listen, string As)> Proxies { get; init; } = [];

    /// <summary>Paths of identities whose programs have a portal socket, for <see cref="ServicesOwner"/>.</summary>
    public IReadOnlyList<string> Portals { get; init; } = [];

    private string KeyFile => Path.Combine(joining, "node-ca.key");

    private string AnswerFile => Path.Combine(joining, "answer.json");

    private string ConfigurationFile => Path.Combine(folder, NodeConfiguration.FileName);

    /// <exception cref="JoinException">Refused, or nobody is reached; the message says what to do.</exception>
    /// <exception cref="IdentityException">What is in the folder is unusable, or of another node.</exception>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public async Task JoinAsync(CancellationToken cancellationToken)
    {
        if (File.Exists(ConfigurationFile))
        {
            CheckIsThisNode();
            note($"{token.Node.Path} has joined already.");
            Finish();
            return;
        }
        PrepareFolder();
        using var key = OwnKey();
        var answer = Kept(key) ?? await AskAsync(key, cancellationToken).ConfigureAwait(false);
        Write(answer, key);
        Finish();
    }

    private void CheckIsThisNode()
    {
        using var authority = NodeAuthority.Load(folder);
        var cluster = TrustBundle.Load(Path.Combine(folder, "bundle.pem")).ClusterIdentity;
        if (authority.Node == token.Node && cluster == token.Cluster) return;
        throw new IdentityException($"{folder} is the folder of {authority.Node.Path} of cluster {cluster}, and the token is for {token.Node.Path} of {token.Cluster}; choose another folder.");
    }

    private void PrepareFolder()
    {
        if (Directory.Exists(folder) && !Directory.Exists(joining) && Directory.EnumerateFileSystemEntries(folder).Any())
        {
            throw new IdentityException($"{folder} exists already, and nothing is overwritten; choose another folder.");
        }
        foreach (var made in new[] { folder, joining })
        {
            if (OperatingSystem.IsWindows()) Directory.CreateDirectory(made);
            else Directory.CreateDirectory(made, AtomicFile.OwnerOnlyFolder);
        }
    }

    /// <summary>The key of the node's authority; the same however often the join is repeated, so that the issuer knows the machine again.</summary>
    private ECDsa OwnKey()
    {
        if (!File.Exists(KeyFile))
        {
            using var made = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            AtomicFile.Write(KeyFile, made.ExportPkcs8PrivateKeyPem() + "\n", AtomicFile.OwnerOnly);
        }
        var key = ECDsa.Create();
        try
        {
            key.ImportFromPem(File.ReadAllText(KeyFile));
            return key;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            key.Dispose();
            throw new IdentityException($"{KeyFile}: the key in it is damaged; remove {folder}, and join with a new token.", e);
        }
    }

    // The answer that an earlier run got; null: none that is of use.
    private JoinReplyFile? Kept(ECDsa key)
    {
        if (!File.Exists(AnswerFile) || new FileInfo(AnswerFile).Length > MaxAnswerBytes) return null;
        if (!IdentityJson.TryRead<JoinReplyFile>(File.ReadAllBytes(AnswerFile), out var kept)) return null;
        try
        {
            Verify(kept, key).Dispose();
            return kept;
        }
        catch (JoinException)
        {
            return null;
        }
    }

    private async Task<JoinReplyFile> AskAsync(ECDsa key, CancellationToken cancellationToken)
    {
        if (token.IsExpired(DateTimeOffset.UtcNow)) throw new JoinException(JoinRefusal.Expired, $"The token has expired at {token.Expiry:u}, and it is {DateTimeOffset.UtcNow:u} here; set the clock, or make a new token (florctl token create).");
        var request = new CertificateRequest("CN=join", key, HashAlgorithmName.SHA256).CreateSigningRequest();
        var message = IdentityJson.Write(new JoinRequest(token.Text, request));
        var give = DateTimeOffset.UtcNow + Patience;
        var pause = FirstPause;
        while (true)
        {
            JoinException? last = null;
            foreach (var contact in token.Contacts)
            {
                try
                {
                    var reply = await AskAsync(contact, message, cancellationToken).ConfigureAwait(false);
                    if (!IdentityJson.TryRead<JoinAnswer>(reply.Answer, out var answer)) throw new JoinException(JoinRefusal.Failed, $"{contact.Address} answers what cannot be read; use the same version of Florete.");
                    var kept = new JoinReplyFile(reply.Server.Name, contact.Address, answer);
                    Verify(kept, key).Dispose();
                    AtomicFile.Write(AnswerFile, IdentityJson.Write(kept), AtomicFile.OwnerOnly);
                    return kept;
                }
                catch (JoinException e) when (!e.Code.IsFinal() || (e.Code == JoinRefusal.WrongCluster && token.Contacts.Count > 1))
                {
                    note($"{contact.Address}: {e.Message}");
                    last = e;
                }
            }
            if (last!.Code.IsFinal() || DateTimeOffset.UtcNow + pause > give) throw last;
            await Task.Delay(pause, cancellationToken).ConfigureAwait(false);
            pause = pause * 2 < MostPause ? pause * 2 : MostPause;
        }
    }

    private async Task<JoinReply> AskAsync(JoinContact contact, byte[] message, CancellationToken cancellationToken)
    {
        await using var loop = new ThreadLoop("join");
        Exception? fault = null;
        loop.Faulted += e => fault ??= e;
        var to = await ResolveAsync(contact, cancellationToken).ConfigureAwait(false);
        IDatagramSocket socket;
        try
        {
            socket = UdpLinkPortal.OpenSocket(loop, new IPEndPoint(to.AddressFamily == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Any : IPAddress.Any, 0));
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or SocketException)
        {
            throw new JoinException(JoinRefusal.Unreachable, $"No UDP socket can be opened here: {e.Message}", e);
        }
        try
        {
            return await JoinDialer.AskAsync(loop, socket, UdpAddress.Of(to), contact, token, message, cancellationToken).ConfigureAwait(false);
        }
        catch (JoinException) when (fault is not null)
        {
            throw new InvalidOperationException("A fault of this program.", fault);
        }
    }

    private static async Task<IPEndPoint> ResolveAsync(JoinContact contact, CancellationToken cancellationToken)
    {
        if (IPEndPoint.TryParse(contact.Address, out var address)) return address;
        var colon = contact.Address.LastIndexOf(':');
        try
        {
            var found = await Dns.GetHostAddressesAsync(contact.Address[..colon], cancellationToken).ConfigureAwait(false);
            if (found.Length > 0) return new IPEndPoint(found[0], int.Parse(contact.Address.AsSpan(colon + 1), System.Globalization.CultureInfo.InvariantCulture));
            throw new JoinException(JoinRefusal.Unreachable, $"{contact.Address} does not resolve to an address.");
        }
        catch (SocketException e)
        {
            throw new JoinException(JoinRefusal.Unreachable, $"{contact.Address} does not resolve: {e.Message}", e);
        }
    }

    /// <summary>Is it all what the token promises? Returns the authority.</summary>
    private NodeAuthority Verify(JoinReplyFile reply, ECDsa key)
    {
        try
        {
            var answer = reply.Answer;
            var bundle = TrustBundle.Parse(answer.Bundle, "the answer's bundle");
            if (bundle.ClusterIdentity != token.Cluster) throw new JoinException(JoinRefusal.WrongCluster, $"The answer is of cluster {bundle.ClusterIdentity}, and the token for {token.Cluster}.");
            var verifier = new PeerVerifier(bundle);
            var now = DateTimeOffset.UtcNow;
            var proof = verifier.VerifyAuthority(answer.Certificate, now);
            if (proof.Refusal is not null) throw new JoinException(JoinRefusal.Failed, $"What the issuer answered is not used. {proof.Refusal}");
            if (proof.Id != token.Node) throw new JoinException(JoinRefusal.Failed, $"The issuer answered for {proof.Id!.Path} instead of {token.Node.Path}.");
            if (!SignedBounds.TryVerify(Encoding.UTF8.GetBytes(answer.Bounds), "the answer's bounds", verifier, now, out _, out var unsigned)) throw new JoinException(JoinRefusal.Failed, unsigned);
            using var certificate = X509CertificateLoader.LoadCertificate(answer.Certificate);
            return NodeAuthority.Of(certificate, key);
        }
        catch (Exception e) when (e is IdentityException or CryptographicException)
        {
            throw new JoinException(JoinRefusal.Failed, $"What the issuer answered is not used: {e.Message}", e);
        }
    }

    private void Write(JoinReplyFile reply, ECDsa key)
    {
        using var authority = Verify(reply, key);
        authority.Save(folder);
        AtomicFile.Write(Path.Combine(folder, "bundle.pem"), reply.Answer.Bundle, AtomicFile.EveryoneReads);
        AtomicFile.Write(Path.Combine(folder, "bounds.signed"), reply.Answer.Bounds, AtomicFile.EveryoneReads);
        var bounds = new Bounds(BoundsOf(reply));
        var plan = Plan(reply, bounds);
        CheckMayHold(plan, bounds);
        var now = DateTimeOffset.UtcNow;
        foreach (var id in plan.All) SvidFiles.Write(Path.Combine(folder, "identities"), authority.Issue(id, CertificateAuthority.DefaultLifetime, now));
        AtomicFile.Write(Path.Combine(folder, ControlPlane.AgentFileName), ControlPlane.AgentFile(plan, bounds), AtomicFile.EveryoneReads);
        AtomicFile.Write(ConfigurationFile, NodeConfiguration.Text(plan), AtomicFile.EveryoneReads);
    }

    // Links to those whom the token names, the one that answered among them.
    private NodePlan Plan(JoinReplyFile reply, Bounds bounds)
    {
        var contacts = token.Contacts.Select(contact => contact.Vertex is null && contact.Address == reply.Address ? contact with { Vertex = reply.Server } : contact)
            .Where(static contact => contact.Vertex is not null);
        var neighbours = contacts.GroupBy(static contact => contact.Vertex!)
            .Select(static group => (group.Key, (IReadOnlyList<string>)[.. group.Select(static contact => contact.Address).Distinct()]));
        var vertex = SpiffeId.Of(token.Cluster.Name, IdentityKind.Vertex, token.Node.Name);
        var outbounds = Outbounds.Select(outbound => (SpiffeId.Of(vertex.Cluster, IdentityKind.Service, outbound.Service), outbound.Address)).ToArray();
        var proxies = Proxies.Select(proxy => (proxy.Listen, Identity(proxy.As))).ToArray();
        SpiffeId[] portals = [.. Portals.Select(Identity)];
        var held = bounds.Current.HeldByName(token.Node.Name).Concat(outbounds.Select(static outbound => outbound.Item1)).Concat(proxies.Select(static proxy => proxy.Item2)).Concat(portals);
        return new NodePlan(vertex, Listen, [.. neighbours], [.. held.Distinct()], proxies, outbounds, portals)
        {
            LetsJoin = LetsJoin,
            ServicesOwner = ServicesOwner,
            Services = ControlPlane.ServicesOf(bounds, vertex),
        };
    }

    private SpiffeId Identity(string path) => IdentityKinds.TryParsePath(path, token.Cluster.Name, out var id, out var error) ? id : throw new IdentityException(error);

    // Before flor refuses to start with it. The answer is forgotten, so that the next try gets the bounds of then.
    private void CheckMayHold(NodePlan plan, Bounds bounds)
    {
        var refusals = plan.All.Select(id => bounds.MayHost(plan.Vertex, id)).Where(static verdict => !verdict.IsAllowed).Select(static verdict => verdict.Refusal).ToArray();
        if (refusals.Length == 0) return;
        File.Delete(AnswerFile);
        throw new IdentityException($"{string.Join(' ', refusals)} Then join again, with the same token.");
    }

    private static BoundsDocument BoundsOf(JoinReplyFile reply)
    {
        var verifier = new PeerVerifier(TrustBundle.Parse(reply.Answer.Bundle, "the answer's bundle"));
        SignedBounds.TryVerify(Encoding.UTF8.GetBytes(reply.Answer.Bounds), "the answer's bounds", verifier, DateTimeOffset.UtcNow, out var bounds, out _);
        return bounds!.Document;
    }

    private void Finish()
    {
        if (Directory.Exists(joining)) Directory.Delete(joining, recursive: true);
    }
}

/// <summary>An answer, kept until the folder is made.</summary>
/// <param name="Server">The vertex that answered.</param>
/// <param name="Address">Where.</param>
/// <param name="Answer">What.</param>
internal sealed record JoinReplyFile(string Server, string Address, JoinAnswer Answer);
