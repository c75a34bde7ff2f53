using Florete.Identities;
using Florete.Storage.Contracts;

namespace Florete.Storage.TestWriter;

/// <summary>Every life of the writer has another root, and believes the former ones: this is about the disk.</summary>
public sealed class Trusting(SpiffeId who) : IPeerVerifier
{
    public PeerVerification Verify(IReadOnlyList<byte[]> derChain, DateTimeOffset now) => new(who, DateTimeOffset.MaxValue, null);
}

/// <summary>Whoever it is, whatever it is.</summary>
public sealed class AnybodyMay : IWriteRules
{
    public Verdict MayWrite(SpiffeId author, CollectionName collection, Stamp stamp) => Verdict.Allowed;
}
