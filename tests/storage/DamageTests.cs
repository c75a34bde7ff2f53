using Florete.Storage.Sqlite;

namespace Florete.Storage.Tests;

public sealed class DamageTests : IDisposable
{
    private readonly ReplicaBed bed = new();

    private string Database => Path.Combine(bed.FolderOf("a"), SqliteVersionStore.FileName);

    public void Dispose() => bed.Dispose();

    [Fact]
    public async Task A_file_that_is_no_database_is_an_error_that_names_it_and_stays_as_it_is()
    {
        await FillAsync();
        var nonsense = new byte[10_000];
        new Random(1).NextBytes(nonsense);
        await File.WriteAllBytesAsync(Database, nonsense);
        await AssertRefusedAsync("damaged");
        Assert.Equal(nonsense, await File.ReadAllBytesAsync(Database));
    }

    [Fact]
    public async Task A_file_that_is_cut_off_is_an_error_that_names_it()
    {
        await FillAsync();
        await using (var file = File.OpenWrite(Database)) file.SetLength(file.Length / 2 / 4096 * 4096);
        await AssertRefusedAsync("damaged");
    }

    [Fact]
    public async Task A_version_that_the_disk_has_changed_is_not_passed_on()
    {
        await FillAsync();
        var bytes = await File.ReadAllBytesAsync(Database);
        // Its body is there once, since it is in no index.
        var at = bytes.AsSpan().IndexOf("\"body 7\""u8);
        bytes[at + 1] ^= 1;
        await File.WriteAllBytesAsync(Database, bytes);
        await using var replica = await bed.OpenAsync();
        var error = Assert.Throws<StorageException>(() => replica.Reader.ReadUnit(Versions.Key("d7")));
        Assert.Contains(Database, error.Message, StringComparison.Ordinal);
        Assert.Single(replica.Reader.ReadUnit(Versions.Key("d8")));
    }

    [Fact]
    public async Task Whatever_the_disk_changes_is_an_error_that_names_the_file_or_does_no_harm()
    {
        await FillAsync();
        var good = await File.ReadAllBytesAsync(Database);
        var random = new Random(1);
        var refused = 0;
        for (var i = 0; i < 100; i++)
        {
            var bytes = good.ToArray();
            for (var change = random.Next(1, 30); change > 0; change--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            File.Delete(Database + "-wal");
            File.Delete(Database + "-shm");
            await File.WriteAllBytesAsync(Database, bytes);
            try
            {
                await using var replica = await bed.OpenAsync();
                for (var d = 0; d < 50; d++) replica.Reader.ReadUnit(Versions.Key($"d{d}"));
                replica.Reader.ReadLog(0, 1000);
                Assert.True(BucketSummary.TryParse(new byte[BucketSummary.EncodedBytes], out var empty));
                replica.DifferencesFrom(empty);
                // The clock may be what was damaged: then this is refused.
                await replica.WriteAsync(bed.Alice.Make(Versions.Key("d1"), replica.Prepare(Versions.Key("d1")), "1"), bed.Alice.Chain, bed.Alice.Id);
            }
            catch (StorageException e)
            {
                refused++;
                Assert.Contains(Database, e.Message, StringComparison.Ordinal);
            }
        }
        Assert.True(refused > 0);
    }

    [Fact]
    public async Task A_database_of_a_newer_program_is_refused_and_stays_as_it_is()
    {
        await FillAsync();
        Execute("PRAGMA user_version = 2");
        await AssertRefusedAsync("newer program");
        Execute("PRAGMA user_version = 1");
        await using var replica = await bed.OpenAsync();
        Assert.Equal(50, replica.Digest().Documents);
    }

    [Fact]
    public async Task A_database_of_another_program_or_another_replica_is_refused()
    {
        await FillAsync();
        Execute("UPDATE header SET replica = 'b'");
        await AssertRefusedAsync("belongs to replica 'b'");
        Execute("PRAGMA application_id = 1");
        await AssertRefusedAsync("another program");
    }

    [Fact]
    public async Task A_folder_is_used_by_one_replica_at_a_time()
    {
        await using (await bed.OpenAsync()) await AssertRefusedAsync("in use");
        await using var replica = await bed.OpenAsync();
    }

    [Fact]
    public async Task The_folder_is_its_owners_alone()
    {
        if (OperatingSystem.IsWindows()) return;
        await FillAsync();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(bed.FolderOf("a")));
    }

    private async Task FillAsync()
    {
        await using var replica = await bed.OpenAsync();
        for (var i = 0; i < 50; i++) await replica.PutAsync(bed.Alice, Versions.Key($"d{i}"), $"\"body {i}\"");
    }

    private async Task AssertRefusedAsync(string why)
    {
        var error = await Assert.ThrowsAsync<StorageException>(() => bed.OpenAsync());
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
        Assert.Contains(bed.FolderOf("a"), error.Message, StringComparison.Ordinal);
    }

    private void Execute(string sql)
    {
        using var connection = new SqliteConnection(Database);
        connection.Execute(sql);
    }
}
