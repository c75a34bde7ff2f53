using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Layers.Tests;

public sealed class DirectoryCacheTests : IDisposable
{
    private readonly string folder = System.IO.Directory.CreateTempSubdirectory("florete-directory-").FullName;

    public void Dispose() => System.IO.Directory.Delete(folder, true);

    [Fact]
    public async Task What_was_saved_is_loaded_and_the_files_are_the_owners_alone()
    {
        await using (var cache = new FileDirectoryCache(folder, NullLogger.Instance))
        {
            Assert.Equal(default, cache.LoadVertex());
            Assert.Null(cache.LoadSnapshot());
            cache.SaveVertex(new VertexState(77, 3));
            for (var i = 0; i < 20; i++) cache.SaveSnapshot(new DirectorySnapshot(DirectoryNetwork.Start, [new byte[] { 1, 2 }], [new CachedRecord((ushort)i, new byte[] { 3 })]));
        }
        await using var again = new FileDirectoryCache(folder, NullLogger.Instance);
        Assert.Equal(new VertexState(77, 3), again.LoadVertex());
        var snapshot = again.LoadSnapshot()!;
        Assert.Equal(DirectoryNetwork.Start, snapshot.Saved);
        Assert.Equal([1, 2], Assert.Single(snapshot.Chains).ToArray());
        Assert.Equal(19, Assert.Single(snapshot.Records).AgeSeconds);
        if (OperatingSystem.IsWindows()) return;
        foreach (var file in System.IO.Directory.GetFiles(folder)) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
    }

    [Fact]
    public async Task Damaged_files_count_as_none_and_newer_ones_are_refused_by_name()
    {
        var random = new Random(1);
        await using (var cache = new FileDirectoryCache(folder, NullLogger.Instance))
        {
            cache.SaveVertex(new VertexState(77, 3));
            cache.SaveSnapshot(new DirectorySnapshot(DirectoryNetwork.Start, [new byte[100]], [new CachedRecord(1, new byte[100])]));
        }
        foreach (var file in new[] { "vertex", "records" }.Select(f => Path.Combine(folder, f)))
        {
            var good = await File.ReadAllBytesAsync(file);
            for (var i = 0; i < 200; i++)
            {
                var bad = good.ToArray();
                if (i % 2 == 0) bad[random.Next(6, bad.Length)] ^= (byte)(1 << random.Next(8));
                else bad = bad[..random.Next(bad.Length)];
                await File.WriteAllBytesAsync(file, bad);
                await using var cache = new FileDirectoryCache(folder, NullLogger.Instance);
                if (file.EndsWith("vertex", StringComparison.Ordinal)) Assert.Equal(default, cache.LoadVertex());
                else Assert.Null(cache.LoadSnapshot());
            }
            good[5] = 9;
            await File.WriteAllBytesAsync(file, good);
            Assert.Contains(file, Assert.Throws<IOException>(() => new FileDirectoryCache(folder, NullLogger.Instance)).Message, StringComparison.Ordinal);
            good[5] = 1;
            await File.WriteAllBytesAsync(file, good);
        }
    }

    [Fact]
    public void A_directory_boots_from_its_cache_without_a_neighbour()
    {
        using var network = new DirectoryNetwork(1);
        var line = network.Line(3);
        line[2].Announce("hello");
        Assert.True(network.Converges(TimeSpan.FromSeconds(5)));
        network.Clock.Run(TimeSpan.FromMinutes(2));
        line[0].Stop();
        line[0].Boot();
        network.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(4, line[0].Directory.Status().Records);
        Assert.Empty(line[0].Directory.Services);
        network.Links[0].Up();
        network.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Single(line[0].Directory.Services);
    }
}
