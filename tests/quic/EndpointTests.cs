using System.Buffers.Binary;
using Florete.Runtime;
using FsCheck.Fluent;

namespace Florete.Quic.Tests;

public class EndpointTests
{
    private static readonly byte[] Here = "192.0.2.1:4000"u8.ToArray();
    private static readonly byte[] Elsewhere = "192.0.2.2:4000"u8.ToArray();

    [Fact]
    public void A_client_that_is_sent_away_by_a_Retry_comes_back_with_its_token()
    {
        var secret = new QuicEndpointSecret();
        using var pair = new Pair();
        var retries = 0;
        pair.Endpoint = packet =>
        {
            Assert.True(QuicPacketHeader.TryParse(packet, ConnectionId.Bytes, out var header));
            pair.Proof = secret.TryVerifyToken(header, Here, pair.Now);
            if (pair.Proof is not null) return null;
            var answer = new byte[QuicEndpointSecret.LargestRetryBytes];
            var length = secret.WriteRetry(header, Here, answer, pair.Now);
            Assert.NotEqual(0, length);
            retries++;
            return answer[..length];
        };
        pair.Confirm();
        Assert.Equal(1, retries);
    }

    [Fact]
    public void A_token_is_good_from_its_address_for_its_time_and_unaltered()
    {
        var secret = new QuicEndpointSecret();
        var now = new Instant(1_000_000_000);
        var initial = SecondInitial(secret, now);
        Assert.True(QuicPacketHeader.TryParse(initial, ConnectionId.Bytes, out var header));
        Assert.NotNull(secret.TryVerifyToken(header, Here, now));
        Assert.Null(secret.TryVerifyToken(header, Elsewhere, now));
        Assert.Null(secret.TryVerifyToken(header, Here, now + TimeSpan.FromMinutes(1)));
        Assert.Null(new QuicEndpointSecret().TryVerifyToken(header, Here, now));
        var token = header.Token.Length;
        var start = initial.AsSpan().IndexOf(header.Token);
        for (var i = 0; i < token; i++)
        {
            var altered = initial.ToArray();
            altered[start + i] ^= 1;
            Assert.True(QuicPacketHeader.TryParse(altered, ConnectionId.Bytes, out var other));
            Assert.Null(secret.TryVerifyToken(other, Here, now));
        }
    }

    [Fact]
    public void A_server_of_other_versions_ends_the_attempt_and_one_that_lists_ours_is_not_believed()
    {
        using var pair = new Pair { Endpoint = _ => null, Records = true }.Connect();
        pair.Flush();
        var strange = pair.Sent[0].ToArray();
        BinaryPrimitives.WriteUInt32BigEndian(strange.AsSpan(1), 0x0a1a2a3a);
        Assert.True(QuicPacketHeader.TryParse(strange, ConnectionId.Bytes, out var header));
        Assert.False(header.IsSupportedVersion);
        var answer = new byte[64];
        var length = QuicPacketHeader.WriteVersionNegotiation(header, strange.Length, answer);
        Assert.InRange(length, 7, 64);
        pair.Client!.Receive(answer.AsSpan(0, length), pair.Now);
        Assert.Equal(QuicConnectionState.Handshaking, pair.Client.State);
        BinaryPrimitives.WriteUInt32BigEndian(answer.AsSpan(length - 4), 0x0a0a0a0a);
        pair.Client.Receive(answer.AsSpan(0, length), pair.Now);
        Assert.Equal(QuicConnectionState.Closed, pair.Client.State);
        Assert.Contains("version 1", pair.Client.CloseReason!.Reason, StringComparison.Ordinal);
        Assert.Equal(0, QuicPacketHeader.WriteVersionNegotiation(header, 1199, answer));
    }

    [Fact]
    public void Headers_of_real_packets_are_read()
    {
        using var pair = new Pair { Records = true }.Confirm();
        pair.Client!.OpenStream()!.FinishWriting();
        pair.Flush();
        Assert.True(QuicPacketHeader.TryParse(pair.Sent[0], ConnectionId.Bytes, out var first));
        Assert.True(first is { IsLong: true, IsInitial: true, IsSupportedVersion: true });
        Assert.Equal(8, first.DestinationId.Length);
        Assert.Contains(ConnectionId.From(first.SourceId), pair.ClientSees.Ids);
        Assert.True(QuicPacketHeader.TryParse(pair.Sent[^1], ConnectionId.Bytes, out var last));
        Assert.False(last.IsLong);
        Assert.Contains(last.Destination, pair.ServerSees.Ids);
    }

    [Fact]
    public void Any_bytes_are_a_header_or_not_but_never_a_fault()
    {
        var secret = new QuicEndpointSecret();
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<byte[], bool, int>((bytes, isLong, size) =>
        {
            if (bytes.Length > 0 && isLong) bytes[0] |= 0xC0;
            if (bytes.Length > 4 && isLong) BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(1), (uint)(size & 1));
            if (!QuicPacketHeader.TryParse(bytes, ConnectionId.Bytes, out var header)) return true;
            var buffer = new byte[QuicEndpointSecret.LargestRetryBytes];
            secret.TryVerifyToken(header, Here, new Instant(0));
            secret.WriteRetry(header, Here, buffer, new Instant(0));
            secret.WriteStatelessReset(header, bytes.Length, buffer);
            QuicPacketHeader.WriteVersionNegotiation(header, 1200, buffer);
            return header.DestinationId.Length <= 20 && header.SourceId.Length <= 20 && header.Token.Length <= bytes.Length;
        }));
    }

    [Fact]
    public void Only_full_Initials_of_version_1_begin_a_connection()
    {
        using var pair = new Pair { Records = true, Cut = true }.Connect();
        pair.Flush();
        var initial = pair.Sent[0];
        Assert.Null(Accept(initial[..1199]));
        var other = initial.ToArray();
        other[1] ^= 0x40;
        Assert.Null(Accept(other));
        Assert.Null(Accept(new byte[1200]));
        using var accepted = Accept(initial);
        Assert.NotNull(accepted);
        QuicConnection? Accept(byte[] packet) =>
            QuicConnection.Accept(pair.Options, _ => pair.ServerCredentials, _ => null, new Recorder(), packet, pair.Now);
    }

    private static byte[] SecondInitial(QuicEndpointSecret secret, Instant now)
    {
        using var pair = new Pair { Records = true, Cut = true }.Connect();
        pair.Flush();
        Assert.True(QuicPacketHeader.TryParse(pair.Sent[0], ConnectionId.Bytes, out var header));
        var answer = new byte[QuicEndpointSecret.LargestRetryBytes];
        var length = secret.WriteRetry(header, Here, answer, now);
        pair.Client!.Receive(answer.AsSpan(0, length), pair.Now);
        pair.Flush();
        return pair.Sent[^1];
    }
}
