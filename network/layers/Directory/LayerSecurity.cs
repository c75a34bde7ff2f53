using Florete.Identities;

namespace Florete.Layers;

/// <summary>What is revoked at a node, where that is kept, and who is told of what was refused.</summary>
/// <param name="Revocations">The list that the node's verifier asks too; the directory adds to it.</param>
/// <param name="File">Keeps revocations over restarts; null: only the directory's cache does.</param>
/// <param name="Events">Told of refusals and revocations.</param>
public sealed record LayerSecurity(RevocationList Revocations, IRevocationFile? File = null, SecurityEvents? Events = null);

/// <summary>What became of a revocation that was handed to a vertex.</summary>
/// <param name="Content">What it says.</param>
/// <param name="IsNew">False: this or a later one by the same operator was in force already.</param>
public sealed record AnnouncedRevocation(Revocation Content, bool IsNew);
