using Florete.Identities;

namespace Florete.Layers;

/// <summary>Limits of protocol version 1 (docs/protocols/directory.md): what no configuration may exceed, because both ends rely on it.</summary>
public static class DirectoryLimits
{
    /// <summary>One message; no layer may be configured for more.</summary>
    public const int MaxMessageBytes = 9000;

    /// <summary>One record with its signature.</summary>
    public const int MaxRecordBytes = 4096;

    /// <summary>One certificate chain in DER.</summary>
    public const int MaxChainBytes = EncodedChain.MaxCertificateBytes;

    /// <summary>Certificates in a chain: a leaf and up to three intermediates.</summary>
    public const int MaxChainCertificates = PeerVerifier.MaxCertificates;

    /// <summary>96 adjacencies with the longest names (63) fit no record; with the usual ones they do, and the maker stops where the record is full.</summary>
    public const int MaxAdjacencies = 96;

    /// <summary>Bytes of an object in one fragment, the last excepted.</summary>
    public const int FragmentBytes = 1024;

    /// <summary>The remaining age of a record that does not age.</summary>
    public const ushort LastingAge = ushort.MaxValue;

    /// <summary>A chain as it is hashed and sent: a count, then each certificate after its length.</summary>
    internal const int MaxEncodedChainBytes = EncodedChain.MaxBytes;

    /// <summary>Buckets of the digest: the first byte of a record's key.</summary>
    internal const int Buckets = 256;
}
