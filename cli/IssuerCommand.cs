using System.CommandLine;
using Florete.Identities;

namespace Florete.Cli;

/// <summary><c>florctl issuer enable</c></summary>
internal static class IssuerCommand
{
    public static Command Create()
    {
        var node = new Argument<string>("NODE-FOLDER") { Description = "The folder of the node that is to be the issuer." };
        var (folder, json) = (CommonOptions.OperatorFolder(), CommonOptions.Json());
        var enable = new Command("enable", "Copies the root and its key to a node, whose florete-identity then lets new nodes join and renews the others.") { node, folder, json };
        enable.SetAction(parsed =>
        {
            using var from = OperatorFolder.Open(parsed.GetValue(folder)!);
            var target = parsed.GetRequiredValue(node);
            var (name, issuer) = Enable(from, target);
            if (parsed.GetValue(json)) CommonOptions.PrintJson(new { Issuer = $"vertex/{name}", Folder = issuer });
            else
            {
                Console.WriteLine($"Node {name} is an issuer: it has the root's key, in {issuer}. Who reads that file is the cluster; keep the node safe.");
                Console.WriteLine("Next: start florete-identity there anew, and: florctl token create --node NAME --via HOST:PORT");
            }
            return 0;
        });
        return new Command("issuer", "Choose who lets new nodes join.") { enable };
    }

    /// <summary>Makes a node the issuer; the node's name, and where the root's key is from now on.</summary>
    /// <exception cref="CliException">It is no node of this operator's.</exception>
    public static (string Node, string Folder) Enable(OperatorFolder from, string target)
    {
        if (!File.Exists(NodeAuthority.CertificatePath(target)))
        {
            throw new CliException($"{target} is not a node's folder: it has no {Path.GetFileName(NodeAuthority.CertificatePath(target))}.", "Make it with: florctl node add");
        }
        using var authority = NodeAuthority.Load(target);
        var bundle = Path.Combine(target, "bundle.pem");
        if (!OperatorFolder.Trusts(bundle, from.Authority)) throw new CliException($"{bundle} does not trust the root in {Path.GetFullPath(from.Path)}.", "Name the operator's folder that made the node with --dir.");
        // The place is the identity service's (docs/protocols/join.md); only its owner reads it.
        var issuer = Path.Combine(target, "state", "identity", "issuer");
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(issuer);
        else Directory.CreateDirectory(issuer, AtomicFile.OwnerOnlyFolder);
        from.Authority.Save(Path.Combine(issuer, "root.pem"), Path.Combine(issuer, "root.key"));
        return (authority.Node.Name, issuer);
    }
}
