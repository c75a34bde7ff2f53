namespace Florete.Portals;

/// <summary>Whether bytes are the beginning of a protocol.</summary>
public enum Recognition
{
    /// <summary>No connection of it begins like this.</summary>
    No,

    /// <summary>More bytes must come first.</summary>
    Perhaps,

    /// <summary>It is.</summary>
    Yes,
}

/// <summary>Looks at the first bytes of a connection, at least none and at most <see cref="CallerProtocol.MaxBytes"/>. Never throws: callers are hostile.</summary>
public delegate Recognition ProtocolRecognizer(ReadOnlySpan<byte> first);

/// <summary>A protocol that is known by the first bytes that its caller sends. One where the target speaks first has none.</summary>
/// <param name="name">For people: "HTTP".</param>
/// <param name="recognizer">Must know by <see cref="MaxBytes"/> bytes.</param>
public sealed class CallerProtocol(string name, ProtocolRecognizer recognizer)
{
    /// <summary>So much is looked at. What cannot be told by then is not told.</summary>
    public const int MaxBytes = 32;

    public string Name => name;

    public Recognition Recognize(ReadOnlySpan<byte> first) => recognizer(first);

    /// <summary>Whatever comes, even nothing: for the last of several.</summary>
    public static CallerProtocol Anything(string name) => new(name, static _ => Recognition.Yes);

    /// <summary>A protocol whose connections all begin with the same bytes.</summary>
    /// <exception cref="ArgumentException">They are none, or too many.</exception>
    public static CallerProtocol StartingWith(string name, byte[] start)
    {
        if (start.Length is 0 or > MaxBytes) throw new ArgumentException($"A protocol is known by 1 to {MaxBytes} bytes, not {start.Length}.", nameof(start));
        return new CallerProtocol(name, first => Compare(first, start));
    }

    public override string ToString() => name;

    private static Recognition Compare(ReadOnlySpan<byte> first, ReadOnlySpan<byte> start)
    {
        if (first.StartsWith(start)) return Recognition.Yes;
        return start.StartsWith(first) ? Recognition.Perhaps : Recognition.No;
    }
}
