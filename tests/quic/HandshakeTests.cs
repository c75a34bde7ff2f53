namespace Florete.Quic.Tests;

public class HandshakeTests
{
    [Fact]
    public void The_libraries_are_here() => Assert.Null(QuicLibrary.Check());

    [Fact]
    public void Both_sides_prove_themselves()
    {
        using var pair = new Pair().Confirm();
        Assert.Equal(Pair.ServerIdentity.Der, pair.Client!.PeerChain[0]);
        Assert.Equal(Pair.ClientIdentity.Der, pair.Server!.PeerChain[0]);
        Assert.Equal("b.vertex.home.rete", pair.Server.ServerName);
        Assert.Equal(["confirmed"], pair.ClientSees.Events);
        Assert.Equal(["confirmed"], pair.ServerSees.Events);
        Assert.NotEmpty(pair.ClientSees.Ids);
        Assert.NotEmpty(pair.ServerSees.Ids);
    }

    [Fact]
    public void A_server_that_refuses_the_client_tells_it_why_in_words()
    {
        using var pair = new Pair { ServerVerifies = _ => "the bounds do not allow this pair" }.Connect();
        pair.RunUntil(() => pair.ClientSees.Closed is not null, TimeSpan.FromSeconds(5));
        Assert.DoesNotContain("confirmed", pair.ClientSees.Events);
        Assert.Equal("the bounds do not allow this pair", pair.ServerSees.Closed!.Reason);
        Assert.False(pair.ServerSees.Closed.IsRemote);
        Assert.True(pair.ClientSees.Closed!.IsRemote);
        Assert.Contains("the certificate was refused", pair.ClientSees.Closed.Reason, StringComparison.Ordinal);
        Assert.Equal(0x100UL + 42, pair.ClientSees.Closed.Code);
    }

    [Fact]
    public void A_client_that_refuses_the_server_tells_it_why_in_words()
    {
        using var pair = new Pair { ClientVerifies = _ => "another identity was wanted" }.Connect();
        pair.RunUntil(() => pair.ServerSees.Closed is not null, TimeSpan.FromSeconds(5));
        Assert.DoesNotContain("confirmed", pair.ClientSees.Events);
        Assert.DoesNotContain("confirmed", pair.ServerSees.Events);
        Assert.Equal("another identity was wanted", pair.ClientSees.Closed!.Reason);
        Assert.Contains("the certificate was refused", pair.ServerSees.Closed!.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_nobody_answers_to_is_refused()
    {
        using var pair = new Pair(serverName: "c.vertex.home.rete").Connect();
        pair.RunUntil(() => pair.ClientSees.Closed is not null, TimeSpan.FromSeconds(5));
        Assert.Equal(0x100UL + 112, pair.ClientSees.Closed!.Code);
        Assert.Contains("no identity answers", pair.ClientSees.Closed.Reason, StringComparison.Ordinal);
        Assert.Contains("'c.vertex.home.rete'", pair.ServerSees.Closed!.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_protocol_is_refused()
    {
        using var pair = new Pair { ServerOptions = new QuicOptions { Alpn = "other/1" } }.Connect();
        pair.RunUntil(() => pair.ClientSees.Closed is not null, TimeSpan.FromSeconds(5));
        Assert.Contains("no common application protocol", pair.ClientSees.Closed!.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_failing_verifier_closes_the_connection_and_is_surfaced()
    {
        using var pair = new Pair { ServerVerifies = _ => throw new InvalidOperationException("broken judge") }.Connect();
        pair.RunUntil(() => pair.ClientSees.Closed is not null, TimeSpan.FromSeconds(5));
        Assert.Equal("broken judge", pair.ServerSees.Closed!.Exception!.Message);
    }

    [Fact]
    public void A_key_of_another_certificate_is_refused_and_wiped()
    {
        var key = Pair.ServerIdentity.Pkcs8;
        Assert.ThrowsAny<System.Security.Cryptography.CryptographicException>(() => QuicCredentials.Create([Pair.ClientIdentity.Der], key));
        Assert.All(key, b => Assert.Equal(0, b));
    }

    [Fact]
    public void A_handshake_nobody_answers_times_out()
    {
        using var pair = new Pair { Cut = true }.Connect();
        pair.RunUntil(() => pair.ClientSees.Closed is not null, TimeSpan.FromSeconds(20));
        Assert.Contains("did not finish within 10 s", pair.ClientSees.Closed!.Reason, StringComparison.Ordinal);
    }
}
