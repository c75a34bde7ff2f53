namespace Florete.Identities;

/// <summary>Why a join was refused (docs/protocols/join.md). Numbers are those of the wire.</summary>
public enum JoinRefusal : byte
{
    Malformed = 1,
    Expired = 2,
    Used = 3,
    WrongCluster = 4,
    Forbidden = 5,

    /// <summary>From here on another contact, or a later try, may do better.</summary>
    Unreachable = 6,
    Busy = 7,
    Failed = 8,
}

/// <summary>Refusals as they are written in JSON.</summary>
public static class JoinRefusals
{
    public static string Word(this JoinRefusal code) => code switch
    {
        JoinRefusal.Malformed => "malformed",
        JoinRefusal.Expired => "expired",
        JoinRefusal.Used => "used",
        JoinRefusal.WrongCluster => "wrongCluster",
        JoinRefusal.Forbidden => "forbidden",
        JoinRefusal.Unreachable => "unreachable",
        JoinRefusal.Busy => "busy",
        _ => "failed",
    };

    /// <summary>A word of a later version is a fault over there.</summary>
    public static JoinRefusal Parse(string? word) =>
        Enum.GetValues<JoinRefusal>().FirstOrDefault(code => code.Word() == word, JoinRefusal.Failed);

    /// <summary>Is it no use to try again with the same token?</summary>
    public static bool IsFinal(this JoinRefusal code) => code < JoinRefusal.Unreachable;
}

/// <summary>A join was refused, worded for the person who must act.</summary>
public sealed class JoinException(JoinRefusal code, string message, Exception? inner = null) : Exception(message, inner)
{
    public JoinRefusal Code { get; } = code;
}
