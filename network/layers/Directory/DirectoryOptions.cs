namespace Florete.Layers;

/// <summary>Settings of a directory; the defaults are those of docs/protocols/directory.md. Validated when the directory starts.</summary>
public sealed record DirectoryOptions
{
    public const int MaxLayerNameLength = 63;

    /// <summary>Name of the layer; signatures cover it, so that a record of one layer is worth nothing in another. Printable ASCII.</summary>
    public string Layer { get; init; } = "cluster";

    /// <summary>Longest message to a neighbour; fits one segment of a link.</summary>
    public int MaxMessageBytes { get; init; } = 1300;

    /// <summary>How long a record lives without being signed anew; half of it is the refresh interval.</summary>
    public TimeSpan MaxAge { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>How long a record outlives the expiry of its certificate, for a renewal that is late.</summary>
    public TimeSpan CertificateGrace { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long a certificate chain is kept that no record names.</summary>
    public TimeSpan UnreferencedCertificateAge { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Unacknowledged bytes per neighbour.</summary>
    public int WindowBytes { get; init; } = 24 * 1024;

    /// <summary>Interval of digest comparison once neighbours agree.</summary>
    public TimeSpan SummaryInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Least interval between two records that only change small qualities of adjacencies.</summary>
    public TimeSpan QualityInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Least interval between two topologies while records stream in, so that paths are not computed for each.</summary>
    public TimeSpan TopologyInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Interval at which a changed directory is saved.</summary>
    public TimeSpan SaveInterval { get; init; } = TimeSpan.FromMinutes(1);

    public int MaxVertices { get; init; } = 4096;

    public int MaxRecords { get; init; } = 65_536;

    /// <summary>Records and certificate chains together.</summary>
    public long MaxBytes { get; init; } = 64L * 1024 * 1024;

    public int MaxServicesPerVertex { get; init; } = 512;

    public int MaxBytesPerOrigin { get; init; } = 256 * 1024;

    /// <summary>Records of kinds that this version does not know, per signer.</summary>
    public int MaxUnknownPerSigner { get; init; } = 16;

    /// <summary>Revocations held; those in force are never displaced.</summary>
    public int MaxRevocations { get; init; } = 4096;

    /// <summary>Seed of jitter; the same seed gives the same run.</summary>
    public int Seed { get; init; } = 1;

    /// <exception cref="ArgumentException">A value is out of range; the message names it and the range.</exception>
    public void Validate()
    {
        Require(Layer.Length is > 0 and <= MaxLayerNameLength && Layer.All(static c => c is > ' ' and < '\x7f'), nameof(Layer), "1 to 63 printable ASCII characters");
        Require(MaxMessageBytes is >= 1200 and <= DirectoryLimits.MaxMessageBytes, nameof(MaxMessageBytes), "1200 to 9000");
        Require(MaxAge >= TimeSpan.FromSeconds(10) && MaxAge <= TimeSpan.FromHours(12), nameof(MaxAge), "10 s to 12 h");
        Require(CertificateGrace >= TimeSpan.Zero, nameof(CertificateGrace), "0 or more");
        Require(UnreferencedCertificateAge >= TimeSpan.FromSeconds(1), nameof(UnreferencedCertificateAge), "1 s or more");
        Require(WindowBytes >= 8 * 1024, nameof(WindowBytes), "8192 or more: the largest record must fit");
        Require(SummaryInterval >= TimeSpan.FromSeconds(1), nameof(SummaryInterval), "1 s or more");
        Require(QualityInterval >= TimeSpan.Zero, nameof(QualityInterval), "0 or more");
        Require(TopologyInterval >= TimeSpan.Zero, nameof(TopologyInterval), "0 or more");
        Require(SaveInterval >= TimeSpan.FromSeconds(1), nameof(SaveInterval), "1 s or more");
        Require(MaxVertices > 0, nameof(MaxVertices), "1 or more");
        Require(MaxRecords > 0, nameof(MaxRecords), "1 or more");
        Require(MaxBytes > 0, nameof(MaxBytes), "1 or more");
        Require(MaxServicesPerVertex > 0, nameof(MaxServicesPerVertex), "1 or more");
        Require(MaxBytesPerOrigin >= DirectoryLimits.MaxRecordBytes, nameof(MaxBytesPerOrigin), "4096 or more");
        Require(MaxRevocations is > 0 and <= 4096, nameof(MaxRevocations), "1 to 4096");
        Require(MaxUnknownPerSigner >= 0, nameof(MaxUnknownPerSigner), "0 or more");
    }

    private static void Require(bool holds, string name, string range)
    {
        if (!holds) throw new ArgumentException($"The directory option {name} is out of range; allowed: {range}.", name);
    }
}
