using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Florete.Identities;

/// <summary>Where a joining node finds the cluster.</summary>
/// <param name="Vertex">Who answers there; null: not known.</param>
/// <param name="Address"><c>HOST:PORT</c> of its links.</param>
public sealed record JoinContact(string? Vertex, string Address);

/// <summary>
/// An operator's permission for one new node to join, in a form that can be pasted (docs/protocols/join.md "Token"). Parsing proves nothing; see
/// <see cref="Verify"/>. Immutable.
/// </summary>
public sealed class JoinToken
{
    /// <summary>With it every token begins; it tells the version.</summary>
    public const string Prefix = "florete-join-1.";

    public const int IdBytes = 16;
    public const int MaxContacts = 8;

    /// <summary>A terminal takes 4095 characters as one line (termios, canonical mode).</summary>
    public const int MaxLength = 4000;

    public static readonly TimeSpan DefaultLifetime = TimeSpan.FromHours(1);

    /// <summary>A token is a secret; and the issuer remembers it until it has expired.</summary>
    public static readonly TimeSpan MaxLifetime = TimeSpan.FromDays(30);

    private const string SignedPrefix = "florete-join-1";

    private readonly byte[] signed;
    private readonly byte[] signature;
    private readonly IReadOnlyList<byte[]> chain;

    private JoinToken(Content content, byte[] signed, IReadOnlyList<byte[]> chain, byte[] signature, string text)
    {
        (this.signed, this.chain, this.signature, Text) = (signed, chain, signature, text);
        (Cluster, IssuerVertex, Node, Id, Expiry, Contacts) =
            (content.Cluster, content.Issuer, content.Node, Convert.ToHexStringLower(content.Id), content.Expiry, content.Contacts);
    }

    /// <summary>The cluster, by name and first root.</summary>
    public ClusterIdentity Cluster { get; }

    /// <summary>The vertex at which <c>service/identity</c> redeems it.</summary>
    public SpiffeId IssuerVertex { get; }

    /// <summary><c>service/identity</c> of the cluster.</summary>
    public SpiffeId Issuer => SpiffeId.Of(Cluster.Name, IdentityKind.Service, "identity");

    /// <summary><c>node/&lt;name&gt;</c> of the new node.</summary>
    public SpiffeId Node { get; }

    /// <summary>32 hexadecimal digits.</summary>
    public string Id { get; }

    public DateTimeOffset Expiry { get; }

    public IReadOnlyList<JoinContact> Contacts { get; }

    /// <summary>As it is pasted. A secret until it is used.</summary>
    public string Text { get; }

    /// <summary>Makes a token.</summary>
    /// <param name="cluster">Of the bundle that nodes have.</param>
    /// <param name="issuer">The name of the issuer's vertex.</param>
    /// <param name="node">The name of the new node.</param>
    /// <param name="contacts">1 to <see cref="MaxContacts"/>.</param>
    /// <param name="expiry">At most <see cref="MaxLifetime"/> from now.</param>
    /// <param name="signer">An operator's SVID, with its key.</param>
    /// <exception cref="IdentityException">A part is out of range; the message says which.</exception>
    public static JoinToken Create(
        ClusterIdentity cluster, string issuer, string node, IReadOnlyList<JoinContact> contacts, DateTimeOffset expiry, X509Svid signer)
    {
        if (signer.Id.Kind != IdentityKind.Operator || signer.Id.Cluster != cluster.Name)
        {
            throw new IdentityException($"{signer.Id} cannot sign tokens for '{cluster.Name}'; sign as an operator of it.");
        }
        var content = new TokenWriter();
        content.Text(cluster.Name);
        content.Bytes(cluster.RootHashBytes());
        content.Text(issuer);
        content.Text(node);
        content.Bytes(RandomNumberGenerator.GetBytes(IdBytes));
        content.Number(expiry.ToUnixTimeSeconds());
        content.Byte(contacts.Count);
        foreach (var contact in contacts)
        {
            content.Text(contact.Vertex ?? "");
            content.Text(contact.Address);
        }
        var certificates = signer.Intermediates.Prepend(signer.Leaf).ToArray();
        content.Byte(certificates.Length);
        foreach (var certificate in certificates) content.Block(certificate.RawData);
        using var key = signer.Leaf.GetECDsaPrivateKey() ?? throw new IdentityException($"The key of {signer.Id} is missing.");
        content.Block(key.SignData(Authenticated(content.Written), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence));
        var text = Prefix + System.Buffers.Text.Base64Url.EncodeToString(content.Written);
        // Read again, so that nothing is handed out that nobody takes.
        return TryParse(text, out var token, out var error) ? token : throw new IdentityException(error);
    }

    /// <summary>Reads a token; says what is wrong with it. Never throws. White space around it, and line breaks in it, do not matter.</summary>
    public static bool TryParse(string? text, [NotNullWhen(true)] out JoinToken? token, [NotNullWhen(false)] out string? error)
    {
        token = null;
        text = string.Concat((text ?? "").Where(static c => !char.IsWhiteSpace(c)));
        error = "the token cannot be read: it is incomplete or altered; copy it whole";
        if (!text.StartsWith(Prefix, StringComparison.Ordinal))
        {
            error = text.StartsWith("florete-join-", StringComparison.Ordinal) ? "the token is of another version of Florete" : $"a token begins with {Prefix}";
            return false;
        }
        if (text.Length > MaxLength) return false;
        var bytes = new byte[text.Length];
        if (System.Buffers.Text.Base64Url.DecodeFromChars(text.AsSpan(Prefix.Length), bytes, out _, out var written) != System.Buffers.OperationStatus.Done) return false;
        var reader = new TokenReader(bytes.AsSpan(0, written));
        if (!TryReadContent(ref reader, out var content) || !reader.Byte(out var count) || count is 0 or > PeerVerifier.MaxCertificates) return false;
        var chain = new byte[count][];
        for (var i = 0; i < count; i++)
        {
            if (!reader.Block(PeerVerifier.MaxCertificateBytes, out var der)) return false;
            chain[i] = der.ToArray();
        }
        var signed = bytes[..(written - reader.Left)];
        if (!reader.Block(80, out var signature) || reader.Left != 0) return false;
        token = new JoinToken(content, signed, chain, signature.ToArray(), text);
        return true;
    }

    /// <summary>Is it signed by an operator of this cluster? Its expiry is for the caller to judge.</summary>
    /// <param name="verifier">Of the cluster's bundle.</param>
    /// <param name="cluster">The cluster of the one who asks.</param>
    /// <param name="now">The time.</param>
    public Verdict Verify(IPeerVerifier verifier, ClusterIdentity cluster, DateTimeOffset now)
    {
        if (Cluster != cluster) return Verdict.Refused($"The token is for cluster {Cluster}, and this is {cluster}.");
        var proof = verifier.Verify(chain, now);
        if (proof.Id is null) return Verdict.Refused($"Who signed the token is not proved. {proof.Refusal}");
        if (proof.Id.Kind != IdentityKind.Operator) return Verdict.Refused($"{proof.Id} signed the token, and only an operator may.");
        try
        {
            using var certificate = X509CertificateLoader.LoadCertificate(chain[0]);
            using var key = certificate.GetECDsaPublicKey();
            if (key?.VerifyData(Authenticated(signed), signature, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence) == true) return Verdict.Allowed;
        }
        catch (CryptographicException)
        {
            // As wrong as a signature over something else.
        }
        return Verdict.Refused($"The token was altered after {proof.Id} signed it; make a new one (florctl token create).");
    }

    /// <summary>Over by this clock, when it may be off as much as <see cref="PeerVerifier.ClockGrace"/>.</summary>
    public bool IsExpired(DateTimeOffset now) => now - PeerVerifier.ClockGrace > Expiry;

    /// <summary>Without the secret.</summary>
    public override string ToString() => $"token {Id[..8]}… for {Node}, until {Expiry:u}";

    private static byte[] Authenticated(ReadOnlySpan<byte> content) => [.. Encoding.ASCII.GetBytes(SignedPrefix), .. content];

    private static bool TryReadContent(ref TokenReader reader, [NotNullWhen(true)] out Content? content)
    {
        content = null;
        if (!reader.Text(out var cluster) || !reader.Bytes(ClusterIdentity.HashBytes, out var root) || !reader.Text(out var issuer)
            || !reader.Text(out var node) || !reader.Bytes(IdBytes, out var id) || !reader.Number(out var expiry) || !reader.Byte(out var count)
            || count is 0 or > MaxContacts || expiry > (ulong)DateTimeOffset.MaxValue.ToUnixTimeSeconds())
        {
            return false;
        }
        if (!SpiffeId.TryParse($"spiffe://{cluster}/vertex/{issuer}", out var issuerVertex, out _)
            || !SpiffeId.TryParse($"spiffe://{cluster}/node/{node}", out var nodeId, out _))
        {
            return false;
        }
        var contacts = new List<JoinContact>(count);
        for (var i = 0; i < count; i++)
        {
            if (!reader.Text(out var vertex) || !reader.Text(out var address) || !IsAddress(address)) return false;
            if (vertex.Length > 0 && !SpiffeId.TryParse($"spiffe://{cluster}/vertex/{vertex}", out _, out _)) return false;
            contacts.Add(new JoinContact(vertex.Length > 0 ? vertex : null, address));
        }
        content = new Content(
            new ClusterIdentity(cluster, root), issuerVertex, nodeId, id.ToArray(), DateTimeOffset.FromUnixTimeSeconds((long)expiry), contacts);
        return true;
    }

    /// <summary><c>HOST:PORT</c>, the host a name or an address; IPv6 in brackets.</summary>
    private static bool IsAddress(string text)
    {
        var colon = text.LastIndexOf(':');
        if (colon <= 0 || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port == 0) return false;
        var host = text[..colon];
        return host.StartsWith('[')
            ? host.EndsWith(']') && IPAddress.TryParse(host[1..^1], out _)
            : Uri.CheckHostName(host) is UriHostNameType.Dns or UriHostNameType.IPv4;
    }

    private sealed record Content(
        ClusterIdentity Cluster, SpiffeId Issuer, SpiffeId Node, byte[] Id, DateTimeOffset Expiry, IReadOnlyList<JoinContact> Contacts);

    private sealed class TokenWriter
    {
        private readonly System.Buffers.ArrayBufferWriter<byte> bytes = new();

        public ReadOnlySpan<byte> Written => bytes.WrittenSpan;

        public void Byte(int value) => Bytes([checked((byte)value)]);

        public void Bytes(ReadOnlySpan<byte> value) => System.Buffers.BuffersExtensions.Write(bytes, value);

        public void Text(string value)
        {
            var utf8 = Encoding.UTF8.GetBytes(value);
            if (utf8.Length > 255) throw new IdentityException($"'{value[..40]}…' is too long for a token; at most 255 bytes are.");
            Byte(utf8.Length);
            Bytes(utf8);
        }

        public void Number(long value)
        {
            Span<byte> eight = stackalloc byte[8];
            BinaryPrimitives.WriteInt64BigEndian(eight, value);
            Bytes(eight);
        }

        public void Block(ReadOnlySpan<byte> value)
        {
            Byte(value.Length >> 8);
            Byte(value.Length & 0xff);
            Bytes(value);
        }
    }

    private ref struct TokenReader(ReadOnlySpan<byte> bytes)
    {
        private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: false);
        private ReadOnlySpan<byte> rest = bytes;

        public readonly int Left => rest.Length;

        public bool Byte(out byte value)
        {
            value = 0;
            if (!Bytes(1, out var one)) return false;
            value = one[0];
            return true;
        }

        public bool Bytes(int count, out ReadOnlySpan<byte> value)
        {
            value = default;
            if (rest.Length < count) return false;
            value = rest[..count];
            rest = rest[count..];
            return true;
        }

        public bool Text(out string value)
        {
            value = "";
            if (!Byte(out var length) || !Bytes(length, out var utf8)) return false;
            value = Strict.GetString(utf8);
            return true;
        }

        public bool Number(out ulong value)
        {
            value = 0;
            if (!Bytes(8, out var eight)) return false;
            value = BinaryPrimitives.ReadUInt64BigEndian(eight);
            return true;
        }

        public bool Block(int most, out ReadOnlySpan<byte> value)
        {
            value = default;
            return Byte(out var high) && Byte(out var low) && ((high << 8) | low) is var length && length > 0 && length <= most && Bytes(length, out value);
        }
    }
}
