using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Florete.Identities;

namespace Florete.Cli;

/// <summary>Options and arguments that several commands share, with their parsers.</summary>
internal static class CommonOptions
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    public static Option<bool> Json() => new("--json") { Description = "Print the result as JSON." };

    public static Option<string> OperatorFolder() => new("--dir")
    {
        Description = "The operator's folder, made by 'florctl cluster init'.",
        DefaultValueFactory = _ => ".",
    };

    public static Option<TimeSpan> Life(TimeSpan usual) => new("--life")
    {
        Description = "How long the SVIDs are valid: 30s, 90m, 24h, 30d.",
        DefaultValueFactory = _ => usual,
        CustomParser = Parse<TimeSpan>(TryParseLife),
    };

    /// <summary>A custom parser that reports the error of a try-parse function.</summary>
    public static Func<ArgumentResult, T?> Parse<T>(TryParser<T> parser) => result =>
    {
        var text = result.Tokens.Count > 0 ? result.Tokens[^1].Value : "";
        if (parser(text, out var value, out var error)) return value;
        result.AddError(error!);
        return default;
    };

    /// <summary>The same for an option that may be repeated.</summary>
    public static Func<ArgumentResult, T[]> ParseMany<T>(TryParser<T> parser) => result =>
    {
        var values = new List<T>();
        foreach (var token in result.Tokens)
        {
            if (parser(token.Value, out var value, out var error)) values.Add(value!);
            else result.AddError(error!);
        }
        return [.. values];
    };

    public static bool TryParseName(string text, out string? name, out string? error)
    {
        name = text;
        error = SpiffeId.TryParse($"spiffe://{text}/vertex/{text}", out _, out _) ? null : $"'{text}' is not a name: use 1 to 63 of a-z, 0-9 and '-'.";
        return error is null;
    }

    /// <summary><c>HOST:PORT</c>, the host a name or an address; IPv6 in brackets.</summary>
    public static bool TryParseEndpoint(string text, out string? endpoint, out string? error)
    {
        endpoint = text;
        error = $"'{text}' is not HOST:PORT.";
        var colon = text.LastIndexOf(':');
        if (colon <= 0 || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port == 0) return false;
        var host = text[..colon];
        if (host.StartsWith('[') ? !host.EndsWith(']') || !IPAddress.TryParse(host[1..^1], out _) : Uri.CheckHostName(host) is UriHostNameType.Unknown or UriHostNameType.IPv6)
        {
            return false;
        }
        error = null;
        return true;
    }

    /// <summary><c>ADDRESS:PORT</c> of this machine, where something listens.</summary>
    public static bool TryParseListener(string text, out string? endpoint, out string? error)
    {
        endpoint = text;
        error = TryParseEndpoint(text, out _, out _) && IPEndPoint.TryParse(text, out _) ? null : $"'{text}' is not ADDRESS:PORT; write an IP address, as in 0.0.0.0:7431.";
        return error is null;
    }

    public static bool TryParseLife(string text, out TimeSpan life, out string? error)
    {
        life = default;
        error = $"'{text}' is not a duration: write 30s, 90m, 24h or 30d.";
        if (text.Length < 2 || !int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count == 0)
        {
            return false;
        }
        var unit = text[^1] switch { 's' => 1L, 'm' => 60, 'h' => 3600, 'd' => 86400, _ => 0 };
        if (unit == 0 || count * unit > 86400 * 3650L) return false;
        life = TimeSpan.FromSeconds(count * unit);
        error = null;
        return true;
    }

    public static void PrintJson(object value) => Console.Out.WriteLine(JsonSerializer.Serialize(value, Indented));
}

/// <summary>Parses one token, or says what is wrong with it.</summary>
internal delegate bool TryParser<T>(string text, out T? value, out string? error);
