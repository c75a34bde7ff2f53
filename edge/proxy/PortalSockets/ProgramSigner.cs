using System.Diagnostics;
using System.Security.Cryptography;
using Florete.Identities;
using Florete.Portals;
using Florete.PortalSocket;
using Florete.Runtime;

namespace Florete.Proxy.PortalSockets;

/// <summary>Signs for the programs of one socket (docs/protocols/portal-socket.md, SIGN). Thread-safe.</summary>
internal sealed class ProgramSigner(HeldIdentity identity, SigningCounters counters)
{
    private readonly SigningRate rate = new();

    /// <summary>Answers one connection until its program closes it.</summary>
    /// <param name="frames">Of the program.</param>
    /// <param name="first">Body of the SIGN that it began with; its version has been checked.</param>
    /// <param name="stopping">The socket goes.</param>
    /// <exception cref="PortalException">What the program is told before the connection is closed.</exception>
    public async Task ServeAsync(FrameSocket frames, byte[] first, CancellationToken stopping)
    {
        X509Svid? told = null;
        var body = first;
        while (true)
        {
            var (purpose, hash) = Read(body);
            await WaitAsync(stopping).ConfigureAwait(false);
            var svid = identity.Current;
            var signature = Sign(svid, purpose, hash);
            if (!ReferenceEquals(svid, told)) await frames.WriteAsync(PortalFrameWriter.Chain(Chain(svid)), stopping).ConfigureAwait(false);
            told = svid;
            await frames.WriteAsync(PortalFrameWriter.Signature(signature), stopping).ConfigureAwait(false);
            if (await frames.ReadAsync(stopping).ConfigureAwait(false) is not var (type, next)) return;
            if (type != PortalFrameType.Sign || PortalFrameReader.VersionOf(next) != PortalSocketProtocol.Version)
                throw new PortalException(PortalError.ProtocolViolation, $"After SIGN comes SIGN of version {PortalSocketProtocol.Version}, not a frame of type {(byte)type}.");
            body = next;
        }
    }

    private static (string Purpose, byte[] Hash) Read(byte[] body) => PortalFrameReader.TryReadSign(body, out var purpose, out var hash)
        ? (purpose, hash.ToArray())
        : throw new PortalException(PortalError.ProtocolViolation, "The SIGN frame is malformed, or its purpose is none: 1 to 64 of a-z, 0-9, '-', '.' and '/'.");

    private async ValueTask WaitAsync(CancellationToken stopping)
    {
        var now = new Instant((long)(Stopwatch.GetTimestamp() * (1_000_000_000.0 / Stopwatch.Frequency)));
        if (!rate.TryReserve(now, out var wait))
        {
            counters.OnRefused();
            throw new PortalException(PortalError.LimitReached, $"{identity.Id} has more signed than {SigningRate.PerSecond} a second; sign less, or several things at once.");
        }
        if (wait > TimeSpan.Zero) await Task.Delay(wait, stopping).ConfigureAwait(false);
    }

    private byte[] Sign(X509Svid svid, string purpose, byte[] hash)
    {
        try
        {
            var signature = ProgramSignature.Sign(svid, purpose, hash);
            counters.OnMade();
            return signature;
        }
        catch (CryptographicException e)
        {
            counters.OnRefused();
            throw new PortalException(PortalError.Refused, e.Message, e);
        }
    }

    private static byte[] Chain(X509Svid svid)
    {
        var chain = EncodedChain.Encode(svid);
        return chain.Length <= EncodedChain.MaxBytes
            ? chain
            : throw new PortalException(PortalError.Refused, $"The chain of {svid.Id} has {chain.Length} bytes, more than {EncodedChain.MaxBytes}; issue it with fewer intermediates.");
    }
}

/// <summary>Signatures for programs, of the whole node. Thread-safe.</summary>
internal sealed class SigningCounters
{
    private long made;
    private long refused;

    public long Made => Interlocked.Read(ref made);

    /// <summary>Over the limit, or with a key that cannot.</summary>
    public long Refused => Interlocked.Read(ref refused);

    public void OnMade() => Interlocked.Increment(ref made);

    public void OnRefused() => Interlocked.Increment(ref refused);
}
