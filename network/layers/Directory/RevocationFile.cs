using System.Buffers.Binary;
using System.Security.Cryptography;
using Florete.Identities;
using Microsoft.Extensions.Logging;

namespace Florete.Layers;

/// <summary>The file of revocations (docs/protocols/revocation.md "Keeping").</summary>
public sealed partial class RevocationFile : IRevocationFile, IAsyncDisposable
{
    private const ushort Version = 1;
    private const int HeaderBytes = 4 + 2, HashBytes = SHA256.HashSizeInBytes;
    // As many as are held, each as long as can be.
    private const long MaxFileBytes = HeaderBytes + HashBytes + (4096L * (4 + SignedRevocation.MaxBytes));

    private readonly string file;
    private Task writing = Task.CompletedTask;

    private RevocationFile(string file, IReadOnlyList<SignedRevocation> loaded) => (this.file, Loaded) = (file, loaded);

    public IReadOnlyList<SignedRevocation> Loaded { get; }

    /// <summary>Opens the file, which need not be there, and makes its folder.</summary>
    /// <param name="file">Its path.</param>
    /// <param name="layer">The layer for which revocations are signed.</param>
    /// <param name="verifier">Proves their signers. What it does not prove (another bundle) is left out, and said in the log.</param>
    /// <param name="logger">For that.</param>
    /// <exception cref="IdentityException">It is damaged or of a newer version; it is never reset on its own, for then what was revoked would be good again.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static RevocationFile Open(string file, string layer, IPeerVerifier verifier, ILogger logger)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(file))!;
        if (OperatingSystem.IsWindows()) System.IO.Directory.CreateDirectory(folder);
        else System.IO.Directory.CreateDirectory(folder, AtomicFile.OwnerOnlyFolder);
        var kept = new List<SignedRevocation>();
        if (File.Exists(file))
        {
            foreach (var message in Split(file, File.ReadAllBytes(file)))
            {
                if (SignedRevocation.TryVerify(message.Span, layer, verifier, out var signed, out var problem)) kept.Add(signed);
                else NotProved(logger, file, problem);
            }
        }
        return new RevocationFile(file, kept);
    }

    public void Save(IReadOnlyList<SignedRevocation> all, Action<Exception?> saved) => writing = Task.Run(() =>
    {
        Exception? problem = null;
        try
        {
            AtomicFile.Write(file, Encode(all), AtomicFile.OwnerOnly);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            problem = e;
        }
        saved(problem);
    });

    public async ValueTask DisposeAsync() => await writing;

    private static byte[] Encode(IReadOnlyList<SignedRevocation> all)
    {
        var content = new byte[HeaderBytes + all.Sum(static r => 4 + r.Message.Length) + HashBytes];
        "FLRV"u8.CopyTo(content);
        BinaryPrimitives.WriteUInt16BigEndian(content.AsSpan(4), Version);
        var at = HeaderBytes;
        foreach (var revocation in all)
        {
            BinaryPrimitives.WriteInt32BigEndian(content.AsSpan(at), revocation.Message.Length);
            revocation.Message.CopyTo(content, at + 4);
            at += 4 + revocation.Message.Length;
        }
        SHA256.HashData(content.AsSpan(0, at), content.AsSpan(at));
        return content;
    }

    private static List<ReadOnlyMemory<byte>> Split(string file, byte[] content)
    {
        var isOurs = content.Length >= HeaderBytes + HashBytes && content.LongLength <= MaxFileBytes && content.AsSpan().StartsWith("FLRV"u8);
        if (isOurs && BinaryPrimitives.ReadUInt16BigEndian(content.AsSpan(4)) > Version)
        {
            throw new IdentityException($"{file}: it was written by a newer version of this program, and without it what was revoked would be good again; run that version.");
        }
        if (!isOurs || !SHA256.HashData(content.AsSpan(0, content.Length - HashBytes)).AsSpan().SequenceEqual(content.AsSpan(content.Length - HashBytes))) throw Damaged(file);
        var messages = new List<ReadOnlyMemory<byte>>();
        for (var rest = content.AsMemory(HeaderBytes, content.Length - HeaderBytes - HashBytes); !rest.IsEmpty;)
        {
            var length = rest.Length < 4 ? -1 : BinaryPrimitives.ReadInt32BigEndian(rest.Span);
            if (length < 0 || length > rest.Length - 4) throw Damaged(file);
            messages.Add(rest.Slice(4, length));
            rest = rest[(4 + length)..];
        }
        return messages;
    }

    private static IdentityException Damaged(string file) => new(
        $"{file}: it is damaged, and without it what was revoked would be good again; restore it, or remove it and see that 'flor status' lists the revocations again once a link is up.");

    [LoggerMessage(Level = LogLevel.Warning, Message = "{File}: a revocation in it is left out. {Problem}")]
    private static partial void NotProved(ILogger logger, string file, string problem);
}
