using System.Globalization;
using System.Net;
using System.Text;
using Florete.Configuration;
using Florete.Identities;
using Florete.Portals;

namespace Florete.Proxy.Configuration;

/// <summary>Values of the configuration, each with an error that says what to write.</summary>
internal static class Parsers
{
    /// <summary>sun_path of a Unix socket has 108 bytes with its final zero (unix(7)).</summary>
    public const int MaxSocketPathBytes = 107;

    private static readonly (string Suffix, long Factor)[] Rates = [("kbit", 1_000), ("Mbit", 1_000_000), ("Gbit", 1_000_000_000)];

    public static bool EndPoint(string text, out IPEndPoint? value, out string? error)
    {
        var hasPort = text.StartsWith('[') ? text.Contains("]:", StringComparison.Ordinal) : text.Count(c => c == ':') == 1;
        if (hasPort && IPEndPoint.TryParse(text, out value) && text[^1] != ':')
        {
            error = null;
            return true;
        }
        value = null;
        error = $"'{SectionReader.Short(text)}' is no address with a port from 0 to 65535; write it as in 127.0.0.1:1080 or [::1]:1080";
        return false;
    }

    /// <summary>As <see cref="EndPoint"/>, but of this machine alone.</summary>
    public static bool LoopbackEndPoint(string text, out IPEndPoint? value, out string? error)
    {
        if (!EndPoint(text, out value, out error)) return false;
        if (IPAddress.IsLoopback(value!.Address)) return true;
        (value, error) = (null, $"'{SectionReader.Short(text)}' can be reached from other machines, and nothing guards it; write a loopback address, as in 127.0.0.1:9464, and publish it as a service to read it from elsewhere");
        return false;
    }

    /// <summary>As <see cref="EndPoint"/>, but somewhere to connect to: with a port above 0, and perhaps a host's name.</summary>
    public static bool Target(string text, out EndPoint? value, out string? error)
    {
        value = null;
        error = null;
        if (EndPoint(text, out var address, out _))
        {
            value = address;
            if (address!.Port != 0) return true;
        }
        var colon = text.LastIndexOf(':');
        if (value is null && colon > 0 && Uri.CheckHostName(text[..colon]) == UriHostNameType.Dns
            && ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port != 0
            && !text[..colon].All(c => char.IsAsciiDigit(c) || c == '.'))
        {
            value = new DnsEndPoint(text[..colon], port);
            return true;
        }
        value = null;
        error = $"'{SectionReader.Short(text)}' is no address with a port from 1 to 65535; write it as in 127.0.0.1:8080";
        return false;
    }

    public static bool Bandwidth(string text, out object? bitsPerSecond, out string? error)
    {
        (bitsPerSecond, error) = (null, null);
        foreach (var (suffix, factor) in Rates)
        {
            if (!text.EndsWith(suffix, StringComparison.Ordinal)) continue;
            if (!decimal.TryParse(text.AsSpan(0, text.Length - suffix.Length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)) break;
            if (number is > 0 and < 10_000_000 && number * factor is >= 8_000 and <= 1_000_000_000_000)
            {
                bitsPerSecond = (long)(number * factor);
                return true;
            }
            error = $"'{SectionReader.Short(text)}' is not between 8kbit and 1000Gbit; write what the link carries, as in 100Mbit";
            return false;
        }
        error = $"'{SectionReader.Short(text)}' is no bandwidth; write it as in 500kbit, 100Mbit or 2.5Gbit";
        return false;
    }

    public static bool TrafficClassOf(string text, out object? value, out string? error)
    {
        value = text switch { "bulk" => TrafficClass.Bulk, "interactive" => TrafficClass.Interactive, _ => null };
        error = value is null ? $"'{SectionReader.Short(text)}' is no class; {Nearest.Suggest(text, "bulk", "interactive")}" : null;
        return value is not null;
    }

    /// <summary>An absolute path.</summary>
    public static string Path(string folder, string text) => System.IO.Path.GetFullPath(text, folder);

    public static string? SocketPathProblem(string path)
    {
        var bytes = Encoding.UTF8.GetByteCount(path);
        return bytes <= MaxSocketPathBytes ? null : $"the path '{SectionReader.Short(path)}' has {bytes} bytes, and a Unix socket's has at most {MaxSocketPathBytes}; use a shorter one";
    }
}
