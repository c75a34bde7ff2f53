using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Florete.Identities;
using SignedRevocation = Florete.Layers.SignedRevocation;

namespace Florete.Cli.Tests;

public sealed class RevokeTests : FlorctlTest
{
    private static readonly SpiffeId Alice = SpiffeId.Of("home", IdentityKind.User, "alice");

    [Fact]
    public void A_revocation_written_to_a_file_proves_itself_and_hits_what_was_issued_until_then()
    {
        Prepare();
        var before = Svid();
        Run(0, "revoke", "user/alice", "--dir", "home", "--reason", "key-compromise", "--note", "laptop stolen", "--keep", "24h", "--out", "alice.revocation");
        var signed = Read("alice.revocation");
        Assert.Equal((Alice, RevocationReason.KeyCompromise, "laptop stolen", "operator/root"), (signed.Content.Subject, signed.Content.Reason, signed.Content.Text, signed.Content.SignedBy.Path));
        Assert.InRange(signed.Content.NeededUntil - signed.Content.SignedAt, TimeSpan.FromHours(24), TimeSpan.FromHours(25));
        var list = new RevocationList();
        list.Add(signed.Content);
        Assert.NotNull(list.Refusal(before));

        // Issued at once, and good: the operator's folder remembers what it revoked.
        Run(0, "identity", "issue", "user/alice", "--node-dir", "home/nodes/a");
        Assert.Null(list.Refusal(Svid()));

        // Revoked again at once: what was issued in between is hit too.
        Run(0, "revoke", "spiffe://home/user/alice", "--dir", "home", "--out", "again.revocation");
        list.Add(Read("again.revocation").Content);
        Assert.NotNull(list.Refusal(Svid()));
    }

    [Fact]
    public void Without_a_flor_it_is_kept_and_the_operator_is_told_how_to_hand_it_in()
    {
        Prepare();
        var errors = Run(1, "revoke", "alice.user.home.rete", "--operator", "home").Errors;
        Assert.Contains("No flor answers", errors, StringComparison.Ordinal);
        Assert.Contains("home/nodes/a/run/flor.sock", errors, StringComparison.Ordinal);
        Assert.Contains("flor announce", errors, StringComparison.Ordinal);
        Assert.Equal(Alice, Read("home/revocations/user-alice.revocation").Content.Subject);
        Assert.Contains("No flor answers", Run(1, "revocations").Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("user/alicia", "did you mean 'user/alice'?", "--force")]
    [InlineData("vertex/b", "did you mean 'vertex/a'?", "--force")]
    [InlineData("spiffe://elsewhere/user/alice", "of cluster 'elsewhere'", "--dir")]
    [InlineData("alice", "write <kind>/<name>", "Kinds:")]
    [InlineData("person/alice", "'person' is not a kind", "Kinds:")]
    public void Who_cannot_be_meant_is_refused_with_what_may_be_meant(string written, string problem, string remedy)
    {
        Prepare();
        var errors = Run(1, "revoke", written, "--dir", "home", "--out", "x").Errors;
        Assert.Contains(problem, errors, StringComparison.Ordinal);
        Assert.Contains(remedy, errors, StringComparison.Ordinal);
        Assert.False(File.Exists(At("x")));
    }

    [Fact]
    public void Mistaken_options_are_named()
    {
        Prepare();
        Assert.Contains("did you mean 'superseded'?", Run(2, "revoke", "user/alice", "--dir", "home", "--reason", "superceded").Errors, StringComparison.Ordinal);
        Assert.Contains("at most 200 bytes", Run(1, "revoke", "user/alice", "--dir", "home", "--note", new string('x', 201), "--out", "x").Errors, StringComparison.Ordinal);
        Assert.Contains("not an operator's folder", Run(1, "revoke", "user/alice").Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_flor_of_a_node_is_found_in_the_operator_s_folder_asked_and_what_it_says_is_passed_on()
    {
        Prepare();
        var answers = new Queue<string>([
            """{"version":1,"announced":{"revocation":{"identity":"user/alice"},"isNew":true}}""",
            """{"version":1,"error":"This revocation is refused."}""",
            """{"version":1,"revocations":[{"identity":"user/alice","before":"2026-01-01T00:00:00+00:00","reason":"superseded","by":"operator/root"}]}""",
        ]);
        Directory.CreateDirectory(At("home/nodes/a/run"));
        using var flor = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        flor.Bind(new UnixDomainSocketEndPoint(At("home/nodes/a/run/flor.sock")));
        flor.Listen();
        var asked = new List<string>();
        var serving = Task.Run(() =>
        {
            while (answers.TryDequeue(out var answer))
            {
                using var client = flor.Accept();
                using var stream = new NetworkStream(client);
                asked.Add(new StreamReader(stream).ReadLine()!);
                stream.Write(Encoding.UTF8.GetBytes(answer + "\n"));
            }
        });
        Assert.Contains("user/alice is revoked", Run(0, "revoke", "user/alice", "--dir", "home").Output, StringComparison.Ordinal);
        Assert.Contains("This revocation is refused.", Run(1, "revoke", "user/alice", "--dir", "home").Errors, StringComparison.Ordinal);
        Assert.Contains("user/alice  SVIDs before 2026-01-01", Run(0, "revocations", "--dir", "home").Output, StringComparison.Ordinal);
        await serving;
        using var request = JsonDocument.Parse(asked[0]);
        Assert.Equal("announce", request.RootElement.GetProperty("command").GetString());
        Assert.True(SignedRevocation.TryRead(request.RootElement.GetProperty("document").GetBytesFromBase64(), out var handed, out _));
        Assert.Equal(Alice, handed.Content.Subject);
    }

    private void Prepare()
    {
        Run(0, "cluster", "init", "home");
        Run(0, "node", "add", "a", "--dir", "home", "--identity", "user/alice", "--allow");
    }

    private X509Svid Svid() => SvidFiles.Read(At("home/nodes/a/identities/user-alice.pem"));

    private SignedRevocation Read(string file)
    {
        var verifier = new PeerVerifier(TrustBundle.Load(At("home/bundle.pem")));
        Assert.True(SignedRevocation.TryVerify(File.ReadAllBytes(At(file)), "cluster", verifier, out var signed, out var problem), problem);
        return signed;
    }
}
