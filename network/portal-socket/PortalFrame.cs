using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using Florete.Identities;
using Florete.Portals;

namespace Florete.PortalSocket;

/// <summary>Types of frames; docs/protocols/portal-socket.md.</summary>
public enum PortalFrameType : byte
{
    Connect = 1,
    Publish = 2,
    Attach = 3,
    Discover = 4,
    Accept = 5,
    Refuse = 6,
    Sign = 7,
    Ok = 16,
    Error = 17,
    Arrival = 18,
    Service = 19,
    CaughtUp = 20,
    Chain = 21,
    Signature = 22,
}

/// <summary>Limits and the version of the protocol.</summary>
public static class PortalSocketProtocol
{
    // 2: the answer to PUBLISH names the publication and its vertex. 3: SIGN.
    public const byte Version = 3;

    /// <summary>Type and body of one frame: the longest chain, and room.</summary>
    public const int MaxFrameBytes = EncodedChain.MaxBytes + 247;

    /// <summary>Bytes of an arrival's name.</summary>
    public const int ArrivalBytes = 16;

    /// <summary>Longest sentence of an error that fits beside the rest.</summary>
    public const int MaxSentenceBytes = 2048;

    public const int MaxWaitingArrivals = 256;

    public static readonly TimeSpan AcceptDeadline = TimeSpan.FromSeconds(10);
}

/// <summary>What a program asks CONNECT for.</summary>
public sealed record ConnectRequest(string Target, ConnectOptions Options);

/// <summary>The three identities of a connection, as OK and ARRIVAL carry them.</summary>
public sealed record ConnectionEnds(SpiffeId Local, SpiffeId Remote, SpiffeId RemoteVertex);

/// <summary>Writes frames. Every method returns a whole frame with its length.</summary>
public static class PortalFrameWriter
{
    public static byte[] Connect(string target, ConnectOptions options)
    {
        var body = new Body(PortalFrameType.Connect).Byte(PortalSocketProtocol.Version).Byte((byte)options.Class);
        return body.UInt32((uint)(options.Timeout ?? TimeSpan.Zero).TotalMilliseconds).String(target).String(options.Instance?.ToString() ?? "").ToFrame();
    }

    public static byte[] Publish() => new Body(PortalFrameType.Publish).Byte(PortalSocketProtocol.Version).ToFrame();

    public static byte[] Attach(ReadOnlySpan<byte> arrival) =>
        new Body(PortalFrameType.Attach).Byte(PortalSocketProtocol.Version).Bytes(arrival).ToFrame();

    public static byte[] Discover(ServiceQuery query, bool watch) => new Body(PortalFrameType.Discover).Byte(PortalSocketProtocol.Version)
        .Byte(watch ? (byte)1 : (byte)0).String(query.Kind?.Word() ?? "").String(query.Target?.ToString() ?? "").ToFrame();

    public static byte[] Accept(ReadOnlySpan<byte> arrival) => new Body(PortalFrameType.Accept).Bytes(arrival).ToFrame();

    public static byte[] Refuse(ReadOnlySpan<byte> arrival, PortalError error, string sentence) =>
        new Body(PortalFrameType.Refuse).Bytes(arrival).Byte((byte)error).Sentence(sentence).ToFrame();

    public static byte[] Ok(ConnectionEnds? ends = null) => new Body(PortalFrameType.Ok)
        .String(ends?.Local.ToString() ?? "").String(ends?.Remote.ToString() ?? "").String(ends?.RemoteVertex.ToString() ?? "").ToFrame();

    public static byte[] Error(PortalError error, string sentence) =>
        new Body(PortalFrameType.Error).Byte((byte)error).Sentence(sentence).ToFrame();

    public static byte[] Arrival(ReadOnlySpan<byte> arrival, ConnectionEnds ends) => new Body(PortalFrameType.Arrival).Bytes(arrival)
        .String(ends.Local.ToString()).String(ends.Remote.ToString()).String(ends.RemoteVertex.ToString()).ToFrame();

    public static byte[] Service(ServiceChange change) => new Body(PortalFrameType.Service).Byte(change.IsPresent ? (byte)1 : (byte)0)
        .String(change.Service.ToString()).String(change.Vertex.ToString()).ToFrame();

    public static byte[] CaughtUp() => new Body(PortalFrameType.CaughtUp).ToFrame();

    public static byte[] Sign(string purpose, ReadOnlySpan<byte> contentHash) =>
        new Body(PortalFrameType.Sign).Byte(PortalSocketProtocol.Version).String(purpose).Bytes(contentHash).ToFrame();

    /// <param name="chain">As <see cref="EncodedChain"/> has it.</param>
    public static byte[] Chain(ReadOnlySpan<byte> chain) => new Body(PortalFrameType.Chain).Bytes(chain).ToFrame();

    public static byte[] Signature(ReadOnlySpan<byte> signature) => new Body(PortalFrameType.Signature).Bytes(signature).ToFrame();

    private readonly struct Body
    {
        private readonly List<byte> bytes;

        public Body(PortalFrameType type) => bytes = [0, 0, (byte)type];

        public Body Byte(byte value)
        {
            bytes.Add(value);
            return this;
        }

        public Body Bytes(ReadOnlySpan<byte> value)
        {
            bytes.AddRange(value);
            return this;
        }

        public Body UInt32(uint value)
        {
            Span<byte> four = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(four, value);
            return Bytes(four);
        }

        public Body String(string value)
        {
            var text = Encoding.UTF8.GetBytes(value);
            if (text.Length > 255) throw new ArgumentException($"A name of {text.Length} bytes is too long for a portal socket; at most 255 are.", nameof(value));
            return Byte((byte)text.Length).Bytes(text);
        }

        public Body Sentence(string value)
        {
            var text = Encoding.UTF8.GetBytes(value);
            if (text.Length > PortalSocketProtocol.MaxSentenceBytes) text = text[..PortalSocketProtocol.MaxSentenceBytes];
            return Byte((byte)(text.Length >> 8)).Byte((byte)text.Length).Bytes(text);
        }

        public byte[] ToFrame()
        {
            var frame = bytes.ToArray();
            BinaryPrimitives.WriteUInt16BigEndian(frame, (ushort)(frame.Length - 2));
            return frame;
        }
    }
}

/// <summary>Parses bodies of frames (what follows the type). Never throws; false: malformed.</summary>
public static class PortalFrameReader
{
    /// <summary>The version that CONNECT, PUBLISH, ATTACH, DISCOVER and SIGN begin with; 0: there is none.</summary>
    public static byte VersionOf(ReadOnlySpan<byte> body) => body.IsEmpty ? (byte)0 : body[0];

    public static bool TryReadConnect(ReadOnlySpan<byte> body, [NotNullWhen(true)] out ConnectRequest? request)
    {
        const uint MaxTimeout = 600_000;
        request = null;
        if (body.Length < 6 || body[1] > (byte)TrafficClass.Interactive) return false;
        var (trafficClass, timeout) = ((TrafficClass)body[1], BinaryPrimitives.ReadUInt32BigEndian(body[2..]));
        body = body[6..];
        if (timeout > MaxTimeout || !TryReadString(ref body, out var target) || !TryReadString(ref body, out var instance) || !body.IsEmpty) return false;
        SpiffeId? vertex = null;
        if (target.Length == 0 || (instance.Length > 0 && !SpiffeId.TryParse(instance, out vertex, out _))) return false;
        request = new ConnectRequest(target, new ConnectOptions(
            Class: trafficClass, Instance: vertex, Timeout: timeout == 0 ? null : TimeSpan.FromMilliseconds(timeout)));
        return true;
    }

    public static bool TryReadAttach(ReadOnlySpan<byte> body, out ReadOnlySpan<byte> arrival)
    {
        arrival = default;
        if (body.Length != 1 + PortalSocketProtocol.ArrivalBytes) return false;
        arrival = body[1..];
        return true;
    }

    public static bool TryReadDiscover(ReadOnlySpan<byte> body, [NotNullWhen(true)] out ServiceQuery? query, out bool watch)
    {
        (query, watch) = (null, false);
        if (body.Length < 2 || body[1] > 1) return false;
        watch = body[1] == 1;
        body = body[2..];
        if (!TryReadString(ref body, out var kindWord) || !TryReadString(ref body, out var targetText) || !body.IsEmpty) return false;
        IdentityKind? kind = null;
        if (kindWord.Length > 0)
        {
            if (!IdentityKinds.TryParse(kindWord, out var parsed)) return false;
            kind = parsed;
        }
        SpiffeId? target = null;
        if (targetText.Length > 0 && !SpiffeId.TryParse(targetText, out target, out _)) return false;
        query = new ServiceQuery(target, kind);
        return true;
    }

    public static bool TryReadAccept(ReadOnlySpan<byte> body, out ReadOnlySpan<byte> arrival)
    {
        arrival = body;
        return body.Length == PortalSocketProtocol.ArrivalBytes;
    }

    public static bool TryReadRefuse(ReadOnlySpan<byte> body, out ReadOnlySpan<byte> arrival, [NotNullWhen(true)] out PortalException? refusal)
    {
        arrival = default;
        refusal = null;
        if (body.Length < PortalSocketProtocol.ArrivalBytes) return false;
        arrival = body[..PortalSocketProtocol.ArrivalBytes];
        return TryReadError(body[PortalSocketProtocol.ArrivalBytes..], out refusal);
    }

    public static bool TryReadError(ReadOnlySpan<byte> body, [NotNullWhen(true)] out PortalException? error)
    {
        error = null;
        if (body.Length < 3 || !Enum.IsDefined((PortalError)body[0])) return false;
        var length = BinaryPrimitives.ReadUInt16BigEndian(body[1..]);
        if (length != body.Length - 3) return false;
        error = new PortalException((PortalError)body[0], Encoding.UTF8.GetString(body[3..]));
        return true;
    }

    /// <summary>Of an OK; <paramref name="ends"/> is null when it carries none.</summary>
    public static bool TryReadOk(ReadOnlySpan<byte> body, out ConnectionEnds? ends)
    {
        ends = null;
        return body.SequenceEqual("\0\0\0"u8) || TryReadEnds(body, out ends);
    }

    public static bool TryReadArrival(ReadOnlySpan<byte> body, out ReadOnlySpan<byte> arrival, [NotNullWhen(true)] out ConnectionEnds? ends)
    {
        arrival = default;
        ends = null;
        if (body.Length < PortalSocketProtocol.ArrivalBytes) return false;
        arrival = body[..PortalSocketProtocol.ArrivalBytes];
        return TryReadEnds(body[PortalSocketProtocol.ArrivalBytes..], out ends);
    }

    public static bool TryReadService(ReadOnlySpan<byte> body, [NotNullWhen(true)] out ServiceChange? change)
    {
        change = null;
        if (body.IsEmpty || body[0] > 1) return false;
        var isPresent = body[0] == 1;
        body = body[1..];
        if (!TryReadId(ref body, out var service) || !TryReadId(ref body, out var vertex) || !body.IsEmpty) return false;
        change = new ServiceChange(service, vertex, isPresent);
        return true;
    }

    public static bool TryReadSign(ReadOnlySpan<byte> body, out string purpose, out ReadOnlySpan<byte> contentHash)
    {
        purpose = "";
        contentHash = default;
        if (body.IsEmpty) return false;
        body = body[1..];
        if (!TryReadString(ref body, out purpose) || !ProgramSignature.IsPurpose(purpose) || body.Length != ProgramSignature.HashBytes) return false;
        contentHash = body;
        return true;
    }

    private static bool TryReadEnds(ReadOnlySpan<byte> body, [NotNullWhen(true)] out ConnectionEnds? ends)
    {
        ends = null;
        if (!TryReadId(ref body, out var local) || !TryReadId(ref body, out var remote) || !TryReadId(ref body, out var vertex) || !body.IsEmpty) return false;
        ends = new ConnectionEnds(local, remote, vertex);
        return true;
    }

    private static bool TryReadId(ref ReadOnlySpan<byte> body, [NotNullWhen(true)] out SpiffeId? id)
    {
        id = null;
        return TryReadString(ref body, out var text) && SpiffeId.TryParse(text, out id, out _);
    }

    private static bool TryReadString(ref ReadOnlySpan<byte> body, out string text)
    {
        text = "";
        if (body.IsEmpty || body.Length < 1 + body[0]) return false;
        text = Encoding.UTF8.GetString(body.Slice(1, body[0]));
        body = body[(1 + body[0])..];
        return true;
    }
}
