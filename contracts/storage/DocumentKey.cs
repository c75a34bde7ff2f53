using System.Security.Cryptography;
using System.Text;

namespace Florete.Storage.Contracts;

/// <summary>What is versioned: a unit of a document of a collection. Ordered by collection, then name, then unit.</summary>
public readonly record struct DocumentKey(CollectionName Collection, DocumentName Name, UnitName Unit = default) : IComparable<DocumentKey>
{
    /// <summary>How many buckets replicas compare: the first <see cref="BucketBits"/> bits of <see cref="Bucket"/>'s hash.</summary>
    public const int Buckets = 1 << BucketBits;

    private const int BucketBits = 10;
    private const int MaxEncodedBytes = 3 + CollectionName.MaxLength + DocumentName.MaxLength + UnitName.MaxLength;

    /// <summary>The bucket of this key: the first 10 bits of SHA-256 over collection, name and unit, each after its length byte.</summary>
    public int Bucket()
    {
        Span<byte> encoded = stackalloc byte[MaxEncodedBytes];
        var length = Append(encoded, 0, Collection.ToString());
        length = Append(encoded, length, Name.ToString());
        length = Append(encoded, length, Unit.ToString());
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(encoded[..length], hash);
        return (hash[0] << 2) | (hash[1] >> 6);
    }

    public int CompareTo(DocumentKey other)
    {
        var order = Collection.CompareTo(other.Collection);
        if (order == 0) order = Name.CompareTo(other.Name);
        return order != 0 ? order : Unit.CompareTo(other.Unit);
    }

    /// <summary>For people: <c>apps/shop</c>, with a unit <c>apps/shop:status</c>.</summary>
    public override string ToString() => Unit == UnitName.Plain ? $"{Collection}/{Name}" : $"{Collection}/{Name}:{Unit}";

    public static bool operator <(DocumentKey a, DocumentKey b) => a.CompareTo(b) < 0;

    public static bool operator >(DocumentKey a, DocumentKey b) => a.CompareTo(b) > 0;

    public static bool operator <=(DocumentKey a, DocumentKey b) => a.CompareTo(b) <= 0;

    public static bool operator >=(DocumentKey a, DocumentKey b) => a.CompareTo(b) >= 0;

    private static int Append(Span<byte> into, int at, string text)
    {
        into[at] = (byte)text.Length;
        return at + 1 + Encoding.ASCII.GetBytes(text, into[(at + 1)..]);
    }
}
