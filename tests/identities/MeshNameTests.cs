using FsCheck;
using FsCheck.Fluent;

namespace Florete.Identities.Tests;

public class MeshNameTests
{
    private static readonly Gen<string> Labels =
        from length in Gen.Choose(1, 63)
        from inner in Gen.Elements("abcxyz0189-".ToCharArray()).ArrayOf(length)
        let text = new string(inner)
        where text[0] != '-' && text[^1] != '-'
        select text;

    private static readonly Arbitrary<SpiffeId> Ids = Arb.From(
        from cluster in Labels
        from kind in Gen.Elements(Enum.GetValues<IdentityKind>())
        from name in Labels
        where $"spiffe://{cluster}/operator/{name}".Length <= SpiffeId.MaxLength
        select SpiffeId.Of(cluster, kind, name));

    [Fact]
    public void The_full_name_of_any_identity_parses_back_to_it_whatever_the_local_cluster_case_or_trailing_dot()
    {
        Check.QuickThrowOnFailure(Prop.ForAll(Ids, id =>
        {
            var sni = MeshName.ToSni(id);
            return MeshName.Parse(sni, null) == id && MeshName.Parse(sni.ToUpperInvariant() + ".", "other") == id
                && SpiffeId.Parse(id.ToString()) == id && SpiffeId.Of(id.Cluster, id.Kind, id.Name) == id
                && IdentityKinds.TryParsePath(id.Path, id.Cluster, out var again, out _) && again == id;
        }));
    }

    [Fact]
    public void Any_text_parses_to_an_identity_or_to_an_error()
    {
        Check.QuickThrowOnFailure(Prop.ForAll<string>(text =>
        {
            var parsed = MeshName.TryParse(text, "home", out var id, out var error) | MeshName.TryParse(text + ".rete", "home", out _, out _);
            return SpiffeId.TryParse(text, out _, out var wrong) || wrong is not null || parsed || error is not null || id is not null;
        }));
    }

    [Theory]
    [InlineData("hello.rete", "spiffe://home/service/hello")]
    [InlineData("Hello.Home.Rete", "spiffe://home/service/hello")]
    [InlineData("hello.office.rete.", "spiffe://office/service/hello")]
    [InlineData("alice.user.home.rete", "spiffe://home/user/alice")]
    [InlineData("a.vertex.home.rete", "spiffe://home/vertex/a")]
    public void Names_name_identities(string name, string id) => Assert.Equal(SpiffeId.Parse(id), MeshName.Parse(name, "home"));

    [Theory]
    [InlineData("hello.example.org", "does not end in .rete")]
    [InlineData("rete", "does not end in .rete")]
    [InlineData(".rete", "1 to 63")]
    [InlineData("hello..rete", "1 to 63")]
    [InlineData("hello.rete..", "does not end in .rete")]
    [InlineData("he_llo.rete", "has '_'")]
    [InlineData("alice.person.home.rete", "is not a kind")]
    [InlineData("a.b.c.d.rete", "labels")]
    [InlineData("", "empty")]
    public void A_wrong_name_says_what_is_wrong(string name, string part)
    {
        Assert.False(MeshName.TryParse(name, "home", out _, out var error));
        Assert.Contains(part, error, StringComparison.Ordinal);
    }

    [Fact]
    public void An_sni_must_name_its_cluster()
    {
        Assert.False(MeshName.TryParse("hello.rete", null, out _, out var error));
        Assert.Contains("hello.<cluster>.rete", error, StringComparison.Ordinal);
    }
}
