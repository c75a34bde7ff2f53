using System.Text.Json;
using Florete.Coordination.Contracts;
using Florete.Identities;

namespace Florete.Proxy.Coordination;

/// <summary>
/// The file <c>coordination</c> of the state folder (docs/protocols/coordination.md, "Keeping"). Never reset on its own: then a coordinator whose term is over would be obeyed again.
/// </summary>
internal sealed class CoordinationFile : ICoordinationFile, IAsyncDisposable
{
    public const string FileName = "coordination";

    private const int Format = 1;

    // A decision and its chain in base64.
    private const int MaxFileBytes = 64 * 1024;

    private readonly string file;
    private readonly ClusterIdentity cluster;
    private Task writing = Task.CompletedTask;

    private CoordinationFile(string file, ClusterIdentity cluster, CoordinationMemory loaded) => (this.file, this.cluster, Loaded) = (file, cluster, loaded);

    public CoordinationMemory Loaded { get; }

    /// <summary>Opens or begins the file in a state folder, which is made if needed.</summary>
    /// <exception cref="IdentityException">It is damaged, of a newer format or of another cluster; the message names it and the remedy.</exception>
    public static CoordinationFile Open(string stateFolder, ClusterIdentity cluster)
    {
        System.IO.Directory.CreateDirectory(stateFolder);
        var file = Path.Combine(stateFolder, FileName);
        if (!File.Exists(file)) return new CoordinationFile(file, cluster, CoordinationMemory.None);
        try
        {
            if (new FileInfo(file).Length > MaxFileBytes) throw new FormatException($"It has more than {MaxFileBytes} bytes.");
            using var json = JsonDocument.Parse(File.ReadAllBytes(file));
            var root = json.RootElement;
            var format = root.GetProperty("format").GetInt32();
            if (format != Format) throw new IdentityException($"{file}: it has format {format}, and this program knows format {Format}; use the newer program.");
            if (root.GetProperty("cluster").GetString() != cluster.Name || root.GetProperty("root").GetString() != cluster.RootHash)
            {
                throw new IdentityException($"{file}: this state is of another cluster than {cluster}; give this node its own state folder.");
            }
            Epoch? newest = root.TryGetProperty("newest", out var epoch) ? ReadEpoch(epoch) : null;
            var decision = root.TryGetProperty("decision", out var kept) ? ReadDecision(kept) : null;
            return new CoordinationFile(file, cluster, new CoordinationMemory(newest, root.GetProperty("claimed").GetUInt64(), decision));
        }
        catch (Exception e) when (e is JsonException or FormatException or KeyNotFoundException or InvalidOperationException)
        {
            throw new IdentityException(
                $"{file}: it is damaged, so a coordinator whose term is over could not be told from the present one; restore it, or see that the group has one coordinator now and remove it.", e);
        }
    }

    public void Save(CoordinationMemory memory, Action<Exception?> saved) => writing = Task.Run(() =>
    {
        Exception? problem = null;
        try
        {
            AtomicFile.Write(file, Encode(memory), AtomicFile.OwnerOnly);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            problem = e;
        }
        saved(problem);
    });

    public async ValueTask DisposeAsync() => await writing.ConfigureAwait(false);

    private byte[] Encode(CoordinationMemory memory)
    {
        using var text = new MemoryStream();
        using (var json = new Utf8JsonWriter(text))
        {
            json.WriteStartObject();
            json.WriteNumber("format", Format);
            json.WriteString("cluster", cluster.Name);
            json.WriteString("root", cluster.RootHash);
            if (memory.Newest is { } newest)
            {
                json.WriteStartObject("newest");
                json.WriteNumber("counter", newest.Counter);
                json.WriteString("coordinator", newest.Coordinator);
                json.WriteEndObject();
            }
            json.WriteNumber("claimed", memory.Claimed);
            if (memory.Decision is { } decision)
            {
                json.WriteStartObject("decision");
                json.WriteBase64String("document", decision.Signed.Document);
                json.WriteBase64String("signature", decision.Signed.Signature);
                json.WriteBase64String("chain", decision.Signed.Chain);
                json.WriteString("accepted", decision.Accepted);
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        return text.ToArray();
    }

    private static Epoch ReadEpoch(JsonElement json)
    {
        var epoch = new Epoch(json.GetProperty("counter").GetUInt64(), json.GetProperty("coordinator").GetString() ?? "");
        return epoch.Counter > 0 && CoordinationProtocol.IsName(epoch.Coordinator) ? epoch : throw new FormatException("It is no epoch.");
    }

    private static KeptDecision ReadDecision(JsonElement json)
    {
        var signed = new SignedDecision(
            json.GetProperty("document").GetBytesFromBase64(), json.GetProperty("signature").GetBytesFromBase64(), json.GetProperty("chain").GetBytesFromBase64());
        if (!DecisionDocument.TryParse(signed.Document, out var document, out var problem)) throw new FormatException(problem);
        return new KeptDecision(document, signed, json.GetProperty("accepted").GetDateTimeOffset());
    }
}
