namespace Florete.Identities;

/// <summary>Verifies by the newest usable bundle of a file, and, of what nodes issued, what the bounds let them.</summary>
public sealed class BundleVerifier : IPeerVerifier
{
    private readonly string file;
    private IBounds? bounds;
    private volatile State state;

    /// <exception cref="IdentityException">The file is unusable.</exception>
    public BundleVerifier(string file)
    {
        this.file = file;
        state = new State(TrustBundle.Load(file), null, Revocations);
    }

    public ClusterIdentity Cluster => state.Bundle.ClusterIdentity;

    /// <summary>What is refused although it is proved.</summary>
    public RevocationList Revocations { get; } = new();

    public PeerVerification Verify(IReadOnlyList<byte[]> derChain, DateTimeOffset now) => state.Verifier.Verify(derChain, now);

    public PeerVerification VerifyWithoutRevocations(IReadOnlyList<byte[]> derChain, DateTimeOffset now) => state.Verifier.VerifyWithoutRevocations(derChain, now);

    /// <summary>The roots in force, PEM.</summary>
    public string Pem => string.Concat(state.Bundle.Roots.Select(static root => root.ExportCertificatePem() + "\n"));

    /// <inheritdoc cref="PeerVerifier.VerifyAuthority" />
    public PeerVerification VerifyAuthority(byte[] der, DateTimeOffset now) => state.Verifier.VerifyAuthority(der, now);

    /// <summary>From now on; the bounds themselves are verified before there are any.</summary>
    public void Obey(IBounds inForce)
    {
        bounds = inForce;
        state = new State(state.Bundle, inForce, Revocations);
    }

    /// <summary>Reads the file again; what is wrong with it, or null. Not from two threads at once.</summary>
    public string? Reload()
    {
        try
        {
            var read = TrustBundle.Load(file);
            if (read.ClusterIdentity != Cluster) return $"{file}: its first root is of another cluster than {Cluster}; put the cluster's own root first.";
            if (read.Roots.Select(root => root.Thumbprint).SequenceEqual(state.Bundle.Roots.Select(root => root.Thumbprint))) return null;
            state = new State(read, bounds, Revocations);
            return null;
        }
        catch (IdentityException e)
        {
            return e.Message;
        }
    }

    private sealed class State(TrustBundle bundle, IBounds? bounds, RevocationList revocations)
    {
        public TrustBundle Bundle { get; } = bundle;

        public PeerVerifier Verifier { get; } = new(bundle, bounds, revocations);
    }
}
