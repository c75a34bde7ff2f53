using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Spectre.Console;

namespace Florete.Cli.Group;

/// <summary>One answer, for people and for programs.</summary>
internal sealed record GroupView(TextTable Table, JsonNode Json)
{
    // They change all the time, and nobody waits for that.
    private static readonly HashSet<string> Figures = ["metricMicroseconds", "lossPartsPerMillion", "capacityBitsPerSecond"];

    /// <summary>Equal at two moments: nothing has happened in between.</summary>
    public string Shape => Without(Json).ToJsonString();

    private static JsonNode Without(JsonNode node) => node switch
    {
        JsonObject one => new JsonObject(one.Where(static field => !Figures.Contains(field.Key)).Select(static field => KeyValuePair.Create(field.Key, field.Value is null ? null : Without(field.Value))!)),
        JsonArray many => new JsonArray([.. many.Select(static item => item is null ? null : Without(item))]),
        _ => node.DeepClone(),
    };
}

/// <summary>Prints an answer once, or again whenever it changes.</summary>
/// <param name="ask">Asks the node.</param>
/// <param name="isJson">As JSON.</param>
/// <param name="output">Where the answers go, if that is no terminal.</param>
/// <param name="errors">Where what is wrong goes.</param>
internal sealed class GroupDisplay(Func<CancellationToken, Task<GroupView>> ask, bool isJson, TextWriter output, TextWriter errors)
{
    // A local socket is asked, and people see nothing faster.
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    // People read names and sentences with quotes in them; nothing here becomes HTML.
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static readonly JsonSerializerOptions OneLine = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static bool IsTerminal => !Console.IsOutputRedirected;

    public async Task<int> RunAsync(bool isWatching, CancellationToken cancellationToken)
    {
        try
        {
            var first = await ask(cancellationToken);
            if (isWatching && !isJson && IsTerminal) await LiveAsync(first, cancellationToken);
            else if (isWatching) await FollowAsync(first, cancellationToken);
            else await PrintAsync(first);
            return 0;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Ctrl-C ends a watch.
            return 0;
        }
    }

    private async Task PrintAsync(GroupView view)
    {
        if (isJson) await output.WriteLineAsync(view.Json.ToJsonString(Indented));
        else if (IsTerminal) AnsiConsole.Markup(view.Table.Coloured);
        else await output.WriteAsync(view.Table.Plain);
    }

    private async Task FollowAsync(GroupView first, CancellationToken cancellationToken)
    {
        await PrintChangeAsync(first, isFirst: true);
        var (shown, said) = (first.Shape, "");
        while (true)
        {
            await Task.Delay(Interval, cancellationToken);
            try
            {
                var view = await ask(cancellationToken);
                said = "";
                if (view.Shape == shown) continue;
                shown = view.Shape;
                await PrintChangeAsync(view, isFirst: false);
            }
            catch (CliException e) when (e.Message != said)
            {
                // flor is being started anew, perhaps; once for as long as it lasts.
                said = e.Message;
                await errors.WriteLineAsync($"florctl: {said}");
            }
            catch (CliException)
            {
            }
        }
    }

    private async Task PrintChangeAsync(GroupView view, bool isFirst)
    {
        if (isJson) await output.WriteLineAsync(view.Json.ToJsonString(OneLine));
        else await output.WriteAsync(isFirst ? view.Table.Plain : "\n" + view.Table.Plain);
        await output.FlushAsync();
    }

    private Task LiveAsync(GroupView first, CancellationToken cancellationToken) =>
        AnsiConsole.Live(new Markup(first.Table.Coloured)).StartAsync(async live =>
        {
            while (true)
            {
                live.Refresh();
                await Task.Delay(Interval, cancellationToken);
                try
                {
                    live.UpdateTarget(new Markup((await ask(cancellationToken)).Table.Coloured));
                }
                catch (CliException e)
                {
                    live.UpdateTarget(new Markup($"[red]{Markup.Escape(e.Message)}[/]"));
                }
            }
        });
}
