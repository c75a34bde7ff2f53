using System.CommandLine;
using System.Globalization;
using Florete.Storage.Client;

namespace Florete.Cli;

// What is to be known of a replica.
internal static partial class StoreCommand
{
    private static Command Digest()
    {
        var digest = new Command("digest", "Prints what a replica holds in two numbers: replicas with equal ones are equal.");
        digest.Does(async (parsed, client, cancellationToken) =>
        {
            var answer = await client.DigestAsync(cancellationToken);
            if (parsed.WantsJson()) CommonOptions.PrintJson(answer);
            else Console.WriteLine($"{answer.Replica}: current {answer.Current}, superseded {answer.Superseded}; {answer.Documents} documents, {answer.Bytes} bytes, at {answer.Position}");
            return 0;
        });
        return digest;
    }

    private static Command Conflicts()
    {
        var conflicts = new Command("conflicts", "Lists versions that lost against concurrent ones, and what won.");
        conflicts.Does(async (parsed, client, cancellationToken) =>
        {
            var found = await client.ConflictsAsync(cancellationToken);
            if (parsed.WantsJson()) CommonOptions.PrintJson(found);
            else if (found.Count == 0) Console.WriteLine("No version is superseded.");
            else foreach (var conflict in found) Console.WriteLine($"{Name(conflict.Loser)}: {Who(conflict.Loser)} lost against {Who(conflict.Winner)}");
            return 0;
        });
        return conflicts;

        static string Name(VersionItem item) => $"{item.Collection}/{item.Name}{(item.Unit.Length > 0 ? $":{item.Unit}" : "")}";
        static string Who(VersionItem item) => $"{(item.Deleted ? "a deletion" : item.Version)} by {item.Author} at {item.Replica}";
    }

    private static Command Health()
    {
        var health = new Command("health", "Says whether a replica is ready, and what is missing. Ends with 1 if it is not.");
        health.Does(async (parsed, client, cancellationToken) =>
        {
            var answer = await client.HealthAsync(cancellationToken);
            if (parsed.WantsJson())
            {
                CommonOptions.PrintJson(answer);
                return answer.Ready ? 0 : 1;
            }
            Console.WriteLine($"{answer.Replica ?? "A replica"} is {(answer.Ready ? "ready" : "not ready")}.");
            foreach (var missing in answer.Missing) Console.WriteLine($"  {missing}");
            foreach (var peer in answer.Peers)
            {
                var since = peer.Since is { } at ? string.Create(CultureInfo.InvariantCulture, $"equal at {at:HH:mm:ss}Z") : "not compared yet";
                Console.WriteLine($"  replica {peer.Replica}: {peer.Problem ?? since}");
            }
            return answer.Ready ? 0 : 1;
        });
        return health;
    }
}
