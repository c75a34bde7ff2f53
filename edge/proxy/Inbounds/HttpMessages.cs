using System.Buffers;
using System.Buffers.Text;
using System.Text;
using Florete.Portals;

namespace Florete.Proxy.Inbounds;

/// <summary>The little of HTTP/1.1 (RFC 9112) that a proxy must read itself: the head of a CONNECT, and the answers to it.</summary>
internal static class HttpMessages
{
    /// <summary>Larger than Kestrel's own limit for a request's head, so that Kestrel words the refusal.</summary>
    public const int MaxHeadBytes = 64 * 1024;

    private static readonly SearchValues<byte> NotOfAuthority = SearchValues.Create("@/\\?#%"u8);

    private static ReadOnlySpan<byte> ConnectMethod => "CONNECT "u8;

    /// <summary>
    /// Looks for the empty line that ends the head. Lines that end with a lone LF, and zero bytes, are refused at once: programs disagree
    /// about them, and that has been used to smuggle requests (RFC 9112 §2.2, §11.2).
    /// </summary>
    /// <param name="data">All that has arrived of the request.</param>
    /// <param name="scanned">What an earlier call has seen; begin with 0.</param>
    /// <param name="head">Bytes of the head, through its empty line, when done.</param>
    public static OperationStatus FindEndOfHead(ReadOnlySpan<byte> data, ref int scanned, out int head)
    {
        head = 0;
        while (data[scanned..].IndexOfAny((byte)'\n', (byte)0) is >= 0 and var offset)
        {
            var at = scanned + offset;
            if (data[at] == 0 || at == 0 || data[at - 1] != (byte)'\r') return OperationStatus.InvalidData;
            scanned = at + 1;
            if (at >= 3 && data[at - 2] == (byte)'\n')
            {
                head = scanned;
                return OperationStatus.Done;
            }
        }
        scanned = data.Length;
        return OperationStatus.NeedMoreData;
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
        if (space <= 0 || !(line[(space + 1)..].SequenceEqual("HTTP/1.1"u8) || line[(space + 1)..].SequenceEqual("HTTP/1.0"u8))) return false;
        if (!TryParseAuthority(line[..space], out host)) return false;
        var rest = head[(lineEnd + 2)..];
        while (true)
        {
            lineEnd = rest.IndexOf("\r\n"u8);
            if (lineEnd <= 0) return lineEnd == 0;
            if (!TryParseField(rest[..lineEnd], out var name, out var value)) return false;
            rest = rest[(lineEnd + 2)..];
            // What follows a CONNECT is the tunnel's (RFC 9110 §9.3.6); a body would be taken for it.
            if (Ascii.EqualsIgnoreCase(name, "Transfer-Encoding"u8)) return false;
            if (Ascii.EqualsIgnoreCase(name, "Content-Length"u8) && !value.SequenceEqual("0"u8)) return false;
            if (!Ascii.EqualsIgnoreCase(name, "Proxy-Authorization"u8)) continue;
            if (authorization is not null) return false;
            authorization = Encoding.ASCII.GetString(value);
        }
    }

    // authority-form: host and port, nothing else (RFC 9112 §3.2.3); [v6]:port has more colons.
    private static bool TryParseAuthority(ReadOnlySpan<byte> authority, out string host)
    {
        host = "";
        var colon = authority.LastIndexOf((byte)':');
        if (colon <= 0 || authority.ContainsAnyExceptInRange((byte)'!', (byte)'~') || authority.ContainsAny(NotOfAuthority)) return false;
        var port = authority[(colon + 1)..];
        if (!Utf8Parser.TryParse(port, out ushort number, out var digits) || digits != port.Length || number == 0) return false;
        host = Encoding.ASCII.GetString(authority[..colon]);
        return true;
    }

    // No space before the colon, no folded lines (RFC 9112 §5.1, §5.2): both have been used to smuggle. No control characters (RFC 9110 §5.5).
    private static bool TryParseField(ReadOnlySpan<byte> field, out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        name = value = default;
        var colon = field.IndexOf((byte)':');
        if (colon <= 0) return false;
        name = field[..colon];
        value = field[(colon + 1)..].Trim(" \t"u8);
        if (name.ContainsAnyExceptInRange((byte)'!', (byte)'~')) return false;
        foreach (var c in value)
        {
            if (c is < (byte)' ' and not (byte)'\t' or 0x7F) return false;
        }
        return true;
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

    /// <summary>The status of each refusal; docs/configuration.md tells them to people.</summary>
    public static int StatusOf(PortalError error) => error switch
    {
        PortalError.Refused => 403,
        PortalError.NotFound => 404,
        PortalError.TimedOut => 504,
        PortalError.LimitReached => 503,
        _ => 502,
    };

    /// <summary>The error type of each refusal (RFC 9209 §2.3), by which a client tells the proxy's answers from a service's.</summary>
    public static string ProxyStatusOf(PortalError error) => "flor; error=" + error switch
    {
        PortalError.Refused => "http_request_denied",
        PortalError.NotFound => "destination_not_found",
        PortalError.Unreachable => "destination_unavailable",
        PortalError.TimedOut => "connection_timeout",
        PortalError.TargetFailed => "connection_refused",
        PortalError.LimitReached => "connection_limit_reached",
        PortalError.ProtocolViolation => "http_protocol_error",
        _ => "connection_terminated",
    };

    public static string ReasonOf(int status) => status switch
    {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "OK",
    };

    /// <summary>A whole answer with one sentence, after which the connection is closed.</summary>
    public static byte[] Answer(int status, string sentence, PortalError? error = null)
    {
        var challenge = status == 407 ? $"Proxy-Authenticate: {Challenge}\r\n" : "";
        var reason = error is { } known ? $"Proxy-Status: {ProxyStatusOf(known)}\r\n" : "";
        return Whole(status, "text/plain; charset=utf-8", challenge + reason, sentence + "\n");
    }

    /// <summary>A whole answer with a body, after which the connection is closed.</summary>
    public static byte[] Answer(int status, string contentType, string body) => Whole(status, contentType, "", body);

    private static byte[] Whole(int status, string contentType, string fields, string text)
    {
        var body = Encoding.UTF8.GetBytes(text);
        var head = $"HTTP/1.1 {status} {ReasonOf(status)}\r\nContent-Type: {contentType}\r\nContent-Length: {body.Length}\r\n{fields}Cache-Control: no-store\r\nConnection: close\r\n\r\n";
        return [.. Encoding.ASCII.GetBytes(head), .. body];
    }

    public const string Challenge = "Basic realm=\"florete\", charset=\"UTF-8\"";

    public const string WantsCredentials = "This inbound wants a user and a password; give those of its configuration (curl: --proxy-user).";

    public static ReadOnlyMemory<byte> Established { get; } = "HTTP/1.1 200 Connection established\r\n\r\n"u8.ToArray();
}
