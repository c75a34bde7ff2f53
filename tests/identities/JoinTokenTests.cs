using FsCheck;
using FsCheck.Fluent;

namespace Florete.Identities.Tests;

public class JoinTokenTests
{
    private static readonly JoinContact[] Contacts = [new("b", "10.0.0.2:7431"), new(null, "[fe80::1]:7431"), new("c", "example.org:1")];

    [Fact]
    public void A_token_reads_back_as_it_was_made_and_is_believed_by_the_clusters_own()
    {
        using var authority = Pki.Authority();
        var token = Make(authority);
        Assert.InRange(token.Text.Length, 100, JoinToken.MaxLength);
        // As it comes out of a mail: with line breaks and spaces.
        var pasted = string.Join("\n  ", token.Text.Chunk(70).Select(static part => new string(part)));
        Assert.True(JoinToken.TryParse(pasted, out var read, out _));
        Assert.Equal(authority.ClusterIdentity, read.Cluster);
        Assert.Equal("spiffe://home/vertex/a", read.IssuerVertex.ToString());
        Assert.Equal("spiffe://home/node/d", read.Node.ToString());
        Assert.Equal(token.Id, read.Id);
        Assert.Equal(32, read.Id.Length);
        Assert.Equal(Pki.Now.AddHours(1), read.Expiry);
        Assert.Equal(Contacts, read.Contacts);
        Assert.True(read.Verify(authority.Verifier(), authority.ClusterIdentity, Pki.Now).IsAllowed);
        Assert.NotEqual(Make(authority).Id, token.Id);
        Assert.DoesNotContain(token.Text, token.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Who_is_no_operator_of_the_cluster_signs_no_token()
    {
        using var authority = Pki.Authority();
        using var other = Pki.Authority();
        Assert.Throws<IdentityException>(() => Make(authority, authority.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now)));
        // Signed by the operator of another cluster of the same name.
        var foreign = Make(authority, Operator(other));
        Assert.Contains("not proved", foreign.Verify(authority.Verifier(), authority.ClusterIdentity, Pki.Now).Refusal, StringComparison.Ordinal);
        Assert.Contains("is for cluster", Make(authority).Verify(other.Verifier(), other.ClusterIdentity, Pki.Now).Refusal, StringComparison.Ordinal);
        // A node's authority makes no operator.
        using var node = authority.IssueNodeAuthority("a", TimeSpan.FromDays(30), Pki.Now);
        Assert.Throws<IdentityException>(() => node.Issue(SpiffeId.Of("home", IdentityKind.Operator, "root"), TimeSpan.FromHours(1), Pki.Now));
    }

    [Fact]
    public void It_expires_with_two_minutes_for_clocks()
    {
        using var authority = Pki.Authority();
        var token = Make(authority);
        Assert.False(token.IsExpired(Pki.Now.AddMinutes(61)));
        Assert.True(token.IsExpired(Pki.Now.AddMinutes(63)));
    }

    [Fact]
    public void Altered_truncated_and_random_tokens_are_refused_and_never_throw()
    {
        using var authority = Pki.Authority();
        var verifier = authority.Verifier();
        var text = Make(authority).Text;
        var bytes = System.Buffers.Text.Base64Url.DecodeFromChars(text.AsSpan(JoinToken.Prefix.Length));
        bool IsRefused(byte[] content) =>
            !JoinToken.TryParse(JoinToken.Prefix + System.Buffers.Text.Base64Url.EncodeToString(content), out var token, out _)
            || !token.Verify(verifier, authority.ClusterIdentity, Pki.Now).IsAllowed;
        for (var length = 0; length < bytes.Length; length++) Assert.True(IsRefused(bytes[..length]), $"{length} of {bytes.Length} bytes");
        Assert.True(IsRefused([.. bytes, 0]));
        var random = new Random(5);
        for (var i = 0; i < 400; i++) Assert.True(IsRefused(CertificateTests.Flip(bytes, random)));
        Check.QuickThrowOnFailure(Prop.ForAll<byte[]>(IsRefused));
        Check.QuickThrowOnFailure(Prop.ForAll<string>(static any => !JoinToken.TryParse(any, out _, out var error) && error.Length > 0));
        Assert.False(JoinToken.TryParse(JoinToken.Prefix + new string('A', 5000), out _, out _));
        Assert.False(JoinToken.TryParse("florete-join-2.AAAA", out _, out var newer));
        Assert.Contains("another version", newer, StringComparison.Ordinal);
        Assert.True(JoinToken.TryParse(text, out _, out _));
    }

    [Theory]
    [InlineData("d", "10.0.0.2")]
    [InlineData("d", "10.0.0.2:0")]
    [InlineData("d", "a b:1")]
    [InlineData("D", "10.0.0.2:1")]
    [InlineData("a/b", "10.0.0.2:1")]
    public void What_nobody_would_take_is_not_made(string node, string address)
    {
        using var authority = Pki.Authority();
        Assert.Throws<IdentityException>(() => JoinToken.Create(authority.ClusterIdentity, "a", node, [new JoinContact(null, address)], Pki.Now, Operator(authority)));
    }

    private static X509Svid Operator(CertificateAuthority authority) =>
        authority.Issue(SpiffeId.Of("home", IdentityKind.Operator, "root"), TimeSpan.FromDays(1), Pki.Now);

    private static JoinToken Make(CertificateAuthority authority, X509Svid? signer = null) =>
        JoinToken.Create(authority.ClusterIdentity, "a", "d", Contacts, Pki.Now.AddHours(1), signer ?? Operator(authority));
}
