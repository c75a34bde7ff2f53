namespace Florete.Identities;

/// <summary>
/// The identities that a node holds, kept as <see cref="SvidFiles"/> in one folder. Not thread-safe itself; the identities are.
/// </summary>
public sealed class IdentityFolder
{
    // A file that changed so recently is read again next time: two changes may share a time stamp.
    private static readonly TimeSpan StampGranularity = TimeSpan.FromSeconds(2);

    private readonly Dictionary<string, Entry> files = new(StringComparer.Ordinal);

    private IdentityFolder(string folder) => Folder = folder;

    public string Folder { get; }

    /// <summary>What is held now, by identity.</summary>
    public IEnumerable<HeldIdentity> Identities => files.Values.Select(entry => entry.Identity).OfType<HeldIdentity>().OrderBy(held => held.Id);

    /// <summary>Loads the folder; every file must be usable.</summary>
    /// <exception cref="IdentityException">The folder is missing or a file in it is unusable; the message lists all, with remedies.</exception>
    public static IdentityFolder Open(string folder)
    {
        var opened = new IdentityFolder(folder);
        var first = opened.Reload();
        return first.Problems.Count == 0 ? opened : throw new IdentityException(string.Join(Environment.NewLine, first.Problems));
    }

    /// <summary>Begins with an empty view, which <see cref="Reload"/> fills with what is usable; the folder may be missing.</summary>
    public static IdentityFolder OpenAny(string folder) => new(folder);

    public HeldIdentity? Find(SpiffeId id) => Identities.FirstOrDefault(held => held.Id == id);

    /// <summary>
    /// Picks up added, renewed and removed files. A broken file is reported, and the identity that it held before stays. Never throws.
    /// </summary>
    public IdentityChanges Reload()
    {
        var (added, renewed, removed, problems) = (new List<HeldIdentity>(), new List<HeldIdentity>(), new List<HeldIdentity>(), new List<string>());
        string[] present;
        try
        {
            present = Directory.GetFiles(Folder, "*.pem");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new IdentityChanges([], [], [], [$"{Folder}: the folder of identities cannot be read: {e.Message}"]);
        }
        Array.Sort(present, StringComparer.Ordinal);
        foreach (var file in present.Where(file => !Path.GetFileName(file).StartsWith('.')))
        {
            try
            {
                ReloadFile(file, added, renewed);
            }
            catch (Exception e) when (e is IdentityException or IOException or UnauthorizedAccessException)
            {
                problems.Add(e.Message);
            }
        }
        foreach (var (file, entry) in files.Where(pair => !present.Contains(pair.Key)).ToArray())
        {
            files.Remove(file);
            if (entry.Identity is { } gone) removed.Add(gone);
        }
        return new IdentityChanges(added, renewed, removed, problems);
    }

    private void ReloadFile(string file, List<HeldIdentity> added, List<HeldIdentity> renewed)
    {
        var stamp = (Stamp(file), Stamp(Path.ChangeExtension(file, ".key")));
        files.TryGetValue(file, out var entry);
        if (entry is not null && entry.Stamp == stamp && entry.IsSettled) return;
        var svid = SvidFiles.Read(file);
        if (Path.GetFileName(SvidFiles.CertificatePath(Folder, svid.Id)) != Path.GetFileName(file))
        {
            throw new IdentityException(
                $"{file}: it holds {svid.Id}; name it {Path.GetFileName(SvidFiles.CertificatePath(Folder, svid.Id))}, or issue the right identity.");
        }
        if (entry?.Identity is { } held && held.Id != svid.Id)
        {
            throw new IdentityException($"{file}: it held {held.Id} and now holds {svid.Id}, of another cluster; restart to change clusters.");
        }
        var settled = DateTime.UtcNow - Later(stamp.Item1.Changed, stamp.Item2.Changed) > StampGranularity;
        if (entry is null)
        {
            held = new HeldIdentity(svid);
            added.Add(held);
        }
        else
        {
            held = entry.Identity;
            if (!held.Current.Leaf.RawDataMemory.Span.SequenceEqual(svid.Leaf.RawDataMemory.Span))
            {
                held.Renew(svid);
                renewed.Add(held);
            }
        }
        files[file] = new Entry(held, stamp, settled);
    }

    private static (DateTime Changed, long Bytes) Stamp(string file)
    {
        var info = new FileInfo(file);
        return info.Exists ? (info.LastWriteTimeUtc, info.Length) : default;
    }

    private static DateTime Later(DateTime a, DateTime b) => a > b ? a : b;

    private sealed record Entry(HeldIdentity Identity, ((DateTime Changed, long Bytes) Leaf, (DateTime Changed, long Bytes) Key) Stamp, bool IsSettled);
}

/// <summary>What a reload of the folder found.</summary>
/// <param name="Added">New identities.</param>
/// <param name="Renewed">Identities with a new SVID; their <see cref="HeldIdentity.Renewed"/> has been raised.</param>
/// <param name="Removed">Identities whose files are gone.</param>
/// <param name="Problems">Files that cannot be used, one line each, with the remedy.</param>
public sealed record IdentityChanges(
    IReadOnlyList<HeldIdentity> Added, IReadOnlyList<HeldIdentity> Renewed, IReadOnlyList<HeldIdentity> Removed, IReadOnlyList<string> Problems)
{
    public bool IsEmpty => Added.Count + Renewed.Count + Removed.Count + Problems.Count == 0;
}
