using System.Buffers.Binary;
using System.Text;
using Florete.Identities;

namespace Florete.Storage.Contracts;

/// <summary>
/// A version that its author is about to sign: fill it from what <c>prepare</c> told, have the portal sign <see cref="Content"/> for
/// <see cref="StorageProtocol.SigningPurpose"/>, and finish it by <see cref="WithSignature"/>.
/// </summary>
public sealed class VersionDraft
{
    private byte[]? content;

    public required DocumentKey Key { get; init; }

    /// <summary>The replica that shall accept it.</summary>
    public required ReplicaName Replica { get; init; }

    /// <summary>The clock of that replica; greater than every stamp of <see cref="Seen"/>.</summary>
    public required Stamp Stamp { get; init; }

    /// <summary>What that replica has seen of the unit.</summary>
    public required SeenVector Seen { get; init; }

    public required SpiffeId Author { get; init; }

    /// <summary>The chain of the key that will sign (<see cref="EncodedChain"/>).</summary>
    public required ChainHash Chain { get; init; }

    /// <summary>One JSON value, UTF-8; null deletes the unit.</summary>
    public required ReadOnlyMemory<byte>? Body { get; init; }

    public bool CompareAndSwap { get; init; }

    /// <summary>The bytes to sign.</summary>
    /// <exception cref="FormatException">The body is not one JSON value, or too long; the stamp is not greater than what was seen; a name is missing. The message says which.</exception>
    public ReadOnlyMemory<byte> Content => content ??= Encode();

    /// <summary>The finished version.</summary>
    /// <param name="signature">64 bytes, IEEE P1363, by the key of <see cref="Chain"/>.</param>
    /// <exception cref="ArgumentException">The signature is not 64 bytes long.</exception>
    /// <exception cref="FormatException">As for <see cref="Content"/>.</exception>
    public DocumentVersion WithSignature(ReadOnlySpan<byte> signature)
    {
        if (signature.Length != DocumentVersion.SignatureBytes)
        {
            throw new ArgumentException($"A signature has {DocumentVersion.SignatureBytes} bytes, not {signature.Length}.", nameof(signature));
        }
        var bytes = new byte[Content.Length + signature.Length];
        Content.CopyTo(bytes);
        signature.CopyTo(bytes.AsSpan(Content.Length));
        return DocumentVersion.TryParse(bytes, out var version, out var problem) ? version : throw new FormatException(problem);
    }

    private byte[] Encode()
    {
        if (Key.Collection == default || Key.Name == default || Replica == default) throw new FormatException("A version needs a collection, a name and a replica.");
        if (Seen.Newest >= Stamp) throw new FormatException($"Stamp {Stamp} is not after what was seen ({Seen}).");
        if (VersionFields.BodyProblem((Body ?? default).Span, Body is null) is { } problem) throw new FormatException(problem);
        var flags = (Body is null ? VersionFlags.Tombstone : VersionFlags.None) | (CompareAndSwap ? VersionFlags.CompareAndSwap : VersionFlags.None);
        var bytes = new List<byte>(512 + (Body?.Length ?? 0)) { VersionFields.Format, (byte)flags };
        AddStamp(bytes, Stamp);
        AddText(bytes, Replica.ToString());
        AddText(bytes, Key.Collection.ToString());
        AddText(bytes, Key.Name.ToString());
        AddText(bytes, Key.Unit.ToString());
        bytes.Add((byte)Seen.Count);
        foreach (var (replica, stamp) in Seen)
        {
            AddText(bytes, replica.ToString());
            AddStamp(bytes, stamp);
        }
        AddText(bytes, Author.ToString());
        Span<byte> chain = stackalloc byte[ChainHash.Bytes];
        Chain.Write(chain);
        bytes.AddRange(chain);
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, Body?.Length ?? 0);
        bytes.AddRange(length);
        if (Body is { } body) bytes.AddRange(body.Span);
        return [.. bytes];
    }

    private static void AddStamp(List<byte> bytes, Stamp stamp)
    {
        Span<byte> eight = stackalloc byte[Stamp.Bytes];
        BinaryPrimitives.WriteUInt64BigEndian(eight, stamp.Value);
        bytes.AddRange(eight);
    }

    private static void AddText(List<byte> bytes, string text)
    {
        bytes.Add((byte)text.Length);
        bytes.AddRange(Encoding.ASCII.GetBytes(text));
    }
}
