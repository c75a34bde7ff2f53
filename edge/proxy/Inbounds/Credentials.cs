using System.Security.Cryptography;
using System.Text;

namespace Florete.Proxy.Inbounds;

/// <summary>
/// What a client of an inbound must know. Compared in constant time, by hash, so that neither the length nor the content shows in the time
/// taken. After failures the whole inbound answers slowly: guessing is limited, whoever guesses.
/// </summary>
internal sealed class Credentials
{
    // Ten guesses a second over all clients: hopeless for a guesser, and no lock-out of the owner.
    private const int FailuresPerSecond = 10;

    private readonly byte[] userHash;
    private readonly byte[] passwordHash;
    private readonly TimeProvider clock;
    private readonly Lock gate = new();
    private long nextFailure;

    /// <param name="user">As written in the configuration.</param>
    /// <param name="password">The secret, UTF-8.</param>
    /// <param name="clock">For the rate.</param>
    public Credentials(string user, ReadOnlySpan<byte> password, TimeProvider? clock = null)
    {
        User = user;
        userHash = SHA256.HashData(Encoding.UTF8.GetBytes(user));
        passwordHash = SHA256.HashData(password);
        this.clock = clock ?? TimeProvider.System;
    }

    public string User { get; }

    public bool Match(ReadOnlySpan<byte> user, ReadOnlySpan<byte> password)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(user, hash);
        var same = CryptographicOperations.FixedTimeEquals(hash, userHash);
        SHA256.HashData(password, hash);
        return same & CryptographicOperations.FixedTimeEquals(hash, passwordHash);
    }

    /// <summary>Waits for this failure's turn before it is answered.</summary>
    public Task DelayFailureAsync(CancellationToken cancellationToken)
    {
        TimeSpan wait;
        lock (gate)
        {
            var now = clock.GetTimestamp();
            var slot = clock.TimestampFrequency / FailuresPerSecond;
            nextFailure = Math.Max(nextFailure, now) + slot;
            wait = clock.GetElapsedTime(now, nextFailure);
        }
        return Task.Delay(wait, clock, cancellationToken);
    }

    /// <summary>The same secret?</summary>
    public bool SameAs(Credentials? other) => other is not null && CryptographicOperations.FixedTimeEquals(userHash, other.userHash)
        && CryptographicOperations.FixedTimeEquals(passwordHash, other.passwordHash);
}
