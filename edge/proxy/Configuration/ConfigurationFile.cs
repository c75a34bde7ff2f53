using System.Net;
using System.Text;
using Florete.Configuration;
using Florete.Identities;
using Florete.Portals;

namespace Florete.Proxy.Configuration;

/// <summary>Reads and validates a whole configuration file; docs/configuration.md describes it.</summary>
public static class ConfigurationFile
{
    /// <summary>More inbounds, outbounds or neighbours than this is a mistake.</summary>
    public const int MaxEntries = 1000;

    /// <summary>Reads the file; every problem is reported, in order of lines.</summary>
    /// <returns>The configuration, or null when there are problems.</returns>
    public static FlorConfiguration? Load(string file, out IReadOnlyList<ConfigurationProblem> problems)
    {
        if (ConfigurationText.Read(file, "write it (docs/configuration.md), or let 'florctl node add' do so", out var problem) is not { } text)
        {
            problems = [problem!];
            return null;
        }
        return Parse(text, file, out problems);
    }

    /// <summary>Parses a text as if it were the file; relative paths begin at the file's folder. Looks at no other file.</summary>
    public static FlorConfiguration? Parse(string text, string file, out IReadOnlyList<ConfigurationProblem> problems)
    {
        var found = new ConfigurationProblems(file);
        FlorConfiguration? configuration = null;
        if (!YamlTree.TryParse(text, out var root, out var line, out var error))
        {
            found.Add(line, "", $"{error}; correct the file there");
        }
        else if (SectionReader.Of(found, root, "") is { } section)
        {
            configuration = new Reader(file, section).Read();
        }
        problems = found.All;
        return found.Count == 0 ? configuration : null;
    }

    private sealed class Reader(string file, SectionReader root)
    {
        private static readonly IdentityKind[] Callers = [IdentityKind.Service, IdentityKind.Workload, IdentityKind.User, IdentityKind.Operator];

        private readonly string folder = Path.GetDirectoryName(Path.GetFullPath(file))!;

        // Identities need a cluster to be parsed in; without one, this stands in so that their own mistakes are found too.
        private string cluster = "unknown";

        public FlorConfiguration Read()
        {
            root.Number("version", 1, 1, "write version: 1");
            cluster = root.Value<string>("cluster", "write the cluster's name, as in cluster: home", (string text, out string? value, out string? error) =>
            {
                value = text;
                var ok = SpiffeId.TryParse($"spiffe://{text}/vertex/a", out _, out error);
                if (!ok) error = $"'{SectionReader.Short(text)}' is no cluster's name; write 1 to 63 of a-z, 0-9 and '-', as in home";
                return ok;
            }) ?? cluster;
            var vertex = Name(root, "vertex", IdentityKind.Vertex, "write this node's vertex, as in vertex: a");
            var (identities, bundle) = (FilePath(root, "identities", "identities"), FilePath(root, "bundle", "bundle.pem"));
            var (bounds, state) = (FilePath(root, "bounds", "bounds.signed"), FilePath(root, "state", "state"));
            var control = SocketPath(root, "control", "run/flor.sock");
            var udp = Links();
            var inbounds = Entries("inbounds").Select(Inbound).ToArray();
            var outbounds = Entries("outbounds").Select(Outbound).ToArray();
            var portals = Entries("portals").Select(PortalSocket).ToArray();
            var metrics = root.Value<IPEndPoint>("metrics", null, Parsers.LoopbackEndPoint);
            root.Finish();
            Conflicts(vertex, udp, inbounds, outbounds, portals, control, metrics);
            // Whatever is null here has a problem, and then nobody uses the result.
            return new FlorConfiguration
            {
                File = Path.GetFullPath(file),
                Cluster = cluster,
                Vertex = vertex!,
                IdentitiesFolder = identities!,
                BundleFile = bundle!,
                BoundsFile = bounds!,
                StateFolder = state!,
                ControlSocket = control!,
                Udp = udp,
                Inbounds = inbounds!,
                Outbounds = outbounds!,
                Portals = portals!,
                Metrics = metrics,
            };
        }

        private IEnumerable<SectionReader> Entries(string key)
        {
            var entries = root.Sections(key).ToArray();
            if (entries.Length > MaxEntries) root.Problem(key, $"it has {entries.Length} entries; at most {MaxEntries} are served");
            return entries.Take(MaxEntries);
        }

        private UdpLinksConfiguration? Links()
        {
            if (root.Section("links") is not { } links) return null;
            var udp = links.Section("udp");
            links.Finish();
            if (udp is null) return null;
            var listen = udp.Value<IPEndPoint>("listen", "write the UDP address of this node, as in listen: 0.0.0.0:7431", Parsers.EndPoint);
            var neighbours = udp.Sections("neighbours").ToArray();
            if (neighbours.Length > MaxEntries) udp.Problem("neighbours", $"it has {neighbours.Length} entries; at most {MaxEntries} are served");
            var read = neighbours.Take(MaxEntries).Select(Neighbour).ToArray();
            foreach (var twice in read.OfType<NeighbourConfiguration>().GroupBy(n => n.Vertex).Where(g => g.Key is not null && g.Count() > 1))
            {
                udp.Problem("neighbours", $"{twice.Key.Name} is listed {twice.Count()} times; list it once, with all its addresses");
            }
            var join = udp.Flag("join") ?? false;
            udp.Finish();
            return new UdpLinksConfiguration(listen!, read, join);
        }

        private NeighbourConfiguration Neighbour(SectionReader section)
        {
            var vertex = Name(section, "vertex", IdentityKind.Vertex, "write the neighbour's vertex, as in vertex: b");
            var addresses = new List<string>();
            foreach (var (node, path) in section.List("addresses"))
            {
                if (section.Scalar(node, path, "write it as in 10.0.1.2:7431") is not { } text) continue;
                if (Parsers.Target(text, out _, out var error)) addresses.Add(text);
                else section.Problem("addresses", error!);
            }
            var capacity = (long?)section.Value<object>("capacity", null, Parsers.Bandwidth);
            section.Finish();
            return new NeighbourConfiguration(vertex!, addresses, capacity);
        }

        private InboundConfiguration Inbound(SectionReader section)
        {
            var (isProxy, isForward) = (section.Has("proxy"), section.Has("forward"));
            if (isProxy == isForward)
            {
                section.Problem(isForward ? "forward" : "proxy", isProxy
                    ? "an inbound is either a proxy or a forward; make two of it"
                    : "it is missing; write proxy: ADDRESS:PORT, or forward: ADDRESS:PORT with to: NAME");
            }
            var key = isForward ? "forward" : "proxy";
            var listen = isProxy || isForward
                ? section.Value<IPEndPoint>(key, "write an address, as in 127.0.0.1:1080", Parsers.EndPoint)
                : null;
            var caller = Identity(section, "as", Callers, "write whom its clients act as, as in as: user/alice");
            var credentials = CredentialsOf(section, isForward);
            ForwardConfiguration? forward = null;
            if (isForward)
            {
                var target = section.Value<SpiffeId>("to", "write where it leads, as in to: db.rete", Target);
                var instance = Name(section, "instance", IdentityKind.Vertex, null);
                var trafficClass = (TrafficClass?)section.Value<object>("class", null, Parsers.TrafficClassOf) ?? TrafficClass.Bulk;
                forward = new ForwardConfiguration(target!, instance, trafficClass);
            }
            section.Finish();
            return new InboundConfiguration(section.Line, listen!, caller!, credentials, forward);
        }

        // Design.md §4: a TCP inbound acts as its identity for whoever can open it.
        private CredentialsConfiguration? CredentialsOf(SectionReader section, bool isForward)
        {
            var shared = section.Flag("sharedByThisMachine");
            var isGiven = section.Has("credentials");
            CredentialsConfiguration? credentials = null;
            if (section.Section("credentials") is { } given)
            {
                var user = given.Text("user", "write the user's name, as in user: alice");
                if (user is not null && Encoding.UTF8.GetByteCount(user) > 255) given.Problem("user", "it is longer than the 255 bytes that SOCKS carries (RFC 1929); use a shorter one");
                if (user is not null && user.Contains(':', StringComparison.Ordinal)) given.Problem("user", "it has a ':', which HTTP's Basic scheme cannot carry (RFC 7617); use another");
                var passwordFile = given.Text("passwordFile", "write the path of a file whose first line is the password");
                given.Finish();
                credentials = new CredentialsConfiguration(user!, passwordFile is null ? null! : Parsers.Path(folder, passwordFile));
            }
            if (isGiven && isForward) section.Problem("credentials", "a forward passes bytes as they are and cannot ask for a password; write sharedByThisMachine: true, or make it a proxy");
            if (isGiven && shared == true) section.Problem("sharedByThisMachine", "it contradicts credentials; keep one of the two");
            if (!isGiven && shared != true)
            {
                section.Problem("sharedByThisMachine", isForward
                    ? "every program of this machine can open this port and act as its identity; if that is meant, write sharedByThisMachine: true"
                    : "every program of this machine can open this port and act as its identity; write credentials: {user: NAME, passwordFile: FILE}, or sharedByThisMachine: true if that is meant");
            }
            return credentials;
        }

        private OutboundConfiguration Outbound(SectionReader section)
        {
            var service = Name(section, "service", IdentityKind.Service, "write what it publishes, as in service: hello");
            var target = section.Value<EndPoint>("tcp", "write the program's address, as in tcp: 127.0.0.1:8080", Parsers.Target);
            section.Finish();
            return new OutboundConfiguration(section.Line, service!, target!);
        }

        private PortalSocketConfiguration PortalSocket(SectionReader section)
        {
            // Coordinators and path computation speak with their vertex as their node.
            var identity = Identity(section, "identity", [.. Callers, IdentityKind.Node], "write whom the program acts as, as in identity: service/hello");
            var socket = SocketPath(section, "socket", "run/hello.portal");
            var owner = section.Text("owner", "write the system user who may open it, as in owner: root");
            section.Finish();
            return new PortalSocketConfiguration(section.Line, identity!, socket!, owner!);
        }

        private void Conflicts(
            SpiffeId? vertex, UdpLinksConfiguration? udp, InboundConfiguration[] inbounds, OutboundConfiguration[] outbounds,
            PortalSocketConfiguration[] portals, string? control, IPEndPoint? metrics)
        {
            if (vertex is not null && udp is not null && udp.Neighbours.Any(neighbour => neighbour.Vertex == vertex))
            {
                root.Problem("vertex", $"'{vertex.Name}' is also listed as its own neighbour; remove it from links.udp.neighbours");
            }
            var listening = inbounds.Where(inbound => inbound.Listen is { Port: > 0 }).Select(inbound => inbound.Listen);
            foreach (var address in Repeated(listening.Concat(metrics is { Port: > 0 } ? [metrics] : [])))
            {
                root.Problem("inbounds", $"{address} is listened on twice (inbounds, metrics); use another port");
            }
            foreach (var service in Repeated(outbounds.Select(outbound => outbound.Service)))
            {
                root.Problem("outbounds", $"{service.Path} is published twice; keep one");
            }
            foreach (var path in Repeated(portals.Select(portal => portal.Socket).Append(control)))
            {
                root.Problem("portals", $"the socket {path} is used twice (portals, control); give each its own path");
            }
            foreach (var identity in Repeated(portals.Select(portal => portal.Identity)))
            {
                root.Problem("portals", $"{identity.Path} has two sockets; keep one");
            }
        }

        private static IEnumerable<T> Repeated<T>(IEnumerable<T?> values)
            where T : class => values.OfType<T>().GroupBy(value => value).Where(group => group.Count() > 1).Select(group => group.Key);

        private string? FilePath(SectionReader section, string key, string example) =>
            section.Text(key, $"write a path, as in {key}: {example}") is { } text ? Parsers.Path(folder, text) : null;

        private string? SocketPath(SectionReader section, string key, string example)
        {
            if (FilePath(section, key, example) is not { } path) return null;
            if (Parsers.SocketPathProblem(path) is { } problem) section.Problem(key, problem);
            return path;
        }

        private SpiffeId? Name(SectionReader section, string key, IdentityKind kind, string? remedy) =>
            section.Value<SpiffeId>(key, remedy, (string text, out SpiffeId? id, out string? error) =>
            {
                if (SpiffeId.TryParse($"spiffe://{cluster}/{kind.Word()}/{text}", out id, out error)) return true;
                error = $"'{SectionReader.Short(text)}' is no name of a {kind.Word()}; write 1 to 63 of a-z, 0-9 and '-'";
                return false;
            });

        private SpiffeId? Identity(SectionReader section, string key, IdentityKind[] kinds, string remedy) =>
            section.Value<SpiffeId>(key, remedy, (string text, out SpiffeId? id, out string? error) =>
            {
                if (!IdentityKinds.TryParsePath(SectionReader.Short(text), cluster, out id, out error)) return false;
                if (kinds.Contains(id.Kind)) return true;
                error = $"'{text}' is a {id.Kind.Word()}, and programs act as services, workloads or users; {remedy}";
                return false;
            });

        private bool Target(string text, out SpiffeId? id, out string? error) => text.Contains('/', StringComparison.Ordinal)
            ? IdentityKinds.TryParsePath(SectionReader.Short(text), cluster, out id, out error)
            : MeshName.TryParse(text, cluster, out id, out error);
    }
}
