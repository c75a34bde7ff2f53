namespace Florete.Layers;

/// <summary>Where revocations survive a restart of the whole cluster. Called in turns of the loop, so saving must not block.</summary>
public interface IRevocationFile
{
    /// <summary>What was there when it was opened, verified.</summary>
    IReadOnlyList<SignedRevocation> Loaded { get; }

    /// <summary>
    /// Replaces what is kept, in the background. <paramref name="saved"/> is called from any thread when it survives a crash of the machine, or with the reason why
    /// it does not. Not called again before that.
    /// </summary>
    void Save(IReadOnlyList<SignedRevocation> all, Action<Exception?> saved);
}
