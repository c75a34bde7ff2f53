namespace Florete.Identities;

/// <summary>A certificate, key, bundle or bounds that cannot be used. The message names the file and the remedy.</summary>
public sealed class IdentityException(string message, Exception? inner = null) : Exception(message, inner);
