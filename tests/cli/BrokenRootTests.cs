using Florete.Configuration;
using Florete.Identities;

namespace Florete.Cli.Tests;

/// <summary>What florctl does when the operator's folder is not as it should be.</summary>
public sealed class BrokenRootTests : FlorctlTest
{
    public static TheoryData<string, string, string> Damages() => new()
    {
        { "clock", "is valid from", "set the clock" },
        { "expired", "has expired on", "make a new cluster" },
        { "another key", "root.key: this is not the key of", "restore" },
        { "no key", "has no root.key", "--dir" },
        { "no certificate", "root.pem: there is no such root certificate", "restore" },
        { "junk key", "root.key: there is no PRIVATE KEY", "restore" },
        { "broken key", "root.key: the key in it is not", "restore" },
        { "readable key", "root.key: others than its owner", "chmod 600" },
        { "empty certificate", "root.pem: there is no certificate", "copy" },
        { "broken certificate", "root.pem: certificate 1 in it is malformed", "copy" },
        { "another root", "is not among the roots of", "Restore" },
        { "no bundle", "bundle.pem: there is no such trust bundle", "correct the path" },
    };

    [Theory]
    [MemberData(nameof(Damages))]
    public void A_broken_operators_folder_is_named_with_the_remedy_and_nothing_is_left_half_done(string damage, string flaw, string remedy)
    {
        MakeCluster();
        Damage(damage);
        var before = Files();
        foreach (var words in new[]
        {
            new[] { "node", "add", "b", "--dir", "home", "--link", "a", "--identity", "user/alice", "--allow" },
            ["identity", "issue", "--node-dir", "home/nodes/a", "--dir", "home", "user/alice"],
        })
        {
            var errors = Run(1, words).Errors;
            Assert.StartsWith("florctl: ", errors, StringComparison.Ordinal);
            Assert.Contains(flaw, errors, StringComparison.Ordinal);
            Assert.Contains(remedy, errors, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", errors, StringComparison.Ordinal);
            Assert.Equal(before, Files());
        }
    }

    [Fact]
    public void A_node_whose_bounds_cannot_be_signed_is_not_left_half_made()
    {
        Run(0, "cluster", "init", "home");
        File.WriteAllText(At("home/bounds.yaml"), "version: 7\ncluster: home\nlinkz: []\n");
        var before = Files();
        Assert.Contains("did you mean 'links'?", Run(1, "node", "add", "b", "--dir", "home", "--identity", "user/alice").Errors, StringComparison.Ordinal);
        Assert.Equal(before, Files());
        Assert.False(Directory.Exists(At("home/nodes/b")));
    }

    [Fact]
    public void What_a_killed_run_left_does_not_stand_in_the_way()
    {
        Run(0, "cluster", "init", "home");
        Directory.CreateDirectory(At("home/nodes/.b.making/identities"));
        File.WriteAllText(At("home/nodes/.b.making/bundle.pem"), "half");
        Directory.CreateDirectory(At("home/nodes/b"));
        Run(0, "node", "add", "b", "--dir", "home");
        Assert.Equal(["home/nodes/b"], Directory.GetDirectories(At("home/nodes")).Select(path => Path.GetRelativePath(At(""), path)));
        Assert.Equal(TrustBundle.Load(At("home/bundle.pem")).ClusterIdentity, TrustBundle.Load(At("home/nodes/b/bundle.pem")).ClusterIdentity);
    }

    [Fact]
    public void A_folder_that_is_there_and_empty_is_filled_and_not_replaced()
    {
        Run(0, "cluster", "init", "home");
        // The mount point of a volume can only be filled; a mode of its own shows that it is the same folder.
        const UnixFileMode Own = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute;
        Directory.CreateDirectory(At("home/nodes/b"), Own);
        Directory.CreateDirectory(At("home/nodes/b/.making"));
        Run(0, "node", "add", "b", "--dir", "home");
        Assert.Equal(Own, File.GetUnixFileMode(At("home/nodes/b")));
        Assert.Equal(
            ["agent.yaml", "bounds.signed", "bundle.pem", "flor.yaml", "identities", "node-ca.key", "node-ca.pem"],
            Directory.GetFileSystemEntries(At("home/nodes/b")).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Identities_are_issued_while_the_operators_own_is_away_and_bounds_are_not_signed()
    {
        Run(0, "cluster", "init", "home");
        Run(0, "node", "add", "a", "--dir", "home");
        Directory.Delete(At("home/operator"), recursive: true);
        Run(0, "identity", "issue", "--node-dir", "home/nodes/a", "--dir", "home", "vertex/a");
        Assert.Contains("operator-root.pem", Run(1, "node", "add", "b", "--dir", "home", "--allow").Errors, StringComparison.Ordinal);
        Assert.False(Directory.Exists(At("home/nodes/b")));
    }

    [Fact]
    public void A_root_that_the_node_does_not_trust_issues_nothing_into_its_folder()
    {
        Run(0, "cluster", "init", "home");
        Run(0, "node", "add", "a", "--dir", "home");
        Run(0, "cluster", "init", "home", "--dir", "namesake");
        var before = Files();
        Assert.Contains("does not trust the root", Run(1, "identity", "issue", "--node-dir", "home/nodes/a", "--dir", "namesake", "vertex/a").Errors, StringComparison.Ordinal);
        Assert.Equal(before, Files());
    }

    private void MakeCluster()
    {
        using var made = OperatorFolder.Create(At("home"), "home", "version: 1\ncluster: home\nlinks: []\nhosts: []\nconnect: []\n");
        made.SignBounds();
        NodeFolder.Write(At("home/nodes/a"), new NodePlan(SpiffeId.Of("home", IdentityKind.Vertex, "a"), "127.0.0.1:1", [], [], [], [], []), made, TimeSpan.FromDays(1));
    }

    private void Damage(string damage)
    {
        var (certificate, key) = (At("home/root.pem"), At("home/root.key"));
        switch (damage)
        {
            // A root of the day after tomorrow is a clock that has gone back since.
            case "clock": Replace(DateTimeOffset.UtcNow.AddDays(2), null); break;
            case "expired": Replace(DateTimeOffset.UtcNow.AddDays(-2), TimeSpan.FromDays(1)); break;
            case "another key":
                using (var other = CertificateAuthority.Create("home", DateTimeOffset.UtcNow)) other.Save(At("other.pem"), key);
                break;
            case "no key": File.Delete(key); break;
            case "no certificate": File.Delete(certificate); break;
            case "junk key": File.WriteAllText(key, "junk\n"); break;
            case "broken key": File.WriteAllText(key, "-----BEGIN PRIVATE KEY-----\nMEEC\n-----END PRIVATE KEY-----\n"); break;
            case "readable key": File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherRead); break;
            case "empty certificate": File.WriteAllText(certificate, ""); break;
            case "broken certificate": File.WriteAllText(certificate, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"); break;
            case "another root":
                using (var other = CertificateAuthority.Create("home", DateTimeOffset.UtcNow)) other.Save(certificate, key);
                break;
            case "no bundle": File.Delete(At("home/bundle.pem")); break;
        }
    }

    private void Replace(DateTimeOffset made, TimeSpan? life)
    {
        using var root = CertificateAuthority.Create("home", made, life);
        root.Save(At("home/root.pem"), At("home/root.key"));
        foreach (var bundle in new[] { "home/bundle.pem", "home/nodes/a/bundle.pem" }) TrustBundle.Of(root.Root).Save(At(bundle));
    }

    // All that is there, with its content.
    private string[] Files() =>
        [.. Directory.EnumerateFiles(At(""), "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select(file => $"{file}\n{File.ReadAllText(file)}")];
}
