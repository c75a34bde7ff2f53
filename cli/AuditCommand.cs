using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Florete.Audit;
using Florete.Portals;
using Florete.PortalSocket;
using Florete.Storage.Client;

namespace Florete.Cli;

/// <summary><c>florctl audit</c>: the audit trail of the whole cluster, as any replica of the storage has it.</summary>
internal static class AuditCommand
{
    public static Command Create()
    {
        var portal = StoreCommand.PortalOption();
        var node = new Option<string?>("--node") { Description = "Only what happened there.", HelpName = "NODE", CustomParser = CommonOptions.Parse<string?>(CommonOptions.TryParseName) };
        var kind = new Option<string?>("--kind") { Description = "Only of this kind: join, issue, renew, refusal, revocation, refusedHandshake, refusedLink, refusedCaller, refusedRecord, refusedPublication, refusedDecision, refusedDocument.", HelpName = "KIND" };
        var since = new Option<TimeSpan?>("--since")
        {
            Description = "Only what is not older: 30m, 24h, 7d.",
            HelpName = "TIME",
            CustomParser = CommonOptions.Parse<TimeSpan?>(static (string text, out TimeSpan? life, out string? error) =>
            {
                var isLife = CommonOptions.TryParseLife(text, out var parsed, out error);
                life = parsed;
                return isLife;
            }),
        };
        var follow = new Option<bool>("--follow", "-f") { Description = "Goes on with what comes, until Ctrl-C." };
        var output = StoreCommand.OutputOption();
        var audit = new Command("audit", "Shows who joined, what was issued, revoked and refused, on all nodes: time, node, kind, subject, by whom.") { portal, node, kind, since, follow, output };
        audit.SetAction(async (parsed, cancellationToken) =>
        {
            var from = since is null || parsed.GetValue(since) is not { } age ? DateTimeOffset.MinValue : DateTimeOffset.UtcNow - age;
            var wanted = new Wanted(parsed.GetValue(node), parsed.GetValue(kind), from);
            var isJson = parsed.GetValue(output) == "json";
            var socket = new PortalSocketClient(StoreCommand.FindPortal(parsed.GetValue(portal)));
            using var storage = new StorageClient(socket);
            try
            {
                if (parsed.GetValue(follow)) await FollowAsync(storage, wanted, isJson, cancellationToken);
                else await ShowAsync(storage, wanted, isJson, cancellationToken);
                return 0;
            }
            catch (StorageClientException e)
            {
                throw new CliException(e.Message, e.Error == StorageError.Forbidden
                    ? "Add who asks to read of collection audit under store, and to the callers of service/storage under connect; raise the version, and sign again."
                    : $"The portal socket is {socket.Path}; 'flor status' says what its node can reach.");
            }
            catch (PortalException e)
            {
                throw new CliException(e.Message);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return 0;
            }
        });
        return audit;
    }

    private static async Task ShowAsync(StorageClient storage, Wanted wanted, bool isJson, CancellationToken cancellationToken)
    {
        var events = new List<AuditEvent>();
        await foreach (var document in storage.ListAsync(AuditCollection.Name, wanted.Prefix, cancellationToken)) events.AddRange(wanted.Of(document));
        if (events.Count == 0 && !isJson) await Console.Error.WriteLineAsync("Nothing in the audit trail is of that kind.");
        foreach (var e in events.OrderBy(static e => e.Time)) Print(e, isJson);
    }

    private static async Task FollowAsync(StorageClient storage, Wanted wanted, bool isJson, CancellationToken cancellationToken)
    {
        await foreach (var change in storage.WatchAsync(AuditCollection.Name, wanted.Prefix, cancellationToken))
        {
            if (change.Kind != StorageChangeKind.Put || change.Document is not { } document) continue;
            foreach (var e in wanted.Of(document)) Print(e, isJson);
        }
    }

    private static void Print(AuditEvent e, bool isJson)
    {
        if (isJson)
        {
            Console.WriteLine(JsonSerializer.Serialize(e, AuditJson.Default.AuditEvent));
            return;
        }
        var by = e.By is null ? "" : $" by {e.By}";
        var more = e.Suppressed is null ? "" : string.Create(CultureInfo.InvariantCulture, $" (and {e.Suppressed} more like it)");
        // What a stranger made of it must not move the cursor.
        var line = string.Create(CultureInfo.InvariantCulture, $"{e.Time:yyyy-MM-dd HH:mm:ss.fff}Z  {e.Node,-8} {e.Kind,-16} {e.Subject ?? "-"}{by}: {e.Detail}{more}");
        Console.WriteLine(string.Concat(line.Select(static c => char.IsControl(c) ? ' ' : c)));
    }

    private sealed record Wanted(string? Node, string? Kind, DateTimeOffset Since)
    {
        public string Prefix => Node is null ? "" : AuditCollection.PrefixOf(Node);

        public IEnumerable<AuditEvent> Of(StorageDocument document) => AuditCollection.TryRead(document, out var events)
            ? events.Where(e => e.Time >= Since && (Kind is null || string.Equals(e.Kind, Kind, StringComparison.OrdinalIgnoreCase)))
            : [];
    }
}
