using Florete.Identities;
using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>
/// What the bounds in force say of writing. An answer depends on the arguments and the bounds alone, so that it is the same at every replica. When the bounds have changed, the replica is told by
/// <see cref="StorageReplica.ReevaluateAsync"/>. Thread-safe.
/// </summary>
public interface IWriteRules
{
    /// <summary>Is a version of this author, in this collection, with this stamp valid?</summary>
    Verdict MayWrite(SpiffeId author, CollectionName collection, Stamp stamp);
}
