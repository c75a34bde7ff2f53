using System.Net.Sockets;
using System.Security.Cryptography;
using Florete.Identities;
using Florete.Portals;
using Florete.PortalSocket;
using Florete.Proxy.PortalSockets;
using Florete.Proxy.Tests.Harness;
using Florete.Runtime;
using FsCheck;
using FsCheck.Fluent;

namespace Florete.Proxy.Tests;

/// <summary>Programs behind portal sockets that have something signed, and such that ask nonsense.</summary>
public class PortalSigningTests
{
    private static readonly TimeSpan Prompt = TimeSpan.FromSeconds(30);

    private static string Portals => $"""
        portals:
          - identity: service/hello
            socket: run/hello.portal
            owner: {Environment.UserName}
        """;

    [Fact]
    public async Task Flor_signs_as_the_sockets_identity_also_after_a_renewal_and_counts()
    {
        await using var node = await TestNode.StartAsync(Portals);
        var hello = Hello(node);
        var first = await hello.SignAsync("storage/version", "one"u8.ToArray());
        var second = await hello.SignAsync("token", "two"u8.ToArray());
        Assert.Same(first.Chain, second.Chain);
        Assert.True(ProgramSignature.Verify(first.Chain[0], "storage/version", "one"u8, first.Bytes.Span));
        Assert.True(ProgramSignature.Verify(second.Chain[0], "token", "two"u8, second.Bytes.Span));
        Assert.False(ProgramSignature.Verify(second.Chain[0], "storage/version", "two"u8, second.Bytes.Span));
        var verifier = new PeerVerifier(TrustBundle.Load(Path.Combine(node.Folder, "bundle.pem")));
        Assert.Equal("service/hello", verifier.Verify(first.Chain, DateTimeOffset.UtcNow).Id!.Path);
        node.Node.Materials.Find(TestNode.Id("service/hello"))!.Renew(node.Issue("service/hello"));
        var third = await hello.SignAsync("token", "three"u8.ToArray());
        Assert.NotEqual(first.Chain[0], third.Chain[0]);
        Assert.True(ProgramSignature.Verify(third.Chain[0], "token", "three"u8, third.Bytes.Span));
        Assert.Equal((3, 0), (node.Node.Portals.Signing.Made, node.Node.Portals.Signing.Refused));
        await Assert.ThrowsAsync<ArgumentException>(() => hello.SignAsync("No Purpose", default));
    }

    [Fact]
    public async Task Hundreds_at_once_are_signed_each_its_own()
    {
        await using var node = await TestNode.StartAsync(Portals);
        var hello = Hello(node);
        var signatures = await Task.WhenAll(Enumerable.Range(0, 300).Select(i => hello.SignAsync("token", BitConverter.GetBytes(i))));
        for (var i = 0; i < signatures.Length; i++) Assert.True(ProgramSignature.Verify(signatures[i].Chain[0], "token", BitConverter.GetBytes(i), signatures[i].Bytes.Span));
    }

    [Fact]
    public async Task A_program_goes_on_signing_when_flor_was_killed_and_is_back()
    {
        await using var node = TestNode.Prepare(Portals);
        var hello = Hello(node);
        Assert.Equal(PortalError.Unreachable, (await Assert.ThrowsAsync<PortalException>(() => hello.SignAsync("token", default))).Error);
        for (var life = 0; life < 2; life++)
        {
            using var flor = new FlorProcess(node.ConfigFile);
            await EventuallyAsync(() => hello.SignAsync("token", default));
            // The kept connection is dead the second time.
            await hello.SignAsync("token", default);
        }
        Assert.Equal(PortalError.Unreachable, (await Assert.ThrowsAsync<PortalException>(() => hello.SignAsync("token", default))).Error);
    }

    [Fact]
    public async Task Who_asks_too_much_is_slowed_down_then_told()
    {
        await using var node = await TestNode.StartAsync(Portals);
        // More connections than may wait ask twice each.
        var asked = (await Task.WhenAll(Enumerable.Range(0, 1500).Select(async _ =>
        {
            using var frames = await ConnectAsync(node);
            return new[] { await AskAsync(frames), await AskAsync(frames) };
        })).WaitAsync(TimeSpan.FromMinutes(2))).SelectMany(static a => a).ToList();
        Assert.InRange(asked.Count(static a => a == true), 2 * SigningRate.PerSecond, asked.Count);
        Assert.Equal(asked.Count(static a => a == false), node.Node.Portals.Signing.Refused);
        // And is served again.
        await EventuallyAsync(() => Hello(node).SignAsync("token", default));
    }

    [Fact]
    public void The_rate_is_a_burst_then_even_then_refused_and_comes_back()
    {
        var (rate, now) = (new SigningRate(), new Instant(123));
        for (var i = 0; i < SigningRate.PerSecond; i++) Assert.True(rate.TryReserve(now, out var wait) && wait == TimeSpan.Zero);
        for (var i = 1; i <= SigningRate.PerSecond; i++) Assert.True(rate.TryReserve(now, out var wait) && wait == TimeSpan.FromMilliseconds(i));
        Assert.False(rate.TryReserve(now, out _));
        Assert.True(rate.TryReserve(now + TimeSpan.FromMilliseconds(1), out var last) && last == SigningRate.MaxWait);
        Assert.True(rate.TryReserve(now + TimeSpan.FromSeconds(5), out var rested) && rested == TimeSpan.Zero);
    }

    [Fact]
    public async Task Malformed_requests_and_other_versions_are_told_and_closed()
    {
        await using var node = await TestNode.StartAsync(Portals);
        var hash = new byte[ProgramSignature.HashBytes];
        var frames = new (byte[] Frame, string Expected)[]
        {
            (PortalFrameWriter.Sign("No Purpose", hash), "malformed"),
            (PortalFrameWriter.Sign("token", new byte[31]), "malformed"),
            (Versioned(PortalFrameWriter.Sign("token", hash), 2), "version 2"),
            (Versioned(PortalFrameWriter.Publish(), 2), "version 2"),
        };
        foreach (var (frame, expected) in frames)
        {
            using var socket = await ConnectAsync(node);
            await socket.WriteAsync(frame, default);
            await ExpectErrorAsync(socket, expected);
        }
        using var first = await ConnectAsync(node);
        await first.WriteAsync(PortalFrameWriter.Sign("token", hash), default);
        Assert.Equal(PortalFrameType.Chain, (await first.ReadAsync(default))!.Value.Type);
        Assert.Equal(PortalFrameType.Signature, (await first.ReadAsync(default))!.Value.Type);
        await first.WriteAsync(PortalFrameWriter.Publish(), default);
        await ExpectErrorAsync(first, "After SIGN comes SIGN");
    }

    [Fact]
    public async Task Programs_that_go_without_reading_use_up_nothing()
    {
        await using var node = await TestNode.StartAsync(Portals);
        // More than the connections of one socket.
        for (var i = 0; i < 4200; i++)
        {
            using var frames = await ConnectAsync(node);
            await frames.WriteAsync(PortalFrameWriter.Discover(ServiceQuery.All, watch: true), default);
            // Answered, and not read: closing now is a reset for flor (unix(7)).
            await frames.Socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None);
        }
        await EventuallyAsync(() => Hello(node).SignAsync("token", default));
    }

    [Fact]
    public void Frames_of_any_bytes_are_read_or_refused_and_never_a_fault() => Check.QuickThrowOnFailure(Prop.ForAll<byte[]>(bytes =>
    {
        PortalFrameReader.TryReadSign(bytes, out _, out _);
        PortalFrameReader.TryReadConnect(bytes, out _);
        PortalFrameReader.TryReadDiscover(bytes, out _, out _);
        PortalFrameReader.TryReadError(bytes, out _);
        PortalFrameReader.TryReadOk(bytes, out _);
        PortalFrameReader.TryReadArrival(bytes, out _, out _);
        PortalFrameReader.TryReadService(bytes, out _);
        PortalFrameReader.TryReadRefuse(bytes, out _, out _);
        var frame = PortalFrameWriter.Sign("a/purpose", SHA256.HashData(bytes)).AsSpan(3);
        for (var length = 0; length < frame.Length; length++)
        {
            if (PortalFrameReader.TryReadSign(frame[..length], out _, out _)) return false;
        }
        return PortalFrameReader.TryReadSign(frame, out var purpose, out var hash) && purpose == "a/purpose" && hash.SequenceEqual(SHA256.HashData(bytes));
    }));

    // Null: it was closed before, after a refusal.
    private static async Task<bool?> AskAsync(FrameSocket frames)
    {
        try
        {
            await frames.WriteAsync(PortalFrameWriter.Sign("token", new byte[ProgramSignature.HashBytes]), default);
            while (await frames.ReadAsync(default) is var (type, body))
            {
                if (type == PortalFrameType.Signature) return true;
                if (type == PortalFrameType.Chain) continue;
                Assert.True(PortalFrameReader.TryReadError(body, out var error));
                Assert.Equal(PortalError.LimitReached, error.Error);
                return false;
            }
        }
        catch (SocketException)
        {
            // As an end.
        }
        return null;
    }

    private static byte[] Versioned(byte[] frame, byte version)
    {
        frame[3] = version;
        return frame;
    }

    private static PortalSocketClient Hello(TestNode node) => new(Path.Combine(node.Folder, "run/hello.portal"));

    private static async Task<FrameSocket> ConnectAsync(TestNode node)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(node.Folder, "run/hello.portal")));
        return new FrameSocket(socket);
    }

    private static async Task ExpectErrorAsync(FrameSocket frames, string expected)
    {
        var (type, body) = (await frames.ReadAsync(default).AsTask().WaitAsync(Prompt))!.Value;
        Assert.Equal(PortalFrameType.Error, type);
        Assert.True(PortalFrameReader.TryReadError(body, out var error));
        Assert.Equal(PortalError.ProtocolViolation, error.Error);
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.Null(await frames.ReadAsync(default).AsTask().WaitAsync(Prompt));
    }

    private static async Task EventuallyAsync(Func<Task> ask)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            try
            {
                await ask();
                return;
            }
            catch (PortalException)
            {
                await Task.Delay(20, patience.Token);
            }
        }
    }
}
