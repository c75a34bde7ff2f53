using System.Diagnostics.CodeAnalysis;

namespace Florete.Identities;

/// <summary>
/// DNS names of identities: <c>hello.rete</c> and <c>hello.home.rete</c> are <c>spiffe://home/service/hello</c>; other kinds carry their
/// kind, <c>alice.user.home.rete</c>. What people type, and the SNI of every handshake. Case does not matter (RFC 4343); one trailing dot is
/// the root of the DNS and is dropped.
/// </summary>
public static class MeshName
{
    /// <summary>The last label of every mesh name.</summary>
    public const string Suffix = "rete";

    // RFC 1035 §2.3.4, in presentation form without the trailing dot.
    private const int MaxDnsName = 253;

    /// <summary>Does the name end in <c>.rete</c>, and so belong to the mesh, well-formed or not?</summary>
    public static bool IsMeshName(ReadOnlySpan<char> name)
    {
        if (name.EndsWith(".")) name = name[..^1];
        return name.EndsWith("." + Suffix, StringComparison.OrdinalIgnoreCase);
    }

    /// <param name="name">A DNS name.</param>
    /// <param name="localCluster">The cluster that a name without one belongs to; null: such a name is an error (an SNI, say).</param>
    /// <param name="id">The identity it names.</param>
    /// <param name="error">What is wrong, and what to write instead.</param>
    public static bool TryParse(
        string? name, string? localCluster, [NotNullWhen(true)] out SpiffeId? id, [NotNullWhen(false)] out string? error)
    {
        id = null;
        if (string.IsNullOrEmpty(name)) return Fail("A name is empty; write hello.rete or hello.home.rete.", out error);
        if (name.Length > MaxDnsName + 1) return Fail($"A name has {name.Length} characters; a DNS name has at most {MaxDnsName}.", out error);
        if (!IsMeshName(name)) return Fail($"'{name}' does not end in .{Suffix}; names of the mesh do, as in hello.{Suffix}.", out error);
        var labels = name.ToLowerInvariant().TrimEnd('.').Split('.');
        if (name.EndsWith("..", StringComparison.Ordinal)) return Fail($"'{name}' has an empty label.", out error);
        switch (labels.Length)
        {
            case 2 when localCluster is null:
                return Fail($"'{name}' names no cluster; write {labels[0]}.<cluster>.{Suffix}.", out error);
            case 2:
                return TryCompose(name, localCluster, "service", labels[0], out id, out error);
            case 3:
                return TryCompose(name, labels[1], "service", labels[0], out id, out error);
            case 4:
                return TryCompose(name, labels[2], labels[1], labels[0], out id, out error);
            default:
                return Fail(
                    $"'{name}' has {labels.Length} labels; write <service>.{Suffix}, <service>.<cluster>.{Suffix} or <name>.<kind>.<cluster>.{Suffix}.",
                    out error);
        }
    }

    /// <exception cref="FormatException">Not a mesh name; the message says what is wrong.</exception>
    public static SpiffeId Parse(string name, string? localCluster) =>
        TryParse(name, localCluster, out var id, out var error) ? id : throw new FormatException(error);

    /// <summary>The full DNS name: <c>hello.home.rete</c>, <c>a.vertex.home.rete</c>. Parses back to the same identity anywhere.</summary>
    public static string ToSni(SpiffeId id) => id.Kind == IdentityKind.Service
        ? $"{id.Name}.{id.Cluster}.{Suffix}"
        : $"{id.Name}.{id.Kind.Word()}.{id.Cluster}.{Suffix}";

    private static bool TryCompose(
        string name, string cluster, string kind, string own, [NotNullWhen(true)] out SpiffeId? id, [NotNullWhen(false)] out string? error)
    {
        if (SpiffeId.TryParse($"spiffe://{cluster}/{kind}/{own}", out id, out error)) return true;
        error = $"The name '{name}' is not usable: {error}";
        return false;
    }

    private static bool Fail(string message, out string error)
    {
        error = message;
        return false;
    }
}
