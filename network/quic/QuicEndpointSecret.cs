using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Florete.Quic.Native;
using Florete.Runtime;

namespace Florete.Quic;

/// <summary>What a client proved by coming back after a Retry.</summary>
/// <param name="OriginalId">The destination that it chose for its first packet.</param>
public sealed record QuicRetryProof(byte[] OriginalId);

/// <summary>
/// A random secret of one endpoint, made at start: Retry tokens (address validation without state, RFC 9000 § 8.1.2) and stateless reset tokens
/// (§ 10.3) derive from it. Thread-safe.
/// </summary>
public sealed unsafe class QuicEndpointSecret
{
    /// <summary>How long a Retry token is good for: a few round trips with retransmissions.</summary>
    public static readonly TimeSpan TokenLifetime = TimeSpan.FromSeconds(10);

    /// <summary>Bytes that hold any Retry packet written here.</summary>
    public const int LargestRetryBytes = 256;

    private const int LeastResetBytes = 21 + ConnectionId.Bytes;
    private const int LargestResetBytes = 43;
    private const int MaxTokenBytes = 128;
    private const int AddressBytes = 28; // sizeof(struct sockaddr_in6)
    private const ushort AddressFamilyInet6 = 10;
    private readonly byte[] secret = RandomNumberGenerator.GetBytes(32);

    /// <summary>
    /// Writes a Retry for an Initial and returns its length; 0 if none can be written. <paramref name="remoteAddress"/>: any bytes that name where the
    /// packet came from; the token is good from there only.
    /// </summary>
    public int WriteRetry(scoped QuicPacketHeader initial, ReadOnlySpan<byte> remoteAddress, Span<byte> destination, Instant now)
    {
        if (!initial.IsInitial || destination.Length < LargestRetryBytes) return 0;
        var client = Cid.From(initial.SourceId);
        var original = Cid.From(initial.DestinationId);
        Span<byte> random = stackalloc byte[ConnectionId.Bytes];
        RandomNumberGenerator.Fill(random);
        var own = Cid.From(random);
        var token = stackalloc byte[MaxTokenBytes];
        Span<byte> address = stackalloc byte[AddressBytes];
        Digest(remoteAddress, address);
        fixed (byte* key = secret, data = destination, place = address)
        {
            var length = Ngtcp2Crypto.GenerateRetryToken(
                token, key, (nuint)secret.Length, initial.Version, place, AddressBytes, &own, &original, Timestamp(now));
            if (length <= 0) return 0;
            var written = Ngtcp2Crypto.WriteRetry(
                data, (nuint)destination.Length, initial.Version, &client, &own, &original, token, (nuint)length);
            return (int)Math.Max(0, written);
        }
    }

    /// <summary>Null: the Initial carries no token of this endpoint, or one that is stale or of another address; answer with a Retry or drop it.</summary>
    public QuicRetryProof? TryVerifyToken(scoped QuicPacketHeader initial, ReadOnlySpan<byte> remoteAddress, Instant now)
    {
        if (!initial.IsInitial || initial.Token.IsEmpty || initial.Token.Length > MaxTokenBytes) return null;
        Cid original;
        var destination = Cid.From(initial.DestinationId);
        Span<byte> address = stackalloc byte[AddressBytes];
        Digest(remoteAddress, address);
        fixed (byte* key = secret, token = initial.Token, place = address)
        {
            var error = Ngtcp2Crypto.VerifyRetryToken(
                &original, token, (nuint)initial.Token.Length, key, (nuint)secret.Length, initial.Version, place, AddressBytes, &destination,
                (ulong)TokenLifetime.Ticks * 100, Timestamp(now));
            return error != 0 ? null : new QuicRetryProof(new ReadOnlySpan<byte>(original.Data, (int)original.Length).ToArray());
        }
    }

    /// <summary>
    /// Writes a stateless reset for a short-header packet of a connection that is not known any more; returns its length, shorter than the packet so
    /// that two endpoints cannot reset each other for ever; 0 if the packet is too short. Limit the rate.
    /// </summary>
    public int WriteStatelessReset(scoped QuicPacketHeader header, int packetBytes, Span<byte> destination)
    {
        if (header.IsLong || packetBytes <= LeastResetBytes) return 0;
        Span<byte> token = stackalloc byte[16];
        WriteResetToken(header.DestinationId, token);
        var length = Math.Min(Math.Min(packetBytes - 1, LargestResetBytes), destination.Length);
        var random = stackalloc byte[LargestResetBytes];
        RandomNumberGenerator.Fill(new Span<byte>(random, LargestResetBytes));
        fixed (byte* data = destination, reset = token)
        {
            var written = Ngtcp2.WriteStatelessReset(data, (nuint)length, reset, random, (nuint)Math.Max(0, length - 16));
            return (int)Math.Max(0, written);
        }
    }

    internal void WriteResetToken(ReadOnlySpan<byte> id, Span<byte> token)
    {
        Span<byte> hash = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(secret, id, hash);
        hash[..16].CopyTo(token);
    }

    // ngtcp2 wants a sockaddr_in6, and looks at its family; behind that a digest of the name of the place stands for it.
    private static void Digest(ReadOnlySpan<byte> remoteAddress, Span<byte> address)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(remoteAddress, hash);
        hash[..AddressBytes].CopyTo(address);
        MemoryMarshal.Write(address, AddressFamilyInet6);
    }

    private static ulong Timestamp(Instant now) => (ulong)Math.Max(0, now.Nanoseconds) + 1;
}
