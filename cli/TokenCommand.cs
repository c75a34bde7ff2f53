using System.CommandLine;
using Florete.Identities;

namespace Florete.Cli;

/// <summary><c>florctl token create</c></summary>
internal static class TokenCommand
{
    public static Command Create()
    {
        var node = new Option<string>("--node") { Description = "The new node's name.", Required = true, CustomParser = CommonOptions.Parse<string>(CommonOptions.TryParseName) };
        var via = new Option<JoinContact[]>("--via")
        {
            Description = "A node that lets others join, and where, [NODE=]HOST:PORT; the new node gets a link to it. May be repeated, up to 8 times.",
            Required = true,
            CustomParser = CommonOptions.ParseMany<JoinContact>(TryParseContact),
        };
        var issuer = new Option<string?>("--issuer")
        {
            Description = "The node with the root's key; unless told, the one among nodes/ for which it was enabled.",
            CustomParser = CommonOptions.Parse<string>(CommonOptions.TryParseName),
        };
        var identity = new Option<string[]>("--identity") { Description = "What else the node holds, KIND/NAME; needs --allow. May be repeated." };
        var life = new Option<TimeSpan>("--ttl")
        {
            Description = "How long the token can be used: 30s, 90m, 24h, 30d.",
            DefaultValueFactory = _ => JoinToken.DefaultLifetime,
            CustomParser = CommonOptions.Parse<TimeSpan>(CommonOptions.TryParseLife),
        };
        var allow = new Option<bool>("--allow") { Description = "Add rules for its links and identities to bounds.yaml, raise its version, sign." };
        var (folder, json) = (CommonOptions.OperatorFolder(), CommonOptions.Json());
        var create = new Command("create", "Makes the token with which one new machine joins, once.") { node, via, issuer, identity, life, allow, folder, json };
        create.SetAction(parsed =>
        {
            using var from = OperatorFolder.Open(parsed.GetValue(folder)!);
            var contacts = parsed.GetRequiredValue(via);
            if (contacts.Length > JoinToken.MaxContacts) throw new CliException($"There are {contacts.Length} contacts; a token has at most {JoinToken.MaxContacts}.", "Leave some out.");
            if (parsed.GetValue(life) > JoinToken.MaxLifetime) throw new CliException($"A token lives at most {JoinToken.MaxLifetime.TotalDays:0} days.", "Say less with --ttl.");
            var held = (parsed.GetValue(identity) ?? []).Select(path => Identity(path, from.Cluster)).ToArray();
            if (held.Length > 0 && !parsed.GetValue(allow)) throw new CliException("What a node holds is said by the bounds.", "Use --identity with --allow, or add rules under hosts by hand.");
            return Make(from, parsed.GetRequiredValue(node), contacts, parsed.GetValue(issuer) ?? EnabledIssuer(from), held, parsed.GetValue(life), parsed.GetValue(allow), parsed.GetValue(json));
        });
        return new Command("token", "Let new machines join.") { create };
    }

    private static int Make(
        OperatorFolder from, string node, JoinContact[] contacts, string issuer, SpiffeId[] held, TimeSpan life, bool allow, bool json)
    {
        var known = contacts.Select(contact => contact.Vertex).OfType<string>().Distinct().ToArray();
        IReadOnlyList<string> signed = [];
        if (allow)
        {
            var editor = new BoundsEditor(from.BoundsFile);
            foreach (var neighbour in known) editor.AllowLink(node, neighbour);
            editor.AllowHosting(node, held);
            editor.Save();
            signed = from.SignBounds();
        }
        var bundle = TrustBundle.Load(from.BundleFile);
        var token = JoinToken.Create(bundle.ClusterIdentity, issuer, node, contacts, DateTimeOffset.UtcNow + life, from.Signer);
        var bounds = new Bounds(BoundsDocument.Load(from.BoundsFile));
        SpiffeId Vertex(string name) => SpiffeId.Of(from.Cluster, IdentityKind.Vertex, name);
        var missing = known.Select(neighbour => bounds.MayLink(Vertex(node), Vertex(neighbour))).Where(verdict => !verdict.IsAllowed).Select(verdict => verdict.Refusal!).ToArray();
        if (json)
        {
            CommonOptions.PrintJson(new { Token = token.Text, Node = node, Issuer = issuer, token.Expiry, BoundsVersion = bounds.Current.Version, Missing = missing });
            return 0;
        }
        // The token alone on standard output, so that it can be piped; what is said about it, beside it.
        Console.WriteLine(token.Text);
        Console.Error.WriteLine($"For node {node}, once, until {token.Expiry:u}; a secret until then. On the new machine:");
        Console.Error.WriteLine("  florete-agent join TOKEN --folder DIR");
        if (signed.Count > 0) Console.Error.WriteLine($"Bounds version {bounds.Current.Version} are signed; nodes that run elsewhere need the new {signed[0]} too.");
        foreach (var refusal in missing) Console.Error.WriteLine($"Missing: {refusal}");
        if (contacts.Any(contact => contact.Vertex is null)) Console.Error.WriteLine("Missing, perhaps: a rule that lets it form a link to a contact without a name; write --via NODE=HOST:PORT with --allow, or add it under links.");
        return 0;
    }

    private static string EnabledIssuer(OperatorFolder from)
    {
        var found = !Directory.Exists(from.NodesFolder) ? [] : Directory.GetDirectories(from.NodesFolder)
            .Where(folder => File.Exists(Path.Combine(folder, "state", "identity", "issuer", "root.key"))).Select(folder => Path.GetFileName(folder)!).Order().ToArray();
        return found.Length switch
        {
            1 => found[0],
            0 => throw new CliException("No node in nodes/ has the root's key.", "Enable one (florctl issuer enable NODE-FOLDER), or name it with --issuer."),
            _ => throw new CliException($"Several nodes have the root's key: {string.Join(", ", found)}.", "Name the one that redeems the token with --issuer."),
        };
    }

    private static SpiffeId Identity(string path, string cluster) => IdentityKinds.TryParsePath(path, cluster, out var id, out var error)
        ? id
        : throw new CliException(error, "Kinds that a node can hold: service, workload, user.");

    private static bool TryParseContact(string text, out JoinContact? contact, out string? error)
    {
        var equals = text.IndexOf('=', StringComparison.Ordinal);
        var (name, address) = equals < 0 ? (null, text) : (text[..equals], text[(equals + 1)..]);
        contact = new JoinContact(name, address);
        if (name is not null && !CommonOptions.TryParseName(name, out _, out error)) return false;
        return CommonOptions.TryParseEndpoint(address, out _, out error);
    }
}
