using Florete.Identities;
using Florete.Proxy.Coordination;

namespace Florete.Proxy.Tests.Coordination;

public class CoordinationFileTests
{
    [Fact]
    public async Task What_is_saved_is_there_after_a_restart()
    {
        using var lab = new CoordinationLab();
        using var authority = CertificateAuthority.Create("home", CoordinationLab.Start);
        var folder = Directory.CreateTempSubdirectory("florete-").FullName;
        try
        {
            await using var empty = CoordinationFile.Open(Path.Combine(folder, "state"), authority.ClusterIdentity);
            Assert.Equal(CoordinationMemory.None, empty.Loaded);
            var decision = CoordinationLab.Decision(new Epoch(5, "c"), 17, "e", "c>b d");
            var signed = CoordinationLab.Sign(lab.Issue("node/c"), decision.Encode());
            var memory = new CoordinationMemory(new Epoch(ulong.MaxValue, "b"), 4, new KeptDecision(decision, signed, CoordinationLab.Start));
            Assert.Null(await SaveAsync(empty, memory));

            await using var again = CoordinationFile.Open(Path.Combine(folder, "state"), authority.ClusterIdentity);
            Assert.Equal((memory.Newest, memory.Claimed, memory.Decision!.Accepted), (again.Loaded.Newest, again.Loaded.Claimed, again.Loaded.Decision!.Accepted));
            Assert.Equal(signed.Document, again.Loaded.Decision.Signed.Document);
            Assert.Equal(signed.Signature, again.Loaded.Decision.Signed.Signature);
            Assert.Equal(signed.Chain, again.Loaded.Decision.Signed.Chain);
            Assert.Equal(decision.Paths, again.Loaded.Decision.Document.Paths);

            Directory.Delete(Path.Combine(folder, "state"), recursive: true);
            Assert.NotNull(await SaveAsync(again, memory));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_damaged_newer_or_foreign_file_is_an_error_that_names_it_and_is_never_reset()
    {
        using var authority = CertificateAuthority.Create("home", CoordinationLab.Start);
        using var twin = CertificateAuthority.Create("home", CoordinationLab.Start);
        var folder = Directory.CreateTempSubdirectory("florete-").FullName;
        try
        {
            await using (var file = CoordinationFile.Open(folder, authority.ClusterIdentity)) Assert.Null(await SaveAsync(file, new CoordinationMemory(new Epoch(5, "c"), 4, null)));
            var path = Assert.Single(Directory.GetFiles(folder));
            var good = await File.ReadAllTextAsync(path);
            Assert.Contains("another cluster", Assert.Throws<IdentityException>(() => CoordinationFile.Open(folder, twin.ClusterIdentity)).Message, StringComparison.Ordinal);
            (string Text, string Expected)[] wrong =
            [
                (good.Replace("\"format\":1", "\"format\":2", StringComparison.Ordinal), "newer program"),
                (good[..(good.Length / 2)], "damaged"),
                ("", "damaged"),
                ("[]", "damaged"),
                (good.Replace("\"c\"", "\"C\"", StringComparison.Ordinal), "damaged"),
                (good.Replace("\"claimed\":4", "\"claimed\":-4", StringComparison.Ordinal), "damaged"),
                (good[..^1] + ",\"decision\":{\"document\":\"AAAA\",\"signature\":\"\",\"chain\":\"\",\"accepted\":\"2026-01-01T00:00:00Z\"}}", "damaged"),
                (good + new string(' ', 70_000), "damaged"),
            ];
            foreach (var (text, expected) in wrong)
            {
                await File.WriteAllTextAsync(path, text);
                var error = Assert.Throws<IdentityException>(() => CoordinationFile.Open(folder, authority.ClusterIdentity)).Message;
                Assert.Contains(expected, error, StringComparison.Ordinal);
                Assert.StartsWith(path, error, StringComparison.Ordinal);
                Assert.Equal(text, await File.ReadAllTextAsync(path));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static Task<Exception?> SaveAsync(CoordinationFile file, CoordinationMemory memory)
    {
        var saved = new TaskCompletionSource<Exception?>();
        file.Save(memory, saved.SetResult);
        return saved.Task;
    }
}
