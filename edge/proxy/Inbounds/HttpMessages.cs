using System.Buffers.Text;
using System.Text;
using Florete.Portals;

namespace Florete.Proxy.Inbounds;

/// <summary>The little of HTTP/1.1 (RFC 9112) that a proxy must read itself: the head of a CONNECT, and the answers to it.</summary>
internal static class HttpMessages
{
    /// <summary>Larger than Kestrel's own limit for a request's head, so that Kestrel words the refusal.</summary>
    public const int MaxHeadBytes = 64 * 1024;

    private static ReadOnlySpan<byte> ConnectMethod => "CONNECT "u8;

    /// <summary>Bytes of the head, through its empty line; −1: not complete.</summary>
    public static int FindEndOfHead(ReadOnlySpan<byte> data)
    {
        var end = data.IndexOf("\r\n\r\n"u8);
        return end < 0 ? -1 : end + 4;
    }

    public static bool IsConnect(ReadOnlySpan<byte> head) => head.StartsWith(ConnectMethod);

    /// <summary>Reads <c>CONNECT host:port HTTP/1.1</c> and the credentials, if any. False: it is malformed.</summary>
    public static bool TryParseConnect(ReadOnlySpan<byte> head, out string host, out string? authorization)
    {
        (host, authorization) = ("", null);
        var lineEnd = head.IndexOf("\r\n"u8);
        if (lineEnd < 0 || !IsConnect(head)) return false;
        var line = head[ConnectMethod.Length..lineEnd];
        var space = line.IndexOf((byte)' ');
        if (space <= 0 || !line[(space + 1)..].StartsWith("HTTP/1."u8)) return false;
        var authority = line[..space];
        // authority-form has a port (RFC 9112 §3.2.3); [v6]:port has more colons.
        var colon = authority.LastIndexOf((byte)':');
        if (colon <= 0 || !Utf8Parser.TryParse(authority[(colon + 1)..], out ushort _, out var digits) || digits != authority.Length - colon - 1) return false;
        host = Encoding.ASCII.GetString(authority[..colon]);
        var rest = head[(lineEnd + 2)..];
        while (true)
        {
            lineEnd = rest.IndexOf("\r\n"u8);
            if (lineEnd <= 0) return lineEnd == 0;
            var field = rest[..lineEnd];
            rest = rest[(lineEnd + 2)..];
            colon = field.IndexOf((byte)':');
            // No space before the colon, no folded lines (RFC 9112 §5.1, §5.2): both have been used to smuggle.
            if (colon <= 0 || field[0] is (byte)' ' or (byte)'\t' || field[colon - 1] is (byte)' ' or (byte)'\t') return false;
            if (!Ascii.EqualsIgnoreCase(field[..colon], "Proxy-Authorization"u8)) continue;
            if (authorization is not null) return false;
            authorization = Encoding.ASCII.GetString(field[(colon + 1)..]).Trim(' ', '\t');
        }
    }

    /// <summary>Are these the inbound's credentials, in the Basic scheme (RFC 7617)?</summary>
    public static bool Matches(Credentials credentials, string? authorization)
    {
        const string Scheme = "Basic ";
        if (authorization is null || authorization.Length > 1024 || !authorization.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)) return false;
        Span<byte> decoded = stackalloc byte[768];
        if (!Convert.TryFromBase64String(authorization[Scheme.Length..].Trim(), decoded, out var bytes)) return false;
        decoded = decoded[..bytes];
        var colon = decoded.IndexOf((byte)':');
        var isRight = colon >= 0 && credentials.Match(decoded[..colon], decoded[(colon + 1)..]);
        decoded.Clear();
        return isRight;
    }

    public static int StatusOf(PortalError error) => error switch
    {
        PortalError.Refused => 403,
        PortalError.TimedOut => 504,
        PortalError.LimitReached => 503,
        _ => 502,
    };

    public static string ReasonOf(int status) => status switch
    {
        400 => "Bad Request",
        403 => "Forbidden",
        407 => "Proxy Authentication Required",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "OK",
    };

    /// <summary>A whole answer with one sentence, after which the connection is closed.</summary>
    public static byte[] Answer(int status, string sentence)
    {
        var body = Encoding.UTF8.GetBytes(sentence + "\n");
        var challenge = status == 407 ? $"Proxy-Authenticate: {Challenge}\r\n" : "";
        var head = $"HTTP/1.1 {status} {ReasonOf(status)}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {body.Length}\r\n{challenge}Connection: close\r\n\r\n";
        return [.. Encoding.ASCII.GetBytes(head), .. body];
    }

    public const string Challenge = "Basic realm=\"florete\", charset=\"UTF-8\"";

    public const string WantsCredentials = "This inbound wants a user and a password; give those of its configuration (curl: --proxy-user).";

    public static ReadOnlyMemory<byte> Established { get; } = "HTTP/1.1 200 Connection established\r\n\r\n"u8.ToArray();
}
