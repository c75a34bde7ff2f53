using System.Text.Json;

namespace Florete.Identities;

/// <summary>
/// Remembers, over restarts, the newest bounds that this node has obeyed, so that older ones are refused (rollback). One file in the state
/// folder; what is accepted is on disk before it takes effect. Thread-safe.
/// </summary>
public sealed class BoundsStore
{
    private const string FileName = "bounds-seen.json";
    private const int Format = 1;
    private const int MaxFileBytes = 4096;

    private readonly Lock gate = new();
    private readonly string file;
    private readonly ClusterIdentity cluster;
    private long version;
    private string payloadHash;

    private BoundsStore(string file, ClusterIdentity cluster, long version, string payloadHash)
    {
        this.file = file;
        this.cluster = cluster;
        this.version = version;
        this.payloadHash = payloadHash;
    }

    /// <summary>The newest version obeyed; 0: none yet.</summary>
    public long Version
    {
        get
        {
            lock (gate) return version;
        }
    }

    /// <summary>Opens or begins the memory in a state folder, which is made if needed.</summary>
    /// <exception cref="IdentityException">
    /// The file is damaged, of a newer format, or of another cluster. It is never reset on its own, which would open the way back.
    /// </exception>
    public static BoundsStore Open(string stateFolder, ClusterIdentity cluster)
    {
        Directory.CreateDirectory(stateFolder);
        var file = Path.Combine(stateFolder, FileName);
        if (!File.Exists(file)) return new BoundsStore(file, cluster, 0, "");
        try
        {
            using var json = JsonDocument.Parse(SvidFiles.ReadText(file, "state file", MaxFileBytes));
            var root = json.RootElement;
            var format = root.GetProperty("format").GetInt32();
            if (format != Format)
            {
                throw new IdentityException($"{file}: it has format {format}, and this program knows format {Format}; use the newer program.");
            }
            if (root.GetProperty("cluster").GetString() != cluster.Name || root.GetProperty("root").GetString() != cluster.RootHash)
            {
                throw new IdentityException($"{file}: this state is of another cluster than {cluster}; give this node its own state folder.");
            }
            return new BoundsStore(
                file, cluster, root.GetProperty("version").GetInt64(), root.GetProperty("payloadSha256").GetString() ?? "");
        }
        catch (Exception e) when (e is JsonException or FormatException or KeyNotFoundException or InvalidOperationException)
        {
            throw new IdentityException(
                $"{file}: it is damaged, so older bounds could not be told from newer ones; "
                + "check that the bounds of this node are the newest, then remove this file.", e);
        }
    }

    /// <summary>
    /// Accepts bounds that are as new as the newest seen, and remembers them durably; refuses older ones, and a different text under the same
    /// version, which is either a mistake or an attack and deserves an alert.
    /// </summary>
    public Verdict Accept(SignedBounds bounds)
    {
        lock (gate)
        {
            var offered = bounds.Document.Version;
            if (offered < version)
            {
                return Verdict.Refused($"Bounds version {offered} are older than version {version}, which this node has obeyed; "
                    + $"sign them as version {version + 1} or later.");
            }
            if (offered == version)
            {
                return bounds.PayloadHash == payloadHash
                    ? Verdict.Allowed
                    : Verdict.Refused($"Alert: there are two different bounds of version {version}, signed by {bounds.Signer}; "
                        + $"find out who signed the other, and sign version {version + 1}.");
            }
            try
            {
                AtomicFile.Write(file, Serialize(offered, bounds.PayloadHash), AtomicFile.OwnerOnly);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return Verdict.Refused($"{file}: bounds version {offered} cannot be remembered, so they do not take effect: {e.Message}");
            }
            (version, payloadHash) = (offered, bounds.PayloadHash);
            return Verdict.Allowed;
        }
    }

    private byte[] Serialize(long newVersion, string newHash)
    {
        using var text = new MemoryStream();
        using (var json = new Utf8JsonWriter(text))
        {
            json.WriteStartObject();
            json.WriteNumber("format", Format);
            json.WriteString("cluster", cluster.Name);
            json.WriteString("root", cluster.RootHash);
            json.WriteNumber("version", newVersion);
            json.WriteString("payloadSha256", newHash);
            json.WriteEndObject();
        }
        return text.ToArray();
    }
}
