using System.CommandLine;
using Florete.Configuration;
using Florete.Identities;

namespace Florete.Cli;

/// <summary><c>florctl node add</c></summary>
internal static class NodeCommand
{
    // For nodes without florete-identity, which renews them: the operator does it then, and not daily.
    private static readonly TimeSpan UsualLife = TimeSpan.FromDays(30);

    public static Command Create()
    {
        var node = new Argument<string>("NODE")
        {
            Description = "The node's name, and its vertex's.",
            CustomParser = CommonOptions.Parse<string>(CommonOptions.TryParseName),
        };
        var listen = new Option<string>("--listen")
        {
            Description = "UDP address of its links, ADDRESS:PORT.",
            DefaultValueFactory = _ => "0.0.0.0:7431",
            CustomParser = CommonOptions.Parse<string>(CommonOptions.TryParseListener),
        };
        var link = new Option<(string Left, string Right)[]>("--link")
        {
            Description = "A neighbour and where it is dialled, OTHER=HOST:PORT, or OTHER alone if it dials. May be repeated.",
            CustomParser = CommonOptions.ParseMany<(string, string)>(TryParseLink),
        };
        var identity = new Option<string[]>("--identity") { Description = "What else the node holds, KIND/NAME. May be repeated." };
        var outbound = new Option<(string Left, string Right)[]>("--outbound")
        {
            Description = "A service that it publishes and where its program listens, SERVICE=HOST:PORT; holds service/SERVICE. May be repeated.",
            CustomParser = CommonOptions.ParseMany<(string, string)>(TryParseOutbound),
        };
        var proxy = new Option<(string Left, string Right)[]>("--proxy")
        {
            Description = "A SOCKS and HTTP proxy for all programs of the machine, ADDRESS:PORT=KIND/NAME; holds that identity. May be repeated.",
            CustomParser = CommonOptions.ParseMany<(string, string)>(TryParseProxy),
        };
        var letJoin = new Option<bool>("--let-join") { Description = "Let strangers with a token join through it." };
        var services = new Option<string?>("--services") { Description = "Run Florete's own services there (identity, storage, ncs, coordinator), as this user of the machine.", HelpName = "USER" };
        var allow = new Option<bool>("--allow") { Description = "Add rules for its links and identities to bounds.yaml, raise its version, sign." };
        var (folder, output, life, json) = (CommonOptions.OperatorFolder(), new Option<string?>("--out") { Description = "The folder to make; nodes/NODE in the operator's folder unless told." }, CommonOptions.Life(UsualLife), CommonOptions.Json());
        var add = new Command("add", "Makes the folder that a node runs from.") { node, listen, link, identity, outbound, proxy, letJoin, services, allow, folder, output, life, json };
        add.SetAction(parsed =>
        {
            using var from = OperatorFolder.Open(parsed.GetValue(folder)!);
            var name = parsed.GetRequiredValue(node);
            var owner = parsed.GetValue(services);
            var plan = Plan(
                SpiffeId.Of(from.Cluster, IdentityKind.Vertex, name), parsed.GetValue(listen)!, parsed.GetValue(link) ?? [],
                parsed.GetValue(identity) ?? [], parsed.GetValue(outbound) ?? [], parsed.GetValue(proxy) ?? []) with
            {
                LetsJoin = parsed.GetValue(letJoin),
                ServicesOwner = owner,
                Services = owner is null ? [] : Services(from, name),
            };
            return Add(plan, from, parsed.GetValue(output) ?? Path.Combine(from.NodesFolder, name), parsed.GetValue(life), parsed.GetValue(allow), parsed.GetValue(json));
        });
        return new Command("node", "Make nodes.") { add };
    }

    // florete-identity runs wherever services do, and its rule is added with --allow; the others where the bounds want them.
    private static IReadOnlyList<SpiffeId> Services(OperatorFolder from, string node) =>
    [
        .. ControlPlane.ServicesOf(new Bounds(BoundsDocument.Load(from.BoundsFile)), SpiffeId.Of(from.Cluster, IdentityKind.Vertex, node))
            .Append(SpiffeId.Of(from.Cluster, IdentityKind.Service, "identity")).Distinct(),
    ];

    private static NodePlan Plan(
        SpiffeId vertex, string listen, (string Left, string Right)[] links, string[] identities, (string Left, string Right)[] outbounds, (string Left, string Right)[] proxies)
    {
        if (links.FirstOrDefault(entry => entry.Left == vertex.Name).Left is not null)
        {
            throw new CliException($"Node {vertex.Name} cannot have a link to itself.", "Name another node with --link.");
        }
        var services = outbounds.Select(entry => (SpiffeId.Of(vertex.Cluster, IdentityKind.Service, entry.Left), entry.Right)).ToArray();
        var inbounds = proxies.Select(entry => (entry.Left, Identity(entry.Right, vertex.Cluster))).ToArray();
        var held = identities.Select(path => Identity(path, vertex.Cluster)).Concat(services.Select(s => s.Item1)).Concat(inbounds.Select(i => i.Item2));
        var neighbours = links.GroupBy(entry => entry.Left).Select(group =>
            (group.Key, (IReadOnlyList<string>)group.Select(entry => entry.Right).Where(address => address.Length > 0).ToArray()));
        return new NodePlan(vertex, listen, neighbours.ToArray(), held.Distinct().Where(id => id != vertex).ToArray(), inbounds, services, []);
    }

    private static int Add(NodePlan plan, OperatorFolder from, string output, TimeSpan life, bool allow, bool json)
    {
        NodeFolder.CheckIsFree(output);
        using var making = NodeFolder.Begin(output, plan, from, life);
        if (allow)
        {
            var editor = new BoundsEditor(from.BoundsFile);
            foreach (var (neighbour, _) in plan.Neighbours) editor.AllowLink(plan.Vertex.Name, neighbour);
            editor.AllowHosting(plan.Vertex.Name, plan.Identities.Concat(plan.Services));
            editor.Save();
        }
        var signed = from.SignBounds();
        making.Complete();
        var bounds = new Bounds(BoundsDocument.Load(from.BoundsFile));
        var missing = plan.Neighbours.Select(n => bounds.MayLink(plan.Vertex, SpiffeId.Of(from.Cluster, IdentityKind.Vertex, n.Vertex)))
            .Concat(plan.Identities.Concat(plan.Services).Select(id => bounds.MayHost(plan.Vertex, id)))
            .Where(verdict => !verdict.IsAllowed).Select(verdict => verdict.Refusal!).ToArray();
        if (json)
        {
            CommonOptions.PrintJson(new
            {
                Vertex = plan.Vertex.ToString(),
                Folder = Path.GetFullPath(output),
                Identities = plan.All.Where(id => id != plan.Vertex).Select(id => id.ToString()),
                NotAfter = DateTimeOffset.UtcNow + life,
                BoundsVersion = bounds.Current.Version,
                Missing = missing,
            });
            return 0;
        }
        Console.WriteLine($"Node {plan.Vertex.Name} is in {output}; its SVIDs are valid for {(life.TotalDays >= 2 ? $"{life.TotalDays:0} days" : life)}.");
        Console.WriteLine($"Bounds version {bounds.Current.Version} are signed{(signed.Skip(1).Any() ? "; nodes that run elsewhere need the new bounds.signed too:" : ".")}");
        foreach (var file in signed.Skip(1)) Console.WriteLine($"  {file}");
        foreach (var refusal in missing) Console.WriteLine($"Missing: {refusal}");
        Console.WriteLine("Next: copy the folder to its machine, over ssh say (it holds private keys), and there: florete-agent run --config agent.yaml, or flor alone: flor run --config flor.yaml");
        return 0;
    }

    private static SpiffeId Identity(string path, string cluster) => IdentityKinds.TryParsePath(path, cluster, out var id, out var error)
        ? id
        : throw new CliException(error, "Kinds that a node can hold: service, workload, user.");

    internal static bool TryParseLink(string text, out (string, string) link, out string? error)
    {
        var equals = text.IndexOf('=', StringComparison.Ordinal);
        link = equals < 0 ? (text, "") : (text[..equals], text[(equals + 1)..]);
        if (!CommonOptions.TryParseName(link.Item1, out _, out error)) return false;
        return equals < 0 || CommonOptions.TryParseEndpoint(link.Item2, out _, out error);
    }

    private static bool TryParseOutbound(string text, out (string, string) outbound, out string? error)
    {
        if (TryParseLink(text, out outbound, out error) && outbound.Item2.Length > 0) return true;
        error ??= $"'{text}' is not SERVICE=HOST:PORT.";
        return false;
    }

    private static bool TryParseProxy(string text, out (string, string) proxy, out string? error)
    {
        var equals = text.IndexOf('=', StringComparison.Ordinal);
        proxy = equals < 0 ? default : (text[..equals], text[(equals + 1)..]);
        error = equals < 0 ? $"'{text}' is not ADDRESS:PORT=KIND/NAME." : null;
        if (error is not null || !CommonOptions.TryParseListener(proxy.Item1, out _, out error)) return false;
        return IdentityKinds.TryParsePath(proxy.Item2, "x", out _, out error);
    }
}
