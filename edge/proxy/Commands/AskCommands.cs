using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using Florete.Proxy.Configuration;
using Florete.Proxy.Control;

namespace Florete.Proxy.Commands;

/// <summary>The commands that ask a running flor: status, health, trace, discover, reload, announce, revocations, events.</summary>
internal static class AskCommands
{
    private const string Usual = "./run/flor.sock";

    // People read identities and sentences with quotes and arrows in them; nothing here becomes HTML.
    private static readonly JsonWriterOptions Indented = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static IEnumerable<Command> Create()
    {
        yield return Make("status", "Shows the node: its links, ways, services, connections.", static (_, _) => new(ControlProtocol.Version, "status"), static answer => Tables.Status(answer.Status!));
        yield return Make(
            "health", "Says whether the node is fit for its work: ends with 0 if so, else with 1 and what is missing.", static (_, _) => new(ControlProtocol.Version, "health"),
            static answer => answer.Problems!.Count == 0 ? "Healthy.\n" : string.Join('\n', answer.Problems) + "\n");
        var target = new Argument<string>("name") { Description = "Whom to trace: hello.rete, service/hello, vertex/b." };
        yield return Make(
            "trace", "Shows each vertex on the way to the nearest one that publishes the name.",
            (parsed, _) => new(ControlProtocol.Version, "trace", parsed.GetRequiredValue(target)), static answer => Tables.Trace(answer.Hops!), target);
        var watch = new Option<bool>("--watch") { Description = "Goes on with every change until it is stopped." };
        yield return Make(
            "discover", "Lists what is published in the cluster.",
            (parsed, _) => new(ControlProtocol.Version, "discover", Watch: parsed.GetValue(watch)),
            static answer => answer.Change is { } change ? Tables.Change(change) : Tables.Services(answer.Services!), watch);
        yield return Make(
            "reload", "Makes the node read its configuration and files again.", static (_, _) => new(ControlProtocol.Version, "reload"),
            static answer => answer.Problems!.Count == 0 ? "The configuration is in force.\n" : string.Join('\n', answer.Problems) + "\n");
        var document = new Argument<string>("file") { Description = "What 'florctl revoke --out' wrote." };
        yield return Make(
            "announce", "Hands in a revocation that an operator has signed; it is in force here when this ends, and travels on from here.",
            (parsed, _) => new(ControlProtocol.Version, "announce", Document: ReadDocument(parsed.GetRequiredValue(document))),
            static answer => Tables.Announced(answer.Announced!), document);
        yield return Make("revocations", "Lists what is revoked.", static (_, _) => new(ControlProtocol.Version, "revocations"), static answer => Tables.Revocations(answer.Revocations!));
        var after = new Option<long>("--after") { Description = "Only those with a greater number.", HelpName = "N" };
        yield return Make(
            "events", "Shows the last refusals and revocations, a line of JSON each.",
            (parsed, _) => new(ControlProtocol.Version, "events", After: parsed.GetValue(after)), Json, after);
    }

    private static Command Make(string name, string description, Func<ParseResult, string, ControlRequest> ask, Func<ControlAnswer, string> show, params Symbol[] own)
    {
        var json = CommonOptions.Json();
        var control = new Option<string?>("--control") { Description = $"The control socket of flor; else control of --config, else FLOR_CONTROL, else {Usual}.", HelpName = "PATH" };
        var configuration = new Option<string?>("--config") { Description = "The node's configuration, which names the control socket.", HelpName = "FILE" };
        var command = new Command(name, description) { json, control, configuration };
        foreach (var symbol in own)
        {
            if (symbol is Option option) command.Add(option);
            else if (symbol is Argument argument) command.Add(argument);
        }
        command.SetAction(async (parsed, cancellationToken) =>
        {
            try
            {
                var path = SocketOf(parsed.GetValue(control), parsed.GetValue(configuration));
                var isDone = true;
                await foreach (var answer in ControlClient.AskAsync(path, ask(parsed, name), cancellationToken).ConfigureAwait(false))
                {
                    await Console.Out.WriteAsync(parsed.GetValue(json) ? Json(answer) : show(answer)).ConfigureAwait(false);
                    isDone &= answer.Problems is not { Count: > 0 };
                }
                return isDone ? 0 : 1;
            }
            catch (IOException e)
            {
                await Console.Error.WriteLineAsync($"flor: {e.Message}").ConfigureAwait(false);
                return 1;
            }
            catch (OperationCanceledException)
            {
                return 0;
            }
        });
        return command;
    }

    private static byte[] ReadDocument(string file)
    {
        try
        {
            var content = File.ReadAllBytes(file);
            if (content.Length is > 0 and <= Florete.Layers.SignedRevocation.MaxBytes) return content;
            throw new IOException($"{file}: it has {content.Length} bytes, and is no signed revocation; name what 'florctl revoke --out' wrote.");
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException($"{file}: it cannot be read: {e.Message}", e);
        }
    }

    private static string SocketOf(string? told, string? configuration)
    {
        if (told is not null) return Path.GetFullPath(told);
        if (configuration is null) return Path.GetFullPath(Environment.GetEnvironmentVariable("FLOR_CONTROL") is { Length: > 0 } set ? set : Usual);
        if (ConfigurationFile.Load(configuration, out var problems) is { } read) return read.ControlSocket;
        throw new IOException(string.Join('\n', problems));
    }

    // The one result itself; a change is one line, for programs that read lines.
    private static string Json(ControlAnswer answer)
    {
        using var whole = JsonSerializer.SerializeToDocument(answer, ControlJson.Default.ControlAnswer);
        var result = whole.RootElement.EnumerateObject().FirstOrDefault(static property => property.Name != "version").Value;
        // The end of a list of which each part was an answer.
        if (result.ValueKind == JsonValueKind.Undefined) return "";
        using var memory = new MemoryStream();
        using (var writer = new Utf8JsonWriter(memory, Indented with { Indented = answer.Change is null && answer.Event is null })) result.WriteTo(writer);
        return System.Text.Encoding.UTF8.GetString(memory.ToArray()) + "\n";
    }
}
