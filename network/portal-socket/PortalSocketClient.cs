using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Florete.Identities;
using Florete.Portals;

namespace Florete.PortalSocket;

/// <summary>
/// The portal as a program on a node has it: through its portal socket, as that socket's one identity, whose key stays in flor.
/// Thread-safe.
/// </summary>
/// <param name="path">The socket, as in the node's configuration (<c>portals:</c>).</param>
public sealed class PortalSocketClient(string path) : IProgramPortal
{
    private const string Ended = "Flor closed the portal socket: it stops, has ended, or its configuration changed; try again when it runs.";

    private readonly PortalSigner signer = new(path);

    public string Path => path;

    /// <summary>Connects to an identity; completes when it has accepted.</summary>
    /// <exception cref="PortalException">As <see cref="IPortal.ConnectAsync"/>; Unreachable also when flor does not run.</exception>
    public Task<PortalConnection> ConnectAsync(SpiffeId target, ConnectOptions? options = null, CancellationToken cancellationToken = default) =>
        ConnectAsync(target.ToString(), options, cancellationToken);

    /// <summary>Connects to a name: <c>hello.rete</c>.</summary>
    /// <exception cref="PortalException">As <see cref="IPortal.ConnectAsync"/>; Unreachable also when flor does not run.</exception>
    public async Task<PortalConnection> ConnectAsync(string target, ConnectOptions? options = null, CancellationToken cancellationToken = default)
    {
        var (frames, ends) = await AskAsync(PortalFrameWriter.Connect(target, options ?? ConnectOptions.Default), cancellationToken).ConfigureAwait(false);
        return Stream(frames, ends);
    }

    /// <summary>
    /// Publishes the socket's identity. Connections go to the acceptor, one call each, at the same time. Disposing withdraws it;
    /// <see cref="PortalPublication.Ended"/> completes when flor ended it, and then the caller publishes again, backing off.
    /// </summary>
    /// <exception cref="PortalException">Refused by the bounds, or flor does not run.</exception>
    public async Task<PortalPublication> PublishAsync(IAcceptor acceptor, CancellationToken cancellationToken = default)
    {
        var (frames, ends) = await AskAsync(PortalFrameWriter.Publish(), cancellationToken).ConfigureAwait(false);
        if (ends is not null) return new PortalPublication(this, frames, ends, acceptor);
        frames.Dispose();
        throw Violation();
    }

    async Task<IPortalPublication> IProgramPortal.PublishAsync(IAcceptor acceptor, CancellationToken cancellationToken) =>
        await PublishAsync(acceptor, cancellationToken).ConfigureAwait(false);

    public override string ToString() => path;

    /// <summary>What is published now, then, if <paramref name="watch"/>, every change until cancelled.</summary>
    /// <exception cref="PortalException">Flor does not run, or it stopped.</exception>
    public async IAsyncEnumerable<ServiceChange> DiscoverAsync(
        ServiceQuery query, bool watch, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var (frames, _) = await AskAsync(PortalFrameWriter.Discover(query, watch), cancellationToken).ConfigureAwait(false);
        using (frames)
        {
            while (await ReadAsync(frames, cancellationToken).ConfigureAwait(false) is var (type, body))
            {
                if (type == PortalFrameType.CaughtUp && !watch) yield break;
                if (type == PortalFrameType.CaughtUp) continue;
                if (type != PortalFrameType.Service || !PortalFrameReader.TryReadService(body, out var change)) throw Violation();
                yield return change;
            }
        }
    }

    /// <summary>Flor signs, with the key of the socket's identity.</summary>
    /// <exception cref="ArgumentException">It is no purpose.</exception>
    /// <exception cref="PortalException">Flor does not run; LimitReached: more is signed than it allows.</exception>
    public Task<PortalSignature> SignAsync(string purpose, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default) =>
        signer.SignAsync(purpose, content, cancellationToken);

    /// <summary>Takes an arrival over in stream mode.</summary>
    internal async Task<PortalConnection> AttachAsync(byte[] arrival, CancellationToken cancellationToken)
    {
        var (frames, ends) = await AskAsync(PortalFrameWriter.Attach(arrival), cancellationToken).ConfigureAwait(false);
        return Stream(frames, ends);
    }

    internal static async Task<(PortalFrameType Type, byte[] Body)> ReadAsync(FrameSocket frames, CancellationToken cancellationToken)
    {
        try
        {
            if (await frames.ReadAsync(cancellationToken).ConfigureAwait(false) is not { } frame)
            {
                throw new PortalException(PortalError.Closed, Ended);
            }
            if (frame.Type != PortalFrameType.Error) return frame;
            throw PortalFrameReader.TryReadError(frame.Body, out var error) ? error : Violation();
        }
        catch (EndOfStreamException e)
        {
            throw new PortalException(PortalError.Closed, Ended, e);
        }
        catch (InvalidDataException e)
        {
            throw new PortalException(PortalError.ProtocolViolation, e.Message, e);
        }
        catch (SocketException e)
        {
            throw new PortalException(PortalError.Closed, $"{Ended} ({e.Message})", e);
        }
    }

    internal static PortalException Violation() =>
        new(PortalError.ProtocolViolation, "Flor sent a frame that this program does not understand; use programs of one version.");

    private static PortalSocketConnection Stream(FrameSocket frames, ConnectionEnds? ends)
    {
        if (ends is not null) return new PortalSocketConnection(frames.Socket, ends);
        frames.Dispose();
        throw Violation();
    }

    private async Task<(FrameSocket Frames, ConnectionEnds? Ends)> AskAsync(byte[] request, CancellationToken cancellationToken)
    {
        var frames = await OpenAsync(path, request, cancellationToken).ConfigureAwait(false);
        try
        {
            var (type, body) = await ReadAsync(frames, cancellationToken).ConfigureAwait(false);
            if (type != PortalFrameType.Ok || !PortalFrameReader.TryReadOk(body, out var ends)) throw Violation();
            return (frames, ends);
        }
        catch
        {
            frames.Dispose();
            throw;
        }
    }

    /// <summary>Connects to flor and asks it; the answer is still to be read.</summary>
    internal static async Task<FrameSocket> OpenAsync(string path, byte[] request, CancellationToken cancellationToken)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        var frames = new FrameSocket(socket);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken).ConfigureAwait(false);
            await frames.WriteAsync(request, cancellationToken).ConfigureAwait(false);
            return frames;
        }
        catch (SocketException e)
        {
            frames.Dispose();
            throw new PortalException(PortalError.Unreachable, e.SocketErrorCode == SocketError.AccessDenied
                ? $"{path}: this user may not open the portal socket; run as the owner that the node's configuration names (portals)."
                : $"{path}: flor does not answer at this portal socket ({e.Message}); start it, or correct the path.", e);
        }
        catch
        {
            frames.Dispose();
            throw;
        }
    }
}
