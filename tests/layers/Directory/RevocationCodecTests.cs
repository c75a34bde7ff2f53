using Florete.Identities;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Layers.Tests;

public sealed class RevocationCodecTests : IDisposable
{
    private static readonly DateTimeOffset Now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly CertificateAuthority authority = CertificateAuthority.Create("home", Now);
    private readonly string folder = System.IO.Directory.CreateTempSubdirectory("florete-revocations-").FullName;

    public void Dispose()
    {
        authority.Dispose();
        System.IO.Directory.Delete(folder, true);
    }

    private string FilePath => Path.Combine(folder, "directory", "revocations");

    private PeerVerifier Verifier => new(TrustBundle.Of(authority.Root));

    [Fact]
    public void A_body_is_read_as_it_was_written()
    {
        var prop = Prop.ForAll<PositiveInt, byte, NonNull<string>>((seconds, reason, text) =>
        {
            var words = new string([.. text.Get.Where(c => !char.IsControl(c) && !char.IsSurrogate(c)).Take(60)]);
            var body = new RevocationBody(DateTimeOffset.FromUnixTimeSeconds(seconds.Get), (RevocationReason)reason, words);
            return RevocationBody.TryDecode(body.Encode(), out var read) && read == body
                && RevocationBody.TryDecode([.. body.Encode(), 0x01, 0, 1, 9], out var later) && later == body
                && !RevocationBody.TryDecode([.. body.Encode(), 0x81, 0, 0], out _);
        });
        Check.QuickThrowOnFailure(prop);
    }

    [Fact]
    public void Hostile_bodies_and_messages_are_refused_without_a_fault()
    {
        var random = new Random(3);
        var body = new RevocationBody(Now, RevocationReason.KeyCompromise, "stolen").Encode();
        var message = Sign("alice").Message;
        for (var i = 0; i < 5_000; i++)
        {
            RevocationBody.TryDecode(Mangle(random, body), out _);
            var mangled = Mangle(random, message);
            Assert.False(SignedRevocation.TryVerify(mangled, "cluster", Verifier, out _, out var problem) && !mangled.AsSpan().SequenceEqual(message), problem);
        }
        Assert.False(RevocationBody.TryDecode([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0], out _));
        Assert.False(RevocationBody.TryDecode([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF], out _));
        Assert.False(RevocationBody.TryDecode([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, (byte)'\n'], out _));
    }

    [Fact]
    public void A_reason_that_is_too_long_or_would_break_a_line_is_not_signed()
    {
        Assert.Throws<ArgumentException>(() => Sign("alice", new string('x', 201)));
        Assert.Throws<ArgumentException>(() => Sign("alice", "one\ntwo"));
    }

    [Fact]
    public async Task What_was_saved_is_loaded_by_the_owner_alone_and_a_damaged_file_is_never_taken_for_none()
    {
        Assert.Empty(Open().Loaded);
        var saved = new TaskCompletionSource<Exception?>();
        var file = Open();
        file.Save([Sign("alice"), Sign("bob")], saved.SetResult);
        Assert.Null(await saved.Task);
        await file.DisposeAsync();
        Assert.Equal(["alice", "bob"], Open().Loaded.Select(r => r.Content.Subject.Name));
        if (!OperatingSystem.IsWindows()) Assert.Equal(AtomicFile.OwnerOnly, File.GetUnixFileMode(FilePath));

        // Of another root: proved by nobody here.
        using var other = CertificateAuthority.Create("home", Now);
        Assert.Empty(RevocationFile.Open(FilePath, "cluster", new PeerVerifier(TrustBundle.Of(other.Root)), NullLogger.Instance).Loaded);

        var good = File.ReadAllBytes(FilePath);
        var random = new Random(4);
        for (var i = 0; i < 200; i++)
        {
            var mangled = Mangle(random, good);
            if (mangled.AsSpan().SequenceEqual(good)) continue;
            File.WriteAllBytes(FilePath, mangled);
            Assert.Contains(FilePath, Assert.Throws<IdentityException>(Open).Message, StringComparison.Ordinal);
        }
        good[5] = 2;
        File.WriteAllBytes(FilePath, good);
        Assert.Contains("newer", Assert.Throws<IdentityException>(Open).Message, StringComparison.Ordinal);
    }

    private RevocationFile Open() => RevocationFile.Open(FilePath, "cluster", Verifier, NullLogger.Instance);

    private SignedRevocation Sign(string user, string text = "")
    {
        var signer = authority.Issue(SpiffeId.Of("home", IdentityKind.Operator, "root"), TimeSpan.FromDays(1), Now);
        return SignedRevocation.Sign(
            "cluster", new Revocation(SpiffeId.Of("home", IdentityKind.User, user), Now, RevocationReason.Unspecified, text, signer.Id, Now, Now.AddDays(1)), signer);
    }

    private static byte[] Mangle(Random random, byte[] whole)
    {
        if (random.Next(3) == 0) return whole[..random.Next(whole.Length)];
        byte[] mangled = [.. whole];
        for (var flips = random.Next(1, 4); flips > 0; flips--) mangled[random.Next(mangled.Length)] ^= (byte)(1 << random.Next(8));
        return mangled;
    }
}
