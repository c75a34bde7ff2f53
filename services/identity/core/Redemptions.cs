using Florete.Identities;
using Florete.Identity.Contracts;

namespace Florete.Identity;

/// <summary>A token that was redeemed.</summary>
/// <param name="Token">Its id.</param>
/// <param name="Node">Whose authority was issued.</param>
/// <param name="Key">SHA-256 of the key that it was issued for, hexadecimal.</param>
/// <param name="Certificate">What was issued, DER.</param>
/// <param name="Time">When.</param>
/// <param name="Expiry">Of the token.</param>
internal sealed record Redemption(string Token, string Node, string Key, byte[] Certificate, DateTimeOffset Time, DateTimeOffset Expiry);

/// <summary>The memory of redeemed tokens: one file each, on disk before the answer leaves. Not thread-safe.</summary>
internal sealed class Redemptions
{
    // Of 2 KB each; an operator who makes more tokens in a month has another problem.
    private const int Max = 100_000;
    private const int Format = 1;

    // Beyond the expiry nobody redeems the token; a lost answer may still be asked for.
    private static readonly TimeSpan Kept = TimeSpan.FromDays(1);

    private readonly string folder;
    private readonly TimeProvider clock;
    private int count;

    private Redemptions(string folder, TimeProvider clock) => (this.folder, this.clock) = (folder, clock);

    /// <summary>Opens the folder, and removes what need not be remembered any more.</summary>
    public static Redemptions Open(string folder, TimeProvider clock)
    {
        Directory.CreateDirectory(folder);
        var opened = new Redemptions(folder, clock);
        opened.Sweep();
        return opened;
    }

    /// <exception cref="IdentityException">The record is damaged: it is not known who redeemed the token.</exception>
    public Redemption? Find(string token)
    {
        var file = FileOf(token);
        return File.Exists(file) ? Read(file) : null;
    }

    /// <exception cref="JoinException">There are too many.</exception>
    /// <exception cref="IOException">It is not on disk.</exception>
    public void Add(Redemption redemption)
    {
        if (count >= Max) Sweep();
        if (count >= Max) throw new JoinException(JoinRefusal.Busy, $"The issuer remembers {Max} tokens already; they are forgotten a day after they expire.");
        AtomicFile.Write(FileOf(redemption.Token), IdentityJson.Write(new Record(Format, redemption)), AtomicFile.OwnerOnly);
        count++;
    }

    private void Sweep()
    {
        count = 0;
        foreach (var file in Directory.GetFiles(folder, "*.json"))
        {
            try
            {
                if (Read(file).Expiry + Kept > clock.GetUtcNow()) count++;
                else File.Delete(file);
            }
            catch (IdentityException)
            {
                // Kept: who asks for it is told.
                count++;
            }
        }
    }

    private static Redemption Read(string file) =>
        IdentityJson.TryRead<Record>(File.ReadAllBytes(file), out var read) && read.Format == Format
            ? read.Redeemed
            : throw new IdentityException($"{file}: this record of a redeemed token is damaged, or of a newer program; make a new token for the node.");

    // The id is hexadecimal: a token's bytes, not a stranger's text.
    private string FileOf(string token) => Path.Combine(folder, $"{token}.json");

    private sealed record Record(int Format, Redemption Redeemed);
}
