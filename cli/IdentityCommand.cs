using System.CommandLine;
using Florete.Identities;

namespace Florete.Cli;

/// <summary><c>florctl identity issue</c></summary>
internal static class IdentityCommand
{
    public static Command Create()
    {
        var identity = new Argument<string>("KIND/NAME") { Description = "The identity, as in service/hello." };
        var nodeFolder = new Option<string>("--node-dir") { Description = "The node's folder.", Required = true };
        var folder = new Option<string?>("--dir")
        {
            Description = "The operator's folder; unless told, the nearest one above the node's folder, or the current one.",
        };
        var life = CommonOptions.Life(CertificateAuthority.DefaultLifetime);
        var json = CommonOptions.Json();
        var issue = new Command("issue", "Issues an identity into a node's folder, or renews it there; a running flor picks it up.")
        {
            identity, nodeFolder, folder, life, json,
        };
        issue.SetAction(parsed =>
        {
            var node = parsed.GetValue(nodeFolder)!;
            if (!File.Exists(Path.Combine(node, "flor.yaml")))
            {
                throw new CliException($"{node} is not a node's folder: it has no flor.yaml.", "Make it with: florctl node add");
            }
            using var from = OperatorFolder.Open(parsed.GetValue(folder) ?? Above(node) ?? ".");
            if (!IdentityKinds.TryParsePath(parsed.GetRequiredValue(identity), from.Cluster, out var id, out var error))
            {
                throw new CliException(error, "Kinds: node, vertex, service, workload, user.");
            }
            if (id.Kind == IdentityKind.Operator) throw new CliException($"{id} would let a node sign bounds.", "Keep operators' keys in the operator's folder.");
            var bundle = Path.Combine(node, "bundle.pem");
            if (!OperatorFolder.Trusts(bundle, from.Authority))
            {
                throw new CliException($"{bundle} does not trust the root in {Path.GetFullPath(from.Path)}: the node is of another cluster '{from.Cluster}'.", "Name the operator's folder that made the node with --dir.");
            }
            NodeFolder.Issue(node, [id], from, parsed.GetValue(life));
            var written = SvidFiles.Read(SvidFiles.CertificatePath(NodeFolder.IdentitiesFolder(node), id));
            if (parsed.GetValue(json)) CommonOptions.PrintJson(new { Id = id.ToString(), written.NotBefore, written.NotAfter });
            else Console.WriteLine($"{id} is valid until {written.NotAfter:u}.");
            return 0;
        });
        return new Command("identity", "Issue identities.") { issue };
    }

    private static string? Above(string folder)
    {
        for (var at = new DirectoryInfo(folder); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, "root.key"))) return at.FullName;
        }
        return null;
    }
}
