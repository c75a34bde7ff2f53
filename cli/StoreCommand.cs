using System.CommandLine;
using Florete.Identities;
using Florete.Portals;
using Florete.PortalSocket;
using Florete.Storage.Client;
using Florete.Storage.Contracts;

namespace Florete.Cli;

/// <summary><c>florctl store get|put|list|delete|watch|digest|conflicts|health</c>: the storage, as the identity of a portal socket.</summary>
internal static partial class StoreCommand
{
    private const string PortalVariable = "FLORETE_PORTAL";
    private const string UsualFolder = "run";

    private static readonly Option<string?> Portal = PortalOption();

    private static readonly Option<string?> Instance = new("--instance")
    {
        Description = "The node whose replica is asked; unless told, the nearest.",
        HelpName = "NODE",
        Recursive = true,
        CustomParser = CommonOptions.Parse<string?>(CommonOptions.TryParseName),
    };

    private static readonly Option<string> Output = OutputOption();

    public static Command Create() => new("store", "Read and write the storage: collections of JSON documents, a copy on every node.")
    {
        Portal, Instance, Output,
        Get(), Put(), List(), Delete(), Watch(), Digest(), Conflicts(), Health(),
    };

    /// <summary>Does it as the portal's identity; what the storage refuses is said in one line.</summary>
    private static void Does(this Command command, Func<ParseResult, StorageClient, CancellationToken, Task<int>> action) =>
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var portal = new PortalSocketClient(FindPortal(parsed.GetValue(Portal)));
            try
            {
                using var client = new StorageClient(portal, await InstanceAsync(portal, parsed.GetValue(Instance), cancellationToken));
                return await action(parsed, client, cancellationToken);
            }
            catch (StorageClientException e)
            {
                throw new CliException(e.Message, e.Error == StorageError.Unavailable ? $"The portal socket is {portal.Path}; 'flor status' says what its node can reach." : null);
            }
            catch (PortalException e)
            {
                throw new CliException(e.Message);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                // Ctrl-C ends a watch.
                return 0;
            }
        });

    /// <exception cref="CliException">None is named, and there is not exactly one.</exception>
    internal static string FindPortal(string? told) => FindPortal(told, Environment.GetEnvironmentVariable(PortalVariable), Environment.CurrentDirectory);

    /// <exception cref="CliException">None is named, and there is not exactly one.</exception>
    internal static string FindPortal(string? told, string? variable, string folder)
    {
        if (told is { Length: > 0 } || variable is { Length: > 0 }) return Path.GetFullPath(told is { Length: > 0 } ? told : variable!, folder);
        var usual = Path.Combine(folder, UsualFolder);
        var found = Directory.Exists(usual) ? Directory.GetFiles(usual, "*.portal").Order(StringComparer.Ordinal).ToArray() : [];
        return found.Length switch
        {
            1 => found[0],
            0 => throw new CliException($"No portal socket is named, and there is none in {usual}.", $"Name one with --portal or {PortalVariable}; a node's are under portals in its flor.yaml."),
            _ => throw new CliException($"There are several portal sockets in {usual}: {string.Join(", ", found.Select(Path.GetFileName))}.", $"Name one with --portal or {PortalVariable}."),
        };
    }

    // The cluster of a vertex is that of the storage that is discovered.
    private static async Task<SpiffeId?> InstanceAsync(PortalSocketClient portal, string? node, CancellationToken cancellationToken)
    {
        if (node is null) return null;
        var there = new List<string>();
        await foreach (var change in portal.DiscoverAsync(new ServiceQuery(Kind: IdentityKind.Service), watch: false, cancellationToken))
        {
            if (change.Service.Name != "storage") continue;
            if (change.Vertex.Name == node) return change.Vertex;
            there.Add(change.Vertex.Name);
        }
        throw new CliException(
            $"There is no replica of the storage on node '{node}' now.",
            there.Count == 0 ? "There is none at all: start florete-storage on a node." : $"There are replicas on: {string.Join(", ", there.Order(StringComparer.Ordinal))}.");
    }

    /// <summary>As whom the storage is asked.</summary>
    internal static Option<string?> PortalOption() => new("--portal")
    {
        Description = $"The portal socket of who asks; else {PortalVariable}, else the one *.portal in ./{UsualFolder}.",
        HelpName = "SOCKET",
        Recursive = true,
    };

    internal static Option<string> OutputOption()
    {
        var output = new Option<string>("--output", "-o") { Description = "text or json.", DefaultValueFactory = static _ => "text", HelpName = "FORM", Recursive = true };
        output.AcceptOnlyFromAmong("text", "json");
        return output;
    }

    private static bool WantsJson(this ParseResult parsed) => parsed.GetValue(Output) == "json";

    private static Argument<DocumentKey> Document() => new("DOCUMENT")
    {
        Description = "COLLECTION/NAME, as in apps/shop; with a unit COLLECTION/NAME:UNIT.",
        CustomParser = CommonOptions.Parse<DocumentKey>(TryParseKey),
    };

    private static Argument<(CollectionName Collection, string Prefix)> Documents(ArgumentArity arity) => new("COLLECTION")
    {
        Description = "COLLECTION, or COLLECTION/PREFIX for the documents whose names begin so.",
        Arity = arity,
        CustomParser = CommonOptions.Parse<(CollectionName, string)>(TryParsePrefix),
    };

    internal static bool TryParseKey(string text, out DocumentKey key, out string? error)
    {
        key = default;
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        if (slash < 0)
        {
            error = $"'{text}' is no document; write COLLECTION/NAME, as in apps/{(text.Length is > 0 and < 64 ? text : "shop")}.";
            return false;
        }
        var colon = text.LastIndexOf(':');
        var (name, unitText) = colon < slash ? (text[(slash + 1)..], "") : (text[(slash + 1)..colon], text[(colon + 1)..]);
        if (!CollectionName.TryParse(text[..slash], out var collection, out error) || !DocumentName.TryParse(name, out var document, out error)
            || !UnitName.TryParse(unitText, out var unit, out error))
        {
            return false;
        }
        key = new DocumentKey(collection, document, unit);
        return true;
    }

    internal static bool TryParsePrefix(string text, out (CollectionName, string) documents, out string? error)
    {
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        documents = default;
        if (!CollectionName.TryParse(slash < 0 ? text : text[..slash], out var collection, out error)) return false;
        documents = (collection, slash < 0 ? "" : text[(slash + 1)..]);
        return true;
    }
}
