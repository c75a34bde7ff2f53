using System.Text.Json;
using Florete.EndToEnd.Tests.Harness;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>Who joined, what was issued, revoked and refused is seen on every node.</summary>
[Trait("Lane", "2")]
public sealed class AuditTests(ITestOutputHelper output)
{
    [Fact]
    public async Task A_join_an_issue_a_refusal_and_a_revocation_anywhere_are_in_the_audit_of_every_node()
    {
        await using var lab = await Lab.OpenAsync(output);
        // Each with a replica, somebody who reads the trail, and somebody whom nobody lets write.
        var nodes = await JoinedNodes.StartWithPortalsAsync(lab, ["service/storage", "user/auditor", "user/mallory"]);
        _ = (await nodes.JoinAsync()).Succeeded();
        // What the join itself made is no issue of the service's: that makes it anew.
        foreach (var file in Directory.GetFiles(Path.Combine(nodes.C.Folder, "identities"))) File.Delete(file);
        await nodes.RunIdentityFirstAsync();
        foreach (var node in nodes.Nodes) nodes.RunStorage(node);
        // Somebody presents a token that is used up, and somebody may not write.
        var refused = await nodes.JoinAsync(Path.Combine(lab.Folder, "again"));
        Assert.Equal(1, refused.ExitCode);
        var hers = Path.Combine(lab.Folder, "hers.json");
        await File.WriteAllTextAsync(hers, "1");
        await Eventually.HoldsAsync("mallory is refused", async () =>
        {
            var put = await Command.RunAsync(null, [Programs.Florctl, "store", "put", "notes/hers", hers, "--portal", nodes.B.PortalOf("mallory")]);
            return put.Error.Contains("have no rule that lets user/mallory write", StringComparison.Ordinal);
        }, nodes.Logs);
        await nodes.FlorctlAsync("revoke", "user/carl", "--dir", nodes.OperatorFolder, "--control", nodes.A.ControlSocket);
        foreach (var node in nodes.Nodes)
        {
            await Seen(node, "join", static e => e.GetProperty("node").GetString() == "a" && Is(e, "subject", "node/c") && Is(e, "by", "node/b"));
            await Seen(node, "refusal", static e => e.GetProperty("node").GetString() == "a");
            await Seen(node, "issue", static e => e.GetProperty("node").GetString() == "c" && Is(e, "subject", "user/carl"));
            // By whichever replica was ready first.
            await Seen(node, "refusedDocument", static e => Is(e, "subject", "user/mallory"));
            foreach (var at in new[] { "a", "b", "c" }) await Seen(node, "revocation", e => e.GetProperty("node").GetString() == at && Is(e, "subject", "user/carl"));
        }

        Task Seen(Node node, string kind, Func<JsonElement, bool> which) => Eventually.HoldsAsync($"the audit of {node.Name} has it: {kind}", async () =>
        {
            var audit = (await Command.RunAsync(null, [Programs.Florctl, "audit", "--kind", kind, "-o", "json", "--portal", node.PortalOf("auditor")])).Succeeded().Output;
            return audit.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static line => JsonDocument.Parse(line).RootElement).Any(which);
        }, nodes.Logs);
    }

    private static bool Is(JsonElement e, string member, string path) =>
        e.TryGetProperty(member, out var value) && value.GetString() is { } text && (text == path || text.EndsWith("/" + path, StringComparison.Ordinal));
}
