using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;

namespace Florete.Identities;

/// <summary>
/// Bounds with the operator's signature, a DSSE-like envelope in JSON (docs/protocols/bounds.md). An object of this type has been verified.
/// </summary>
public sealed class SignedBounds
{
    /// <summary>What is signed, so that a signature over another kind of document is worth nothing here.</summary>
    public const string PayloadType = "application/vnd.florete.bounds.v1+yaml";

    // Base64 of the largest document, and room for the chain.
    private const int MaxEnvelopeBytes = 2 * BoundsDocument.MaxBytes;

    private SignedBounds(BoundsDocument document, SpiffeId signer, byte[] payloadHash)
    {
        Document = document;
        Signer = signer;
        PayloadHash = Convert.ToHexStringLower(payloadHash);
    }

    public BoundsDocument Document { get; }

    /// <summary>The operator who signed.</summary>
    public SpiffeId Signer { get; }

    /// <summary>SHA-256 of the document as written, lower-case hexadecimal. Two signatures of one text share it.</summary>
    public string PayloadHash { get; }

    /// <summary>Signs a document that is valid; returns the envelope's text.</summary>
    /// <param name="yaml">The document, signed as it is, comments included.</param>
    /// <param name="source">What to call it in errors.</param>
    /// <param name="signer">An SVID of kind operator, with its key.</param>
    /// <exception cref="IdentityException">The document has problems, or is of another cluster, or the signer is no operator.</exception>
    public static string Sign(string yaml, string source, X509Svid signer)
    {
        if (!BoundsDocument.TryParse(yaml, source, out var document, out var problems))
        {
            throw new IdentityException(string.Join(Environment.NewLine, problems));
        }
        if (signer.Id.Kind != IdentityKind.Operator) throw new IdentityException($"{signer.Id} cannot sign bounds; sign as an operator.");
        if (signer.Id.Cluster != document.Cluster)
        {
            throw new IdentityException($"{source}: these bounds are for cluster '{document.Cluster}', and the signer is {signer.Id}.");
        }
        using var key = signer.Leaf.GetECDsaPrivateKey() ?? throw new IdentityException($"The key of {signer.Id} is missing.");
        var payload = Encoding.UTF8.GetBytes(yaml);
        var signature = key.SignData(AuthenticatedBytes(payload), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        using var text = new MemoryStream();
        using (var json = new Utf8JsonWriter(text, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("payloadType", PayloadType);
            json.WriteBase64String("payload", payload);
            json.WriteStartArray("signatures");
            json.WriteStartObject();
            json.WriteString("keyid", signer.Id.ToString());
            json.WriteBase64String("sig", signature);
            json.WriteStartArray("certificates");
            foreach (var certificate in signer.Intermediates.Prepend(signer.Leaf)) json.WriteBase64StringValue(certificate.RawDataMemory.Span);
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(text.ToArray()) + "\n";
    }

    /// <summary>Verifies an envelope: the signer's chain, its kind, the signature, then the document. Never throws.</summary>
    /// <param name="envelope">The file's content.</param>
    /// <param name="source">What to call it in refusals: the file's name.</param>
    /// <param name="verifier">Of the cluster's bundle.</param>
    /// <param name="now">For the validity of the signer's SVID.</param>
    /// <param name="bounds">The bounds, when verified.</param>
    /// <param name="refusal">Why not.</param>
    public static bool TryVerify(
        ReadOnlySpan<byte> envelope,
        string source,
        IPeerVerifier verifier,
        DateTimeOffset now,
        [NotNullWhen(true)] out SignedBounds? bounds,
        [NotNullWhen(false)] out string? refusal)
    {
        bounds = null;
        if (!TryOpen(envelope, out var payload, out var signature, out var chain, out var flaw))
        {
            refusal = $"{source}: this is not a signed bounds file: {flaw}; write it with florctl bounds sign.";
            return false;
        }
        var proof = verifier.Verify(chain, now);
        if (proof.Id is null)
        {
            refusal = $"{source}: the signer of these bounds is not proved. {proof.Refusal}";
            return false;
        }
        if (proof.Id.Kind != IdentityKind.Operator)
        {
            refusal = $"{source}: {proof.Id} signed these bounds, and only an operator may.";
            return false;
        }
        if (!IsSignature(chain[0], payload, signature))
        {
            refusal = $"{source}: these bounds were altered after {proof.Id} signed them; get the file again, or sign again.";
            return false;
        }
        if (!BoundsDocument.TryParse(Encoding.UTF8.GetString(payload), source, out var document, out var problems))
        {
            refusal = string.Join(Environment.NewLine, problems);
            return false;
        }
        if (document.Cluster != proof.Id.Cluster)
        {
            refusal = $"{source}: these bounds are for cluster '{document.Cluster}', and this is '{proof.Id.Cluster}'.";
            return false;
        }
        bounds = new SignedBounds(document, proof.Id, SHA256.HashData(payload));
        refusal = null;
        return true;
    }

    private static bool IsSignature(byte[] leaf, byte[] payload, byte[] signature)
    {
        try
        {
            using var certificate = X509CertificateLoader.LoadCertificate(leaf);
            using var key = certificate.GetECDsaPublicKey();
            return key is not null
                && key.VerifyData(AuthenticatedBytes(payload), signature, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    // DSSE v1 pre-authentication encoding: "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body.
    private static byte[] AuthenticatedBytes(byte[] payload) =>
        [.. Encoding.UTF8.GetBytes($"DSSEv1 {PayloadType.Length} {PayloadType} {payload.Length} "), .. payload];

    private static bool TryOpen(
        ReadOnlySpan<byte> envelope, out byte[] payload, out byte[] signature, out List<byte[]> chain, [NotNullWhen(false)] out string? flaw)
    {
        (payload, signature, chain) = ([], [], []);
        flaw = "it is malformed";
        if (envelope.Length > MaxEnvelopeBytes)
        {
            flaw = $"it has {envelope.Length} bytes, more than {MaxEnvelopeBytes}";
            return false;
        }
        try
        {
            using var json = JsonDocument.Parse(envelope.ToArray(), new JsonDocumentOptions { MaxDepth = 8 });
            var root = json.RootElement;
            if (root.GetProperty("payloadType").GetString() is not PayloadType)
            {
                flaw = $"its payloadType is not {PayloadType}, so it is something else or from a newer version of Florete";
                return false;
            }
            payload = root.GetProperty("payload").GetBytesFromBase64();
            var signatures = root.GetProperty("signatures");
            if (signatures.GetArrayLength() != 1)
            {
                flaw = "it does not have exactly one signature";
                return false;
            }
            signature = signatures[0].GetProperty("sig").GetBytesFromBase64();
            var certificates = signatures[0].GetProperty("certificates");
            if (certificates.GetArrayLength() is 0 or > PeerVerifier.MaxCertificates)
            {
                flaw = $"it does not have 1 to {PeerVerifier.MaxCertificates} certificates";
                return false;
            }
            foreach (var certificate in certificates.EnumerateArray()) chain.Add(certificate.GetBytesFromBase64());
            flaw = null;
            return true;
        }
        catch (Exception e) when (e is JsonException or FormatException or KeyNotFoundException or InvalidOperationException)
        {
            flaw = "it is malformed";
            return false;
        }
    }
}
