using System.CommandLine;

namespace Florete.Cli;

/// <summary><c>florctl cluster init</c></summary>
internal static class ClusterCommand
{
    public static Command Create()
    {
        var name = new Argument<string>("NAME")
        {
            Description = "The cluster's name, the last part but one of its names: hello.NAME.rete.",
            CustomParser = CommonOptions.Parse<string>(CommonOptions.TryParseName),
        };
        var folder = new Option<string?>("--dir") { Description = "The folder to make; NAME unless told." };
        var json = CommonOptions.Json();
        var init = new Command("init", "Makes a cluster: the root, the operator's SVID, the bundle, the first bounds.") { name, folder, json };
        init.SetAction(parsed =>
        {
            var cluster = parsed.GetRequiredValue(name);
            using var made = OperatorFolder.Create(parsed.GetValue(folder) ?? cluster, cluster, FirstBounds(cluster));
            made.SignBounds();
            if (parsed.GetValue(json))
            {
                CommonOptions.PrintJson(new { Cluster = cluster, Folder = Path.GetFullPath(made.Path), Root = made.Authority.ClusterIdentity.RootHash });
                return 0;
            }
            Console.WriteLine($"Cluster {made.Authority.ClusterIdentity} is in {made.Path}.");
            Console.WriteLine($"  root.key signs everything: keep {made.Path} on a machine that you trust, and a copy offline.");
            Console.WriteLine("Next:");
            Console.WriteLine($"  cd {made.Path}");
            Console.WriteLine("  florctl node add a --listen 0.0.0.0:7431 --services $USER --allow");
            Console.WriteLine("  florctl node add b --link a=<address of a>:7431 --outbound hello=127.0.0.1:8080 --services $USER --allow");
            Console.WriteLine("  or let machines join by themselves: florctl issuer enable nodes/a, florctl token create --node c --via a=<address of a>:7431 --allow");
            Console.WriteLine("  then say in bounds.yaml who may connect, raise its version, and: florctl bounds sign bounds.yaml");
            return 0;
        });
        return new Command("cluster", "Make clusters.") { init };
    }

    private static string FirstBounds(string cluster) => $$"""
        # What is allowed in cluster {{cluster}}; everything else is refused. Nodes obey it once it is signed:
        #   florctl bounds validate bounds.yaml
        #   florctl bounds sign bounds.yaml
        # Raise the version with every change: nodes refuse an older one, and another text of the same version.
        version: 1
        cluster: {{cluster}}

        # Which vertices may form links, in either direction. '*' is any.
        #   - between: [a, b]
        links: []

        # Which node may hold which identities: publish services, act as users. '*' is any.
        #   - node: b
        #     identities: [service/hello, 'workload/*']
        hosts:
          # Every node may have a replica of the storage.
          - {node: '*', identities: [service/storage]}
          # Every node renews what it holds; the one with the root's key lets new ones join.
          - {node: '*', identities: [service/identity]}
          # Its agent asks what it runs for its health.
          - {node: '*', identities: [service/agent]}
          # And works for its group: computes paths, coordinates.
          - {node: '*', identities: [service/ncs, service/coordinator]}

        # Which nodes may have the coordinator of the group that they are in, '*' being every node. Better those that stay than laptops.
        coordinate: ['*']

        # Who may connect to whom.
        #   - from: [user/alice, 'workload/*']
        #     to: [service/hello, service/storage]
        connect:
          # Replicas exchange what they have.
          - {from: [service/storage], to: [service/storage]}
          # Nodes carry the requests of those who join, and ask for themselves.
          - {from: ['node/*', service/identity], to: [service/identity]}
          - {from: [service/agent], to: [service/identity, service/storage, service/ncs, service/coordinator]}
          # The coordinator reads which paths are wanted, and has them computed.
          - {from: [service/coordinator], to: [service/storage, service/ncs]}
          - {from: [service/ncs], to: [service/coordinator]}
          # They write the audit trail.
          - {from: [service/identity], to: [service/storage]}

        # Who may read and write which collections of the storage, '*' being all; until ends the writing of a rule, by the time stamped into
        # what is written. Nobody may without a rule, operators included: their keys sign what is allowed, and do not belong on nodes.
        #   - {collection: notes, read: [user/alice, user/bob], write: [user/alice], until: 2026-12-31T00:00:00Z}
        store:
          - {collection: paths, read: [service/coordinator]}
          # florctl audit: add who may read it.
          - {collection: audit, read: [service/identity], write: [service/identity]}

        """;
}
