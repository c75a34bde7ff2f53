namespace Florete.Coordination.Contracts;

/// <summary>A vertex could not be spoken with, or did not answer as it should; the message says why.</summary>
public sealed class CoordinationException(string message, Exception? inner = null) : Exception(message, inner);
