using System.Diagnostics.CodeAnalysis;

namespace Florete.Identities;

/// <summary>Kinds as they are written: in SPIFFE IDs, names, file names, and as <c>kind/name</c> in bounds and commands.</summary>
public static class IdentityKinds
{
    /// <summary>The path segment: <c>service</c>, <c>vertex</c>, …</summary>
    public static string Word(this IdentityKind kind) => kind switch
    {
        IdentityKind.Node => "node",
        IdentityKind.Vertex => "vertex",
        IdentityKind.Service => "service",
        IdentityKind.Workload => "workload",
        IdentityKind.User => "user",
        _ => "operator",
    };

    public static bool TryParse(ReadOnlySpan<char> word, out IdentityKind kind)
    {
        foreach (var candidate in Enum.GetValues<IdentityKind>())
        {
            kind = candidate;
            if (word.SequenceEqual(candidate.Word())) return true;
        }
        kind = default;
        return false;
    }

    /// <summary>Parses <c>service/hello</c> within a cluster.</summary>
    public static bool TryParsePath(
        string path, string cluster, [NotNullWhen(true)] out SpiffeId? id, [NotNullWhen(false)] out string? error)
    {
        if (SpiffeId.TryParse($"spiffe://{cluster}/{path}", out id, out error)) return true;
        error = path.Count(c => c == '/') == 1 ? error : $"'{path}' is not an identity; write <kind>/<name>, as in service/hello.";
        return false;
    }
}
