using System.Buffers.Binary;
using System.Security.Cryptography;
using Florete.Identities;
using Microsoft.Extensions.Logging;

namespace Florete.Layers;

/// <summary>
/// A cache in two files of a folder that belongs to this vertex alone: <c>vertex</c> is on disk when saving returns, <c>records</c> is written in the
/// background, the newest snapshot last. Formats: docs/protocols/directory.md. Damaged files count as none; dispose to finish what is being saved.
/// </summary>
public sealed partial class FileDirectoryCache : IDirectoryCache, IAsyncDisposable
{
    private const ushort Version = 1;
    private const int HashBytes = SHA256.HashSizeInBytes;
    private const int VertexBytes = 4 + 2 + 8 + 2 + HashBytes;
    private const int RecordsHeaderBytes = 4 + 2 + 8;
    private const byte ChainItem = 1, RecordItem = 2;
    // Four times what a directory holds by default; a longer file is not ours.
    private const long MaxFileBytes = 256L * 1024 * 1024;

    private readonly string vertexFile, recordsFile;
    private readonly ILogger logger;
    private readonly Lock gate = new();
    private readonly VertexState loadedVertex;
    private DirectorySnapshot? loadedSnapshot;
    private DirectorySnapshot? next;
    private Task writing = Task.CompletedTask;

    /// <summary>Opens the folder, making it if need be, and reads what is there.</summary>
    /// <exception cref="IOException">A file was written by a newer version of this program, or cannot be read; the message names it and the remedy.</exception>
    public FileDirectoryCache(string folder, ILogger logger)
    {
        this.logger = logger;
        if (OperatingSystem.IsWindows()) System.IO.Directory.CreateDirectory(folder);
        else System.IO.Directory.CreateDirectory(folder, AtomicFile.OwnerOnlyFolder);
        vertexFile = Path.Combine(folder, "vertex");
        recordsFile = Path.Combine(folder, "records");
        loadedVertex = ReadVertex();
        loadedSnapshot = ReadSnapshot();
    }

    public VertexState LoadVertex() => loadedVertex;

    public void SaveVertex(VertexState state)
    {
        var content = new byte[VertexBytes];
        "FLDV"u8.CopyTo(content);
        BinaryPrimitives.WriteUInt16BigEndian(content.AsSpan(4), Version);
        BinaryPrimitives.WriteUInt64BigEndian(content.AsSpan(6), state.Incarnation);
        BinaryPrimitives.WriteUInt16BigEndian(content.AsSpan(14), state.SegmentIndex);
        SHA256.HashData(content.AsSpan(0, 16), content.AsSpan(16));
        AtomicFile.Write(vertexFile, content, AtomicFile.OwnerOnly);
    }

    /// <summary>What was there when the cache was opened; once, because it may be large.</summary>
    public DirectorySnapshot? LoadSnapshot()
    {
        (var snapshot, loadedSnapshot) = (loadedSnapshot, null);
        return snapshot;
    }

    public void SaveSnapshot(DirectorySnapshot snapshot)
    {
        lock (gate)
        {
            var isWriting = next is not null || !writing.IsCompleted;
            next = snapshot;
            if (!isWriting) writing = Task.Run(WriteAll);
        }
    }

    public async ValueTask DisposeAsync()
    {
        Task last;
        lock (gate) last = writing;
        await last;
    }

    private void WriteAll()
    {
        while (true)
        {
            DirectorySnapshot snapshot;
            lock (gate)
            {
                if (next is null)
                {
                    // Set under the lock: whoever comes now starts another task.
                    writing = Task.CompletedTask;
                    return;
                }
                snapshot = next;
                next = null;
            }
            try
            {
                AtomicFile.Write(recordsFile, Encode(snapshot), AtomicFile.OwnerOnly);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                LogCannotSave(logger, recordsFile, e);
            }
        }
    }

    private static byte[] Encode(DirectorySnapshot snapshot)
    {
        var length = RecordsHeaderBytes + snapshot.Chains.Sum(static c => 5 + c.Length) + snapshot.Records.Sum(static r => 7 + r.Bytes.Length) + HashBytes;
        var content = new byte[length];
        "FLDR"u8.CopyTo(content);
        BinaryPrimitives.WriteUInt16BigEndian(content.AsSpan(4), Version);
        BinaryPrimitives.WriteInt64BigEndian(content.AsSpan(6), snapshot.Saved.ToUnixTimeSeconds());
        var at = RecordsHeaderBytes;
        foreach (var chain in snapshot.Chains)
        {
            content[at] = ChainItem;
            BinaryPrimitives.WriteInt32BigEndian(content.AsSpan(at + 1), chain.Length);
            chain.Span.CopyTo(content.AsSpan(at + 5));
            at += 5 + chain.Length;
        }
        foreach (var record in snapshot.Records)
        {
            content[at] = RecordItem;
            BinaryPrimitives.WriteUInt16BigEndian(content.AsSpan(at + 1), record.AgeSeconds);
            BinaryPrimitives.WriteInt32BigEndian(content.AsSpan(at + 3), record.Bytes.Length);
            record.Bytes.Span.CopyTo(content.AsSpan(at + 7));
            at += 7 + record.Bytes.Length;
        }
        SHA256.HashData(content.AsSpan(0, at), content.AsSpan(at));
        return content;
    }

    private VertexState ReadVertex()
    {
        var content = Read(vertexFile, "FLDV"u8);
        if (content is null) return default;
        if (content.Length != VertexBytes)
        {
            LogDamaged(logger, vertexFile);
            return default;
        }
        return new VertexState(BinaryPrimitives.ReadUInt64BigEndian(content.AsSpan(6)), BinaryPrimitives.ReadUInt16BigEndian(content.AsSpan(14)));
    }

    private DirectorySnapshot? ReadSnapshot()
    {
        if (Read(recordsFile, "FLDR"u8) is not { } content) return null;
        var (chains, records) = (new List<ReadOnlyMemory<byte>>(), new List<CachedRecord>());
        var rest = content.AsMemory(RecordsHeaderBytes, content.Length - RecordsHeaderBytes - HashBytes);
        while (!rest.IsEmpty)
        {
            var header = rest.Span[0] == ChainItem ? 5 : 7;
            var length = rest.Length < header ? -1 : BinaryPrimitives.ReadInt32BigEndian(rest.Span[(header - 4)..]);
            if (length < 0 || length > rest.Length - header)
            {
                LogDamaged(logger, recordsFile);
                return null;
            }
            var item = rest.Slice(header, length);
            if (header == 5) chains.Add(item);
            else records.Add(new CachedRecord(BinaryPrimitives.ReadUInt16BigEndian(rest.Span[1..]), item));
            rest = rest[(header + length)..];
        }
        var seconds = Math.Clamp(BinaryPrimitives.ReadInt64BigEndian(content.AsSpan(6)), 0, DateTimeOffset.MaxValue.ToUnixTimeSeconds());
        return new DirectorySnapshot(DateTimeOffset.FromUnixTimeSeconds(seconds), chains, records);
    }

    /// <summary>A whole file with magic, version and hash checked; null if there is none or it is damaged.</summary>
    private byte[]? Read(string file, ReadOnlySpan<byte> magic)
    {
        if (!File.Exists(file)) return null;
        if (new FileInfo(file).Length is < RecordsHeaderBytes + HashBytes or > MaxFileBytes)
        {
            LogDamaged(logger, file);
            return null;
        }
        var content = File.ReadAllBytes(file);
        if (content.AsSpan().StartsWith(magic) && BinaryPrimitives.ReadUInt16BigEndian(content.AsSpan(4)) > Version)
        {
            throw new IOException($"{file} was written by a newer version of this program; run that version, or delete the file.");
        }
        if (content.AsSpan().StartsWith(magic) && SHA256.HashData(content.AsSpan(0, content.Length - HashBytes)).AsSpan().SequenceEqual(content.AsSpan(content.Length - HashBytes))) return content;
        LogDamaged(logger, file);
        return null;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Directory: {File} is damaged and counts as none; the neighbours have what was in it.")]
    private static partial void LogDamaged(ILogger logger, string file);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Directory: {File} cannot be saved; free the disk or correct the folder's owner.")]
    private static partial void LogCannotSave(ILogger logger, string file, Exception exception);
}
