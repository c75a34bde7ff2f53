using System.CommandLine;
using System.Text.Json.Nodes;
using Florete.Identities;
using Florete.Layers;

namespace Florete.Cli;

/// <summary><c>florctl revoke</c></summary>
internal static class RevokeCommand
{
    private static readonly RevocationReason[] Reasons = Enum.GetValues<RevocationReason>();

    public static Command Create()
    {
        var identity = new Argument<string>("ID") { Description = "Whom: user/alice, service/hello, hello.rete; node/b or vertex/b: the whole node b." };
        var folder = new Option<string>("--dir", "--operator") { Description = "The operator's folder, made by 'florctl cluster init'.", DefaultValueFactory = _ => "." };
        var reason = new Option<RevocationReason>("--reason")
        {
            Description = $"{string.Join(", ", Reasons.Select(Revocation.Word))}.",
            CustomParser = CommonOptions.Parse<RevocationReason>(TryParseReason),
        };
        var note = new Option<string>("--note") { Description = "Why, in words: seen by every node.", DefaultValueFactory = _ => "" };
        var keep = new Option<TimeSpan?>("--keep")
        {
            Description = "How long every node must remember: no SVID of it that exists lives longer. Unless told, as long as the root. 30m, 24h, 30d.",
            CustomParser = CommonOptions.Parse<TimeSpan?>(static (string text, out TimeSpan? life, out string? error) =>
            {
                var isLife = CommonOptions.TryParseLife(text, out var parsed, out error);
                life = parsed;
                return isLife;
            }),
        };
        var output = new Option<string?>("--out") { Description = "Writes the signed revocation to a file instead, for 'flor announce' at a node.", HelpName = "FILE" };
        var control = Control();
        var force = new Option<bool>("--force") { Description = "Revokes also what the operator's folder does not know." };
        var json = CommonOptions.Json();
        var revoke = new Command("revoke", "Makes the SVIDs of an identity worthless at every node that can be reached, and at the others when they return.")
        {
            identity, folder, reason, note, keep, output, control, force, json,
        };
        revoke.SetAction(async parsed =>
        {
            using var from = OperatorFolder.Open(parsed.GetRequiredValue(folder));
            var id = Parse(parsed.GetRequiredValue(identity), from, parsed.GetValue(force));
            var signed = Sign(from, id, parsed.GetValue(reason), parsed.GetRequiredValue(note), parsed.GetValue(keep));
            var kept = Path.GetFullPath(from.Keep(signed));
            var isNew = true;
            if (parsed.GetValue(output) is { } file) AtomicFile.Write(file, signed.Message, AtomicFile.EveryoneReads);
            else isNew = await AnnounceAsync(ControlSocket.Candidates(parsed.GetValue(control), from.Path), signed, kept);
            Print(signed.Content, parsed.GetValue(output), isNew, parsed.GetValue(json));
            return 0;
        });
        return revoke;
    }

    public static Option<string?> Control() => new("--control")
    {
        Description = "The control socket of a flor of this machine; else FLOR_CONTROL, else ./run/flor.sock, else the nodes in the operator's folder.",
        HelpName = "PATH",
    };

    private static SpiffeId Parse(string text, OperatorFolder from, bool isForced)
    {
        var cluster = from.Cluster;
        SpiffeId? id;
        string? error;
        var isKnown = text.StartsWith("spiffe://", StringComparison.Ordinal) ? SpiffeId.TryParse(text, out id, out error)
            : text.EndsWith(".rete", StringComparison.Ordinal) ? MeshName.TryParse(text, cluster, out id, out error)
            : IdentityKinds.TryParsePath(text, cluster, out id, out error);
        if (!isKnown) throw new CliException(error!, "Kinds: node, vertex, service, workload, user, operator.");
        if (id!.Cluster != cluster) throw new CliException($"{id} is of cluster '{id.Cluster}', and {Path.GetFullPath(from.Path)} is the operator's folder of '{cluster}'.", "Name the folder of its cluster with --dir.");
        var known = KnownIdentities.Of(from);
        if (!isForced && !known.Contains(id.Path)) throw new CliException($"{id.Path} is neither issued from here nor named in the bounds; {Nearest.Suggest(id.Path, known)}", "To revoke it all the same: --force");
        return id;
    }

    private static SignedRevocation Sign(OperatorFolder from, SpiffeId id, RevocationReason reason, string note, TimeSpan? keep)
    {
        var (signer, now) = (from.Signer, DateTimeOffset.UtcNow);
        if (now >= signer.NotAfter) throw new CliException($"The SVID of {signer.Id} has expired at {signer.NotAfter:u}, and it is {now:u}: nobody would believe it.", "Look at the clock of this machine; if it is right, the cluster needs a new root.");
        if (now < signer.NotBefore) throw new CliException($"The SVID of {signer.Id} begins at {signer.NotBefore:u}, and it is {now:u}.", "Set the clock of this machine.");
        // Whole seconds, as certificates have, rounded up; and after the last one, so that what was issued in between is hit as well.
        var before = DateTimeOffset.FromUnixTimeSeconds((now + Revocation.Lead).ToUnixTimeSeconds() + 1);
        var last = from.ReadRevocations().InForce.FirstOrDefault(r => r.Subject == id);
        if (last is not null && last.Before >= before) before = last.Before.AddSeconds(1);
        var rootEnd = new DateTimeOffset(from.Authority.Root.NotAfter.ToUniversalTime(), TimeSpan.Zero);
        // Longer by the grace that verifiers give, and by what two clocks may differ.
        var until = keep is { } life && now + life + (2 * PeerVerifier.ClockGrace) < rootEnd ? now + life + (2 * PeerVerifier.ClockGrace) : rootEnd;
        try
        {
            return SignedRevocation.Sign(new DirectoryOptions().Layer, new Revocation(id, before, reason, note, signer.Id, now, until), signer);
        }
        catch (ArgumentException e)
        {
            throw new CliException(e.Message, "Say it shorter, in one line: --note");
        }
    }

    private static async Task<bool> AnnounceAsync(IReadOnlyList<string> sockets, SignedRevocation signed, string kept)
    {
        var request = new JsonObject { ["version"] = 1, ["command"] = "announce", ["document"] = Convert.ToBase64String(signed.Message) };
        var answer = await ControlSocket.AskAsync(sockets, request, $"The revocation is signed. Hand it in at any node: flor announce {kept}");
        return answer.GetProperty("announced").GetProperty("isNew").GetBoolean();
    }

    private static void Print(Revocation revocation, string? file, bool isNew, bool isJson)
    {
        var id = revocation.Subject;
        if (isJson)
        {
            CommonOptions.PrintJson(new { Identity = id.ToString(), revocation.Before, Reason = Revocation.Word(revocation.Reason), revocation.NeededUntil, File = file, Announced = file is null, IsNew = isNew });
            return;
        }
        var what = revocation.IsOfNode ? $"Node {id.Name}, with everything that it issued," : id.Path;
        Console.WriteLine(file is null
            ? $"{what} is revoked: SVIDs that begin before {revocation.Before:u} are refused from now on, by every node that can be reached."
            : $"The revocation of {id.Path} is in {file}; it works once it is handed in at a node: flor announce {file}");
        var again = revocation.IsOfNode ? $"vertex/{id.Name}" : id.Path;
        if (id.Kind != IdentityKind.Operator) Console.WriteLine($"To make it good again: florctl identity issue {again} --node-dir <its node's folder>");
    }

    private static bool TryParseReason(string text, out RevocationReason reason, out string? error)
    {
        reason = Reasons.FirstOrDefault(r => Revocation.Word(r) == text);
        error = Revocation.Word(reason) == text ? null : $"'{text}' is no reason; {Nearest.Suggest(text, [.. Reasons.Select(Revocation.Word)])} Words of your own: --note";
        return error is null;
    }
}

/// <summary><c>florctl revocations</c></summary>
internal static class RevocationsCommand
{
    public static Command Create()
    {
        var folder = CommonOptions.OperatorFolder();
        var control = RevokeCommand.Control();
        var json = CommonOptions.Json();
        var list = new Command("revocations", "Lists what is revoked, as a node of this machine knows it.") { folder, control, json };
        list.SetAction(async parsed =>
        {
            var request = new JsonObject { ["version"] = 1, ["command"] = "revocations" };
            var answer = await ControlSocket.AskAsync(
                ControlSocket.Candidates(parsed.GetValue(control), parsed.GetValue(folder)), request, "Start one with 'flor run', or name its control socket with --control.");
            var all = answer.GetProperty("revocations");
            if (parsed.GetValue(json))
            {
                CommonOptions.PrintJson(all);
                return 0;
            }
            if (all.GetArrayLength() == 0) Console.WriteLine("Nothing is revoked.");
            foreach (var one in all.EnumerateArray())
            {
                var text = one.TryGetProperty("text", out var words) ? $": {words.GetString()}" : "";
                Console.WriteLine($"{one.GetProperty("identity").GetString()}  SVIDs before {one.GetProperty("before").GetDateTimeOffset():u}  {one.GetProperty("reason").GetString()}{text}  by {one.GetProperty("by").GetString()}");
            }
            return 0;
        });
        return list;
    }
}
