using System.Buffers;
using System.Text;
using Florete.Portals;

namespace Florete.Proxy.Inbounds;

/// <summary>The messages of SOCKS5 (RFC 1928) and its user/password method (RFC 1929), as parsers over what has arrived.</summary>
internal static class SocksMessages
{
    public const byte Version5 = 5;
    public const byte Version4 = 4;
    public const byte NoAuthentication = 0;
    public const byte UserPassword = 2;
    public const byte NoMethod = 0xFF;
    public const byte Connect = 1;

    /// <summary>A request with the longest name; nothing before it is longer than an authentication, 513 bytes.</summary>
    public const int MaxBytes = 1024;

    private const byte UserPasswordVersion = 1;

    /// <summary>VER NMETHODS METHODS (RFC 1928 §3).</summary>
    public static OperationStatus TryParseGreeting(ReadOnlySpan<byte> data, out bool offersNone, out bool offersPassword, out int consumed)
    {
        (offersNone, offersPassword, consumed) = (false, false, 0);
        if (data.Length < 2) return OperationStatus.NeedMoreData;
        if (data[0] != Version5 || data[1] == 0) return OperationStatus.InvalidData;
        if (data.Length < 2 + data[1]) return OperationStatus.NeedMoreData;
        var methods = data.Slice(2, data[1]);
        offersNone = methods.Contains(NoAuthentication);
        offersPassword = methods.Contains(UserPassword);
        consumed = 2 + methods.Length;
        return OperationStatus.Done;
    }

    /// <summary>VER ULEN UNAME PLEN PASSWD (RFC 1929 §2); the spans point into <paramref name="data"/>.</summary>
    public static OperationStatus TryParsePassword(
        ReadOnlySpan<byte> data, out ReadOnlySpan<byte> user, out ReadOnlySpan<byte> password, out int consumed)
    {
        user = password = default;
        consumed = 0;
        if (data.Length < 2) return OperationStatus.NeedMoreData;
        if (data[0] != UserPasswordVersion) return OperationStatus.InvalidData;
        if (data.Length < 3 + data[1]) return OperationStatus.NeedMoreData;
        var passwordLength = data[2 + data[1]];
        consumed = 3 + data[1] + passwordLength;
        if (data.Length < consumed) return OperationStatus.NeedMoreData;
        user = data.Slice(2, data[1]);
        password = data.Slice(3 + data[1], passwordLength);
        return OperationStatus.Done;
    }

    /// <summary>VER CMD RSV ATYP DST.ADDR DST.PORT (RFC 1928 §4).</summary>
    public static OperationStatus TryParseRequest(ReadOnlySpan<byte> data, out SocksRequest request, out int consumed)
    {
        (request, consumed) = (default, 0);
        if (data.Length < 5) return OperationStatus.NeedMoreData;
        if (data[0] != Version5) return OperationStatus.InvalidData;
        var addressBytes = data[3] switch { 1 => 4, 3 => 1 + data[4], 4 => 16, _ => 0 };
        if (addressBytes == 0)
        {
            // An address of unknown length: the rest cannot be understood, but the answer can say so.
            request = new SocksRequest(data[1], null);
            consumed = data.Length;
            return OperationStatus.Done;
        }
        consumed = 4 + addressBytes + 2;
        if (data.Length < consumed) return OperationStatus.NeedMoreData;
        var name = data[3] == 3 ? data.Slice(5, data[4]) : default;
        request = new SocksRequest(data[1], data[3] == 3 ? Name(name) : null);
        return OperationStatus.Done;
    }

    /// <summary>VER REP RSV ATYP BND.ADDR BND.PORT (RFC 1928 §6). There is no address in the mesh, so it is 0.0.0.0:0.</summary>
    public static byte[] Reply(SocksReply reply) => [Version5, (byte)reply, 0, 1, 0, 0, 0, 0, 0, 0];

    /// <summary>The refusal of a SOCKS4 request.</summary>
    public static byte[] Version4Refusal => [0, 0x5B, 0, 0, 0, 0, 0, 0];

    public static SocksReply ReplyOf(PortalError error) => error switch
    {
        PortalError.NotFound => SocksReply.HostUnreachable,
        PortalError.Refused => SocksReply.NotAllowed,
        PortalError.Unreachable => SocksReply.NetworkUnreachable,
        PortalError.TimedOut => SocksReply.TtlExpired,
        PortalError.TargetFailed => SocksReply.ConnectionRefused,
        _ => SocksReply.GeneralFailure,
    };

    // Anything but ASCII stays visible as '?' and is refused as a name later.
    private static string Name(ReadOnlySpan<byte> name) => Encoding.ASCII.GetString(name);
}

/// <param name="Command">CMD</param>
/// <param name="Name">The domain name; null for an address literal.</param>
internal readonly record struct SocksRequest(byte Command, string? Name);

/// <summary>REP of RFC 1928 §6.</summary>
internal enum SocksReply : byte
{
    Succeeded = 0,
    GeneralFailure = 1,
    NotAllowed = 2,
    NetworkUnreachable = 3,
    HostUnreachable = 4,
    ConnectionRefused = 5,
    TtlExpired = 6,
    CommandNotSupported = 7,
    AddressTypeNotSupported = 8,
}
