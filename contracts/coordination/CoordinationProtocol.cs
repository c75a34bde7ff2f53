namespace Florete.Coordination.Contracts;

/// <summary>Numbers and words of docs/protocols/coordination.md.</summary>
public static class CoordinationProtocol
{
    /// <summary>Of every line.</summary>
    public const int Version = 1;

    /// <summary>What a decision is signed for.</summary>
    public const string DecisionPurpose = "florete-coordination/decision";

    /// <summary>Of a request: a decision in base64, with its chain.</summary>
    public const int MaxRequestLineBytes = 64 * 1024;

    /// <summary>Of an answer: the topology of 1 000 vertices.</summary>
    public const int MaxAnswerLineBytes = 8 * 1024 * 1024;

    public const int MaxDecisionBytes = 32 * 1024;

    public const int MaxPaths = 256;

    /// <summary>A packet has room for six segments.</summary>
    public const int MaxVia = 4;

    /// <summary>A program says where it stands at least so often.</summary>
    public static readonly TimeSpan StandInterval = TimeSpan.FromMilliseconds(1200);

    /// <summary>One that has not for so long stands no longer.</summary>
    public static readonly TimeSpan StandPatience = TimeSpan.FromMilliseconds(2500);

    /// <summary>Name of a vertex, or of a cluster: a DNS label of <c>a-z 0-9 -</c> (RFC 1123 § 2.1).</summary>
    public static bool IsName(ReadOnlySpan<char> text)
    {
        if (text.Length is 0 or > 63 || text[0] == '-' || text[^1] == '-') return false;
        foreach (var c in text)
        {
            if (!char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c != '-') return false;
        }
        return true;
    }
}
