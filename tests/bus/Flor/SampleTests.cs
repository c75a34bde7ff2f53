using System.Diagnostics;

namespace Florete.Bus.Tests.Flor;

/// <summary>What docs/programs.md shows is what is compiled in <c>samples/</c>, and runs.</summary>
public class SampleTests(BusNode node) : IClassFixture<BusNode>
{
    [Theory]
    [InlineData("bus-store")]
    [InlineData("bus-shop")]
    public void The_page_shows_the_sample_word_for_word(string sample)
    {
        var root = Root();
        var shown = Lines(Path.Combine(root, "docs", "programs.md"));
        var code = Lines(Path.Combine(root, "samples", sample, "Program.cs"));
        var at = Enumerable.Range(0, shown.Count).FirstOrDefault(i => shown.Skip(i).Take(code.Count).SequenceEqual(code), -1);
        Assert.True(at >= 0, $"docs/programs.md does not show samples/{sample}/Program.cs; copy it there.");
    }

    [Fact]
    public async Task The_shop_is_answered_by_a_store_that_starts_after_it()
    {
        using var shop = Start("bus-shop", "shop");
        using var store = Start("bus-store", "store");
        try
        {
            store.OutputDataReceived += static (_, _) => { };
            store.BeginOutputReadLine();
            Assert.Equal("tea for spiffe://home/service/shop\n", await shop.StandardOutput.ReadToEndAsync().WaitAsync(TimeSpan.FromSeconds(60)));
            await shop.WaitForExitAsync();
        }
        finally
        {
            shop.Kill();
            store.Kill();
            await store.WaitForExitAsync();
        }
    }

    private static List<string> Lines(string file) => [.. File.ReadAllLines(file).Select(static l => l.Trim()).Where(static l => l.Length > 0)];

    private Process Start(string program, string identity) =>
        Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, program), [node.SocketOf(identity)]) { RedirectStandardOutput = true })!;

    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Florete.sln"))) folder = folder.Parent!;
        return folder.FullName;
    }
}
