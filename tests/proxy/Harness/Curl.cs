using System.Diagnostics;

namespace Florete.Proxy.Tests.Harness;

/// <summary>The real curl.</summary>
internal static class Curl
{
    public static async Task<CurlResult> RunAsync(params string[] arguments)
    {
        var start = new ProcessStartInfo("curl", ["-sS", "--max-time", "60", .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        // The machine's own proxy settings are not ours.
        foreach (var name in new[] { "no_proxy", "NO_PROXY", "http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy" }) start.Environment.Remove(name);
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        using var output = new MemoryStream();
        await process.StandardOutput.BaseStream.CopyToAsync(output);
        await process.WaitForExitAsync();
        return new CurlResult(process.ExitCode, output.ToArray(), await error);
    }
}

internal sealed record CurlResult(int ExitCode, byte[] Bytes, string Error)
{
    public string Text => System.Text.Encoding.UTF8.GetString(Bytes);
}
