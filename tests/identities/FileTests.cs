using System.Security.Cryptography.X509Certificates;

namespace Florete.Identities.Tests;

public class FileTests
{
    [Fact]
    public void A_pair_reads_back_with_its_key_and_leaves_no_other_file()
    {
        using var folder = new TemporaryFolder();
        using var authority = Pki.Authority();
        for (var i = 0; i < 2; i++)
        {
            var svid = authority.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now);
            SvidFiles.Write(folder.Path, svid);
            var read = SvidFiles.Read(folder.File("service-hello.pem"));
            Assert.Equal(svid.Leaf.RawData, read.Leaf.RawData);
            using var key = read.Leaf.GetECDsaPrivateKey();
            Assert.NotNull(key);
            Assert.Equal(["service-hello.key", "service-hello.pem"], Directory.GetFiles(folder.Path).Select(Path.GetFileName).Order());
        }
    }

    [Fact]
    public void A_key_that_others_can_read_is_refused_with_the_remedy()
    {
        using var folder = new TemporaryFolder();
        using var authority = Pki.Authority();
        SvidFiles.Write(folder.Path, authority.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now));
        var key = folder.File("service-hello.key");
        foreach (var other in new[] { UnixFileMode.GroupRead, UnixFileMode.OtherRead, UnixFileMode.OtherWrite })
        {
            File.SetUnixFileMode(key, AtomicFile.OwnerOnly | other);
            var error = Assert.Throws<IdentityException>(() => SvidFiles.Read(folder.File("service-hello.pem")));
            Assert.EndsWith($"chmod 600 {key}", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_crash_at_any_step_of_a_renewal_leaves_a_usable_pair()
    {
        using var folder = new TemporaryFolder();
        using var other = new TemporaryFolder();
        using var authority = Pki.Authority();
        SvidFiles.Write(folder.Path, authority.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now));
        SvidFiles.Write(other.Path, authority.Issue(Pki.Hello, TimeSpan.FromHours(2), Pki.Now));
        // The states between the writer's steps: both keys with the old leaf, both keys with the new leaf.
        var both = File.ReadAllText(other.File("service-hello.key")) + File.ReadAllText(folder.File("service-hello.key"));
        AtomicFile.Write(folder.File("service-hello.key"), both, AtomicFile.OwnerOnly);
        Assert.Equal(Pki.Now.AddHours(1), SvidFiles.Read(folder.File("service-hello.pem")).NotAfter);
        File.Copy(other.File("service-hello.pem"), folder.File("service-hello.pem"), overwrite: true);
        Assert.Equal(Pki.Now.AddHours(2), SvidFiles.Read(folder.File("service-hello.pem")).NotAfter);
    }

    [Fact]
    public void Two_crashes_in_a_row_leave_a_usable_pair_too()
    {
        using var folder = new TemporaryFolder();
        using var authority = Pki.Authority();
        var (pem, key) = (folder.File("service-hello.pem"), folder.File("service-hello.key"));
        X509Svid Made(int hours) => authority.Issue(Pki.Hello, TimeSpan.FromHours(hours), Pki.Now);
        SvidFiles.Write(folder.Path, Made(1));
        // Killed after the first step: the key of the certificate is the second in its file.
        using var lost = Made(2).Leaf.GetECDsaPrivateKey()!;
        AtomicFile.Write(key, lost.ExportPkcs8PrivateKeyPem() + "\n" + File.ReadAllText(key), AtomicFile.OwnerOnly);
        // And again, after its first step.
        var kept = SvidFiles.KeyInUse(pem, key);
        AtomicFile.Write(key, lost.ExportPkcs8PrivateKeyPem() + "\n" + kept, AtomicFile.OwnerOnly);
        Assert.Equal(Pki.Now.AddHours(1), SvidFiles.Read(pem).NotAfter);
        SvidFiles.Write(folder.Path, Made(3));
        Assert.Equal(Pki.Now.AddHours(3), SvidFiles.Read(pem).NotAfter);
    }

    [Fact]
    public void Broken_files_are_named_with_what_is_wrong()
    {
        using var folder = new TemporaryFolder();
        using var authority = Pki.Authority();
        var (pem, key) = (folder.File("service-hello.pem"), folder.File("service-hello.key"));
        Assert.Contains("no such certificate", Assert.Throws<IdentityException>(() => SvidFiles.Read(pem)).Message, StringComparison.Ordinal);
        SvidFiles.Write(folder.Path, authority.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now));
        var good = File.ReadAllText(pem);
        File.Delete(key);
        Assert.Contains(key, Assert.Throws<IdentityException>(() => SvidFiles.Read(pem)).Message, StringComparison.Ordinal);
        AtomicFile.Write(key, "", AtomicFile.OwnerOnly);
        Assert.Contains("no PRIVATE KEY", Assert.Throws<IdentityException>(() => SvidFiles.Read(pem)).Message, StringComparison.Ordinal);
        using var stranger = new TemporaryFolder();
        SvidFiles.Write(stranger.Path, authority.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now));
        File.Copy(stranger.File("service-hello.key"), key, overwrite: true);
        Assert.Contains("does not belong", Assert.Throws<IdentityException>(() => SvidFiles.Read(pem)).Message, StringComparison.Ordinal);

        var random = new Random(3);
        for (var i = 0; i < 300; i++)
        {
            File.WriteAllBytes(pem, CertificateTests.Flip(System.Text.Encoding.ASCII.GetBytes(good), random));
            try
            {
                Assert.Equal(Pki.Hello, SvidFiles.Read(pem).Id);
            }
            catch (IdentityException e)
            {
                Assert.Contains("service-hello.", e.Message, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void A_folder_picks_up_added_renewed_and_removed_files_and_keeps_the_old_for_a_broken_one()
    {
        using var folder = new TemporaryFolder();
        using var authority = Pki.Authority();
        var vertex = SpiffeId.Parse("spiffe://home/vertex/a");
        SvidFiles.Write(folder.Path, authority.Issue(vertex, TimeSpan.FromHours(1), Pki.Now));
        var opened = IdentityFolder.Open(folder.Path);
        Assert.Equal(vertex, Assert.Single(opened.Identities).Id);
        Assert.True(opened.Reload().IsEmpty);

        SvidFiles.Write(folder.Path, authority.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now));
        Assert.Equal(Pki.Hello, Assert.Single(opened.Reload().Added).Id);

        var held = opened.Find(vertex)!;
        var raised = 0;
        held.Renewed += _ => raised++;
        SvidFiles.Write(folder.Path, authority.Issue(vertex, TimeSpan.FromHours(2), Pki.Now));
        Assert.Same(held, Assert.Single(opened.Reload().Renewed));
        Assert.Equal((1, Pki.Now.AddHours(2)), (raised, held.Current.NotAfter));

        File.WriteAllText(folder.File("vertex-a.pem"), "garbage");
        Assert.Contains("vertex-a.pem", Assert.Single(opened.Reload().Problems), StringComparison.Ordinal);
        Assert.Equal(Pki.Now.AddHours(2), opened.Find(vertex)!.Current.NotAfter);
        Assert.Throws<IdentityException>(() => IdentityFolder.Open(folder.Path));

        File.Delete(folder.File("vertex-a.pem"));
        Assert.Equal(vertex, Assert.Single(opened.Reload().Removed).Id);
        File.Move(folder.File("service-hello.pem"), folder.File("service-other.pem"));
        File.Move(folder.File("service-hello.key"), folder.File("service-other.key"));
        Assert.Contains("name it service-hello.pem", Assert.Single(opened.Reload().Problems), StringComparison.Ordinal);
        Assert.Contains("cannot be read", Assert.Throws<IdentityException>(() => IdentityFolder.Open(folder.File("none"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_bundle_holds_roots_of_one_cluster_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        using var home = Pki.Authority();
        using var office = Pki.Authority("office");
        var file = folder.File("bundle.pem");
        TrustBundle.Of(home.Root).Save(file);
        Assert.Equal(home.ClusterIdentity, TrustBundle.Load(file).ClusterIdentity);
        Assert.Contains("mixes roots", Assert.Throws<IdentityException>(() => TrustBundle.Of(home.Root, office.Root)).Message, StringComparison.Ordinal);
        Assert.Contains("no certificate", Assert.Throws<IdentityException>(() => TrustBundle.Parse("", "f")).Message, StringComparison.Ordinal);
        Assert.Contains("is no root", Assert.Throws<IdentityException>(() => TrustBundle.Of(home.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now).Leaf)).Message, StringComparison.Ordinal);
        Assert.Contains(file, Assert.Throws<IdentityException>(() => TrustBundle.Load(file + "x")).Message, StringComparison.Ordinal);
    }
}
