using System.Diagnostics;

namespace Florete.AspNetCore.Tests;

/// <summary>What README shows is what is compiled in <c>samples/</c>, and runs.</summary>
public class SampleTests(OverFlor node) : IClassFixture<OverFlor>
{
    [Theory]
    [InlineData("hello-server")]
    [InlineData("hello-client")]
    public void README_shows_the_sample_word_for_word(string sample)
    {
        var root = Root();
        var shown = File.ReadAllLines(Path.Combine(root, "README.md")).Select(static l => l.Trim()).Where(static l => l.Length > 0).ToList();
        var code = File.ReadAllLines(Path.Combine(root, "samples", sample, "Program.cs")).Select(static l => l.Trim()).Where(static l => l.Length > 0).ToList();
        Assert.InRange(code.Count, 3, 10);
        var at = Enumerable.Range(0, shown.Count).FirstOrDefault(i => shown.Skip(i).Take(code.Count).SequenceEqual(code), -1);
        Assert.True(at >= 0, $"README does not show samples/{sample}/Program.cs; copy it there.");
    }

    [Fact]
    public async Task The_samples_reach_each_other_through_flor()
    {
        using var server = Start("hello-server", node.SocketOf("hello"));
        try
        {
            var said = "";
            await Eventually.TrueAsync(async () =>
            {
                using var client = Start("hello-client", node.SocketOf("alice"));
                said = await client.StandardOutput.ReadToEndAsync();
                await client.WaitForExitAsync();
                return client.ExitCode == 0;
            });
            Assert.Equal("Hello spiffe://home/user/alice\n", said);
        }
        finally
        {
            server.Kill();
            await server.WaitForExitAsync();
        }
    }

    private static Process Start(string name, string socket)
    {
        var process = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, name), [socket])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        process.ErrorDataReceived += static (_, _) => { };
        process.BeginErrorReadLine();
        if (name != "hello-server") return process;
        process.OutputDataReceived += static (_, _) => { };
        process.BeginOutputReadLine();
        return process;
    }

    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Florete.sln"))) folder = folder.Parent!;
        return folder.FullName;
    }
}
