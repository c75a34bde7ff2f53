using System.Diagnostics.CodeAnalysis;
using System.Formats.Asn1;
using System.Security.Cryptography.X509Certificates;

namespace Florete.Identities;

/// <summary>
/// The certificate extension that says which node an authority belongs to: a UTF8String, the node's name. Not critical, so that
/// <c>openssl verify</c> accepts the chain; our verifier demands it.
/// </summary>
internal static class NodeExtension
{
    /// <summary>
    /// Under 2.25, where a number is one's own without a registry (ITU-T X.667 §7), if it is random. It has 61 random bits, because GnuTLS holds each
    /// arc in 64 and refuses to read a certificate with a longer one (libtasn1, asn1_get_object_id_der).
    /// </summary>
    public const string ObjectId = "2.25.1661894780016103818";

    public static X509Extension Of(string node)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        writer.WriteCharacterString(UniversalTagNumber.UTF8String, node);
        return new X509Extension(ObjectId, writer.Encode(), critical: false);
    }

    /// <summary>Reads the one extension; false with the reason if it is missing, repeated or no name.</summary>
    public static bool TryRead(
        X509Certificate2 authority, string cluster, [NotNullWhen(true)] out string? node, [NotNullWhen(false)] out string? problem)
    {
        (node, problem) = (null, null);
        byte[]? value = null;
        foreach (var extension in authority.Extensions)
        {
            if (extension.Oid?.Value != ObjectId) continue;
            if (value is not null)
            {
                problem = "it names its node more than once";
                return false;
            }
            value = extension.RawData;
        }
        if (value is null)
        {
            problem = $"it does not say which node it is the authority of (extension {ObjectId})";
            return false;
        }
        try
        {
            var reader = new AsnReader(value, AsnEncodingRules.DER);
            var name = reader.ReadCharacterString(UniversalTagNumber.UTF8String);
            reader.ThrowIfNotEmpty();
            // Alone in an identity it must be a name, and not a path.
            if (SpiffeId.TryParse($"spiffe://{cluster}/node/{name}", out var id, out _) && id.Name == name)
            {
                node = name;
                return true;
            }
        }
        catch (AsnContentException)
        {
            // As malformed as a name that is none.
        }
        problem = "what it calls its node is not a name";
        return false;
    }
}
