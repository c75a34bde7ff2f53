using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>
/// A place in the changes of one replica: <c>replica.incarnation.sequence</c>. It means nothing at another replica, nor where the database is another one.
/// </summary>
/// <param name="Replica">Whose changes.</param>
/// <param name="Incarnation">Of which database: 16 hexadecimal digits.</param>
/// <param name="Sequence">All changes up to this one are known.</param>
public readonly record struct ChangePosition(ReplicaName Replica, string Incarnation, long Sequence)
{
    private const int IncarnationLength = 16;

    /// <summary>False if it is not of that form.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out ChangePosition position)
    {
        position = default;
        if (text?.Split('.', 4) is not [var replica, var incarnation, var sequence]) return false;
        if (!ReplicaName.TryParse(replica, out var name, out _)) return false;
        if (incarnation.Length != IncarnationLength || !incarnation.All(char.IsAsciiHexDigitLower)) return false;
        if (!long.TryParse(sequence, NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return false;
        position = new ChangePosition(name, incarnation, number);
        return true;
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Replica}.{Incarnation}.{Sequence}");
}
