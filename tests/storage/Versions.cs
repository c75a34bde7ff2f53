using System.Text;
using Florete.Identities;
using Florete.Storage.Contracts;

namespace Florete.Storage.Tests;

/// <summary>Makes versions without keys: their signatures are made up.</summary>
internal static class Versions
{
    public static readonly SpiffeId Alice = SpiffeId.Of("home", IdentityKind.User, "alice");

    public static DocumentKey Key(string name, string unit = "", string collection = "apps") =>
        new(CollectionName.Parse(collection), DocumentName.Parse(name), UnitName.Parse(unit));

    public static DocumentVersion Make(
        DocumentKey key, string replica, ulong stamp, SeenVector? seen = null, string? body = "{}", SpiffeId? author = null, bool compareAndSwap = false,
        ChainHash chain = default)
    {
        var draft = new VersionDraft
        {
            Key = key,
            Replica = ReplicaName.Parse(replica),
            Stamp = new Stamp(stamp),
            Seen = seen ?? SeenVector.Empty,
            Author = author ?? Alice,
            Chain = chain,
            Body = body is null ? null : (ReadOnlyMemory<byte>?)Encoding.UTF8.GetBytes(body),
            CompareAndSwap = compareAndSwap,
        };
        return draft.WithSignature(new byte[DocumentVersion.SignatureBytes]);
    }

    public static SeenVector Seen(params (string Replica, ulong Stamp)[] entries) =>
        SeenVector.Of(entries.Select(e => new SeenEntry(ReplicaName.Parse(e.Replica), new Stamp(e.Stamp))));
}
