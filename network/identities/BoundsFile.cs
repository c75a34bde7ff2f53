namespace Florete.Identities;

/// <summary>
/// A node's file of signed bounds: what is verified and not older than what was obeyed before is put in force. A file that is not keeps the
/// bounds that are.
/// </summary>
public sealed class BoundsFile
{
    private const int MaxFileBytes = 2 * BoundsDocument.MaxBytes;

    private readonly string file;
    private readonly IPeerVerifier verifier;
    private readonly BoundsStore store;
    private string payloadHash;

    private BoundsFile(string file, IPeerVerifier verifier, BoundsStore store, SignedBounds signed)
    {
        this.file = file;
        this.verifier = verifier;
        this.store = store;
        payloadHash = signed.PayloadHash;
        Bounds = new Bounds(signed.Document);
    }

    /// <summary>The bounds in force; the same object over all reloads.</summary>
    public Bounds Bounds { get; }

    /// <exception cref="IdentityException">The file is unusable, or older than what this node has obeyed; the message names the remedy.</exception>
    public static BoundsFile Open(string file, IPeerVerifier verifier, BoundsStore store, DateTimeOffset now)
    {
        var verdict = Read(file, verifier, store, now, out var signed);
        return verdict.IsAllowed ? new BoundsFile(file, verifier, store, signed!) : throw new IdentityException(verdict.Refusal!);
    }

    /// <summary>Reads the file again. Refused: the old bounds stay in force. Never throws; not to be called from two threads at once.</summary>
    public Verdict Reload(DateTimeOffset now)
    {
        var verdict = Read(file, verifier, store, now, out var signed);
        if (!verdict.IsAllowed || signed!.PayloadHash == payloadHash) return verdict;
        payloadHash = signed.PayloadHash;
        Bounds.Replace(signed.Document);
        return verdict;
    }

    private static Verdict Read(string file, IPeerVerifier verifier, BoundsStore store, DateTimeOffset now, out SignedBounds? signed)
    {
        signed = null;
        try
        {
            var envelope = System.Text.Encoding.UTF8.GetBytes(SvidFiles.ReadText(file, "signed bounds file", MaxFileBytes));
            return SignedBounds.TryVerify(envelope, file, verifier, now, out signed, out var refusal)
                ? store.Accept(signed)
                : Verdict.Refused(refusal);
        }
        catch (IdentityException e)
        {
            return Verdict.Refused(e.Message);
        }
    }
}
