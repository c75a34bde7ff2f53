using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Florete.Storage.Client;
using Florete.Storage.Contracts;

namespace Florete.Cli;

// Documents one by one, and lists of them.
internal static partial class StoreCommand
{
    private static Command Get()
    {
        var document = Document();
        var superseded = new Option<bool>("--superseded") { Description = "The versions that lost against the current one instead." };
        var get = new Command("get", "Prints a document as it was written; with -o json, who wrote it too.") { document, superseded };
        get.Does(async (parsed, client, cancellationToken) =>
        {
            var key = parsed.GetValue(document);
            if (parsed.GetValue(superseded))
            {
                Print(parsed.WantsJson(), await client.SupersededAsync(key, cancellationToken));
                return 0;
            }
            if (await client.GetAsync(key, cancellationToken) is not { } found) throw new CliException($"There is no document {key}.", $"List what is there: florctl store list {key.Collection}");
            if (parsed.WantsJson())
            {
                Console.WriteLine(Json(found, indented: true));
                return 0;
            }
            Console.Out.Flush();
            await using var output = Console.OpenStandardOutput();
            await output.WriteAsync(found.Body, cancellationToken);
            if (found.Body.Span is not [.., (byte)'\n']) output.WriteByte((byte)'\n');
            return 0;
        });
        return get;
    }

    private static Command Put()
    {
        var document = Document();
        var file = new Argument<string>("FILE") { Description = "A file with one JSON value; '-' is standard input.", DefaultValueFactory = static _ => "-" };
        var (ifVersion, ifAbsent) = (IfVersion(), new Option<bool>("--if-absent") { Description = "Only if the document does not exist." });
        var put = new Command("put", "Writes a document, whatever is there, unless told otherwise.") { document, file, ifVersion, ifAbsent };
        put.Validators.Add(result =>
        {
            if (result.GetResult(ifVersion) is not null && result.GetValue(ifAbsent)) result.AddError("--if-version and --if-absent exclude each other: a version that is there, or none.");
        });
        put.Does(async (parsed, client, cancellationToken) =>
        {
            var (key, body) = (parsed.GetValue(document), await ReadBodyAsync(parsed.GetValue(file)!, cancellationToken));
            var written = parsed.GetValue(ifAbsent) ? await client.CompareAndSwapAsync(key, null, body, cancellationToken)
                : parsed.GetValue(ifVersion) is { } version ? await client.CompareAndSwapAsync(key, version, body, cancellationToken)
                : await client.PutAsync(key, body, cancellationToken);
            Print(parsed.WantsJson(), key, written, "written");
            return 0;
        });
        return put;
    }

    private static Command Delete()
    {
        var (document, ifVersion) = (Document(), IfVersion());
        var delete = new Command("delete", "Deletes a document.") { document, ifVersion };
        delete.Does(async (parsed, client, cancellationToken) =>
        {
            var key = parsed.GetValue(document);
            var written = parsed.GetValue(ifVersion) is { } version
                ? await client.CompareAndSwapAsync(key, version, null, cancellationToken)
                : await client.DeleteAsync(key, cancellationToken);
            Print(parsed.WantsJson(), key, written, "deleted");
            return 0;
        });
        return delete;
    }

    private static Command List()
    {
        var documents = Documents(ArgumentArity.ZeroOrOne);
        var list = new Command("list", "Lists the documents of a collection, or the collections.") { documents };
        list.Does(async (parsed, client, cancellationToken) =>
        {
            var (collection, prefix) = parsed.GetValue(documents);
            if (collection == default)
            {
                var all = await client.CollectionsAsync(cancellationToken);
                if (parsed.WantsJson()) CommonOptions.PrintJson(all);
                else foreach (var one in all) Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{one.Name,-24} {one.Documents,9} documents {one.Bytes,12} bytes"));
                return 0;
            }
            var found = new List<StorageDocument>();
            await foreach (var document in client.ListAsync(collection, prefix, cancellationToken)) found.Add(document);
            Print(parsed.WantsJson(), found);
            return 0;
        });
        return list;
    }

    private static Command Watch()
    {
        var documents = Documents(ArgumentArity.ExactlyOne);
        var watch = new Command("watch", "Tells what is there, then every change, until Ctrl-C; with -o json a line each.") { documents };
        watch.Does(async (parsed, client, cancellationToken) =>
        {
            var (collection, prefix) = parsed.GetValue(documents);
            await foreach (var change in client.WatchAsync(collection, prefix, cancellationToken))
            {
                Console.WriteLine(parsed.WantsJson() ? Json(change) : change.Kind switch
                {
                    StorageChangeKind.CaughtUp => "--- that is all there is; changes follow",
                    StorageChangeKind.Delete => $"delete      {change.Key}{(change.Document is { } gone ? $" by {gone.Author.Path}" : "")}",
                    StorageChangeKind.Superseded => $"superseded  {Line(change.Document!)}",
                    _ => $"put         {Line(change.Document!)}",
                });
            }
            return 0;
        });
        return watch;
    }

    private static Option<VersionId?> IfVersion() => new("--if-version")
    {
        Description = "Only if this version is current (compare-and-swap).",
        HelpName = "ID",
        CustomParser = CommonOptions.Parse<VersionId?>(TryParseId),
    };

    private static bool TryParseId(string text, out VersionId? id, out string? error)
    {
        var isId = VersionId.TryParse(text, out var parsed);
        (id, error) = (isId ? parsed : null, isId ? null : $"'{text}' is no id of a version; 'florctl store list -o json' shows them.");
        return isId;
    }

    private static async Task<byte[]> ReadBodyAsync(string file, CancellationToken cancellationToken)
    {
        if (file != "-" && !File.Exists(file)) throw new CliException($"{file}: there is no such file.", "Name a file with one JSON value, or '-' for standard input.");
        await using var input = file == "-" ? Console.OpenStandardInput() : File.OpenRead(file);
        using var body = new MemoryStream();
        var chunk = new byte[16 * 1024];
        while (await input.ReadAsync(chunk, cancellationToken) is > 0 and var read)
        {
            body.Write(chunk, 0, read);
            if (body.Length > StorageProtocol.MaxBodyBytes) throw new CliException($"{file}: it has more than {StorageProtocol.MaxBodyBytes} bytes.", "Keep large things elsewhere, and in the document where they are.");
        }
        return body.ToArray();
    }

    private static void Print(bool json, DocumentKey key, WrittenVersion written, string what)
    {
        if (json) CommonOptions.PrintJson(new { Document = key.ToString(), Version = written.Version.ToString(), Stamp = written.Stamp.ToString(), Replica = written.Replica.ToString() });
        else Console.WriteLine($"{key} is {what} at {written.Replica}, version {written.Version}.");
    }

    private static void Print(bool json, IReadOnlyList<StorageDocument> found)
    {
        if (json) Console.WriteLine($"[{(found.Count == 0 ? "" : "\n  ")}{string.Join(",\n  ", found.Select(static d => Json(d, indented: false)))}{(found.Count == 0 ? "" : "\n")}]");
        else foreach (var document in found) Console.WriteLine(Line(document));
    }

    private static string Line(StorageDocument document) => string.Create(
        CultureInfo.InvariantCulture,
        $"{document.Key,-40} {document.Stamp.Time:yyyy-MM-dd HH:mm:ss.fff}Z at {document.Replica} by {document.Author.Path}{(document.Superseded > 0 ? $" ({document.Superseded} superseded)" : "")}");

    private static string Json(StorageDocument document, bool indented) => Json(indented, writer => Write(writer, document));

    private static string Json(StorageChange change) => Json(false, writer =>
    {
        writer.WriteString("type", change.Kind switch
        {
            StorageChangeKind.CaughtUp => "caughtUp",
            StorageChangeKind.Delete => "delete",
            StorageChangeKind.Superseded => "superseded",
            _ => "put",
        });
        if (change.Document is { } document) Write(writer, document);
        else if (change.Kind == StorageChangeKind.Delete) writer.WriteString("document", change.Key.ToString());
    });

    private static string Json(bool indented, Action<Utf8JsonWriter> write)
    {
        using var text = new MemoryStream();
        using (var writer = new Utf8JsonWriter(text, new JsonWriterOptions { Indented = indented, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }
        return Encoding.UTF8.GetString(text.ToArray());
    }

    private static void Write(Utf8JsonWriter writer, StorageDocument document)
    {
        writer.WriteString("document", document.Key.ToString());
        writer.WriteString("version", document.Version.ToString());
        writer.WriteString("stamp", document.Stamp.ToString());
        writer.WriteString("author", document.Author.ToString());
        writer.WriteString("replica", document.Replica.ToString());
        if (document.Superseded is { } superseded) writer.WriteNumber("superseded", superseded);
        if (document.Body.IsEmpty) return;
        writer.WritePropertyName("body");
        // Parsed, so that it is indented, or not, as the rest is.
        using var body = JsonDocument.Parse(document.Body);
        body.RootElement.WriteTo(writer);
    }
}
