using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace Florete.Identities.Tests;

/// <summary>What programs sign under their identity.</summary>
public class ProgramSignatureTests
{
    private static readonly CertificateAuthority Authority = Pki.Authority();
    private static readonly X509Svid Svid = Authority.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now);
    private static readonly X509Svid Other = Authority.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now);

    [Fact]
    public void What_was_signed_verifies_for_its_purpose_and_key_and_for_nothing_else() => Check.QuickThrowOnFailure(Prop.ForAll<byte[], byte>((content, flip) =>
    {
        var signature = ProgramSignature.Sign(Svid, "storage/version", SHA256.HashData(content));
        var leaf = Svid.Leaf.RawData;
        var damaged = signature.ToArray();
        damaged[flip % damaged.Length] ^= (byte)(1 << (flip % 8));
        byte[] longer = [.. content, 0];
        return ProgramSignature.Verify(leaf, "storage/version", content, signature)
            && !ProgramSignature.Verify(leaf, "storage/versio", content, signature)
            && !ProgramSignature.Verify(leaf, "token", content, signature)
            && !ProgramSignature.Verify(leaf, "storage/version", longer, signature)
            && !ProgramSignature.Verify(leaf, "storage/version", content, damaged)
            && !ProgramSignature.Verify(leaf, "storage/version", content, signature.AsSpan(1))
            && !ProgramSignature.Verify(Other.Leaf.RawData, "storage/version", content, signature);
    }));

    [Fact]
    public void There_is_one_signature_not_two()
    {
        // (r, n - s) verifies in ECDSA, and anybody can make it.
        var signature = ProgramSignature.Sign(Svid, "token", SHA256.HashData("content"u8));
        SignatureForm.Negate(signature);
        using var key = Svid.Leaf.GetECDsaPublicKey()!;
        byte[] signed = [.. "florete program signature 1\0token\0"u8, .. SHA256.HashData("content"u8)];
        Assert.True(key.VerifyData(signed, signature, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation));
        Assert.False(ProgramSignature.Verify(key, "token", "content"u8, signature));
    }

    [Theory]
    [InlineData("")]
    [InlineData("Token")]
    [InlineData("a b")]
    [InlineData("a\0b")]
    [InlineData("ä")]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    public void What_is_no_purpose_is_neither_signed_nor_verified(string purpose)
    {
        Assert.Throws<ArgumentException>(() => ProgramSignature.Sign(Svid, purpose, new byte[32]));
        Assert.Throws<ArgumentException>(() => ProgramSignature.Sign(Svid, "token", new byte[31]));
        using var key = Svid.Leaf.GetECDsaPublicKey()!;
        Assert.False(ProgramSignature.Verify(key, purpose, [], new byte[64]));
    }

    [Fact]
    public void A_key_of_another_curve_signs_nothing_and_verifies_nothing()
    {
        using var large = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        using var leaf = X509CertificateLoader.LoadCertificate(Pki.Leaf(Authority.Root, key: large));
        var svid = new X509Svid(Pki.Hello, leaf.CopyWithPrivateKey(large), []);
        Assert.Throws<CryptographicException>(() => ProgramSignature.Sign(svid, "token", new byte[32]));
        Assert.False(ProgramSignature.Verify(large, "token", [], new byte[64]));
    }

    [Fact]
    public void Malformed_leaves_and_signatures_are_false_and_no_fault() => Check.QuickThrowOnFailure(Prop.ForAll<byte[], byte[]>((leaf, signature) =>
        !ProgramSignature.Verify(leaf, "token", "content"u8, signature)
        && !ProgramSignature.Verify([0x30, .. leaf], "token", "content"u8, signature)
        && !ProgramSignature.Verify(Encoding.ASCII.GetBytes(Svid.Leaf.ExportCertificatePem()), "token", "content"u8, signature)));

    [Fact]
    public void A_chain_comes_out_of_its_encoding_and_nothing_else_does() => Check.QuickThrowOnFailure(Prop.ForAll<byte[], int>((noise, at) =>
    {
        var encoded = EncodedChain.Encode(Svid);
        if (!EncodedChain.TryDecode(encoded, out var chain) || !chain[0].AsSpan().SequenceEqual(Svid.Leaf.RawData)) return false;
        EncodedChain.TryDecode(noise, out _);
        return !EncodedChain.TryDecode(encoded.AsSpan(0, Math.Abs(at % encoded.Length)), out _) && (noise.Length == 0 || !EncodedChain.TryDecode([.. encoded, .. noise], out _));
    }));
}
