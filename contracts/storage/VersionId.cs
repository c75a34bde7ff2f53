using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;

namespace Florete.Storage.Contracts;

/// <summary>The first 16 bytes of SHA-256 over all bytes of a version. Written as 32 hexadecimal digits; ordered as those are.</summary>
public readonly record struct VersionId(UInt128 Value) : IComparable<VersionId>
{
    public const int Bytes = 16;

    /// <summary>The id of a version with these bytes.</summary>
    public static VersionId Of(ReadOnlySpan<byte> version)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(version, hash);
        return Read(hash);
    }

    /// <summary>Reads <see cref="Bytes"/> bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer.</exception>
    public static VersionId Read(ReadOnlySpan<byte> source) => new(BinaryPrimitives.ReadUInt128BigEndian(source));

    /// <summary>Writes <see cref="Bytes"/> bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is less room.</exception>
    public void Write(Span<byte> destination) => BinaryPrimitives.WriteUInt128BigEndian(destination, Value);

    /// <exception cref="FormatException">It is not 32 hexadecimal digits.</exception>
    public static VersionId Parse(string text) =>
        TryParse(text, out var id) ? id : throw new FormatException($"'{NameText.Shown(text)}' is no id of a version; it has 32 hexadecimal digits.");

    public static bool TryParse([NotNullWhen(true)] string? text, out VersionId id)
    {
        id = default;
        if (text is null || text.Length != 2 * Bytes) return false;
        if (!UInt128.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)) return false;
        id = new VersionId(value);
        return true;
    }

    public int CompareTo(VersionId other) => Value.CompareTo(other.Value);

    public override string ToString() => Value.ToString("x32", CultureInfo.InvariantCulture);

    public static bool operator <(VersionId a, VersionId b) => a.Value < b.Value;

    public static bool operator >(VersionId a, VersionId b) => a.Value > b.Value;

    public static bool operator <=(VersionId a, VersionId b) => a.Value <= b.Value;

    public static bool operator >=(VersionId a, VersionId b) => a.Value >= b.Value;
}
