using System.Text;
using Florete.Quic.Native;

namespace Florete.Quic;

/// <content>The end: by us, by the peer, by silence or by a violation (RFC 9000 § 10).</content>
public sealed unsafe partial class QuicConnection
{
    private const int MaxReasonBytes = 256;
    private const ulong InternalError = 1;
    private const ulong CryptoError = 0x100;

    // A peer that answers with more packets hears the close again, ever less often (RFC 9000 § 10.2.1).
    private const int MostClosePackets = 8;

    private bool closeUnsent;
    private bool closeIsApplication;
    private int closeError; // an ngtcp2 error, or 0
    private byte[] closeReason = [];
    private byte[]? closePacket;
    private int closePackets;
    private long receivedWhileClosing;
    private ulong closingEnds;
    private bool closedTold;
    private bool resetStatelessly;
    private Exception? fault;

    /// <summary>
    /// Closes with an application error code; the peer is told by the next <see cref="Write"/> (by a client during the handshake without code and
    /// reason, RFC 9000 § 10.2.3). Nothing that is still unsent is sent. Without effect once closed.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The code is above 2^62 − 1.</exception>
    public void Close(ulong applicationErrorCode, string reason)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(applicationErrorCode, LargestCode);
        if (disposed || disposeAsked || State == QuicConnectionState.Closed) return;
        closeIsApplication = true;
        End(new QuicClose(reason, applicationErrorCode, IsApplication: true, IsRemote: false), tellPeer: true, ReasonBytes(reason));
        if (!inside) Leave();
    }

    private void End(QuicClose close, bool tellPeer, byte[] wireReason)
    {
        if (State == QuicConnectionState.Closed) return;
        State = QuicConnectionState.Closed;
        CloseReason = close;
        (closeUnsent, closeReason) = (tellPeer, wireReason);
        // Three probe timeouts let late packets pass (RFC 9000 § 10.2); nothing to wait for where no packet may be sent.
        closingEnds = tellPeer || close.IsRemote ? lastTimestamp + (3 * Ngtcp2.GetPto(connection)) : lastTimestamp;
    }

    private void AfterRead(int error)
    {
        switch (error)
        {
            case 0:
            case Ngtcp2Errors.Retry: // the server wants a token first: the endpoint decides that before Accept
            case Ngtcp2Errors.Closing:
                return;
            case Ngtcp2Errors.Draining:
                ClosedByPeer();
                return;
            default:
                FailWith(error);
                return;
        }
    }

    private void ClosedByPeer()
    {
        if (resetStatelessly)
        {
            End(new QuicClose("The peer no longer knows the connection (stateless reset): it has restarted or given up.", 0, false, true), tellPeer: false, []);
            return;
        }
        var error = Ngtcp2.GetCloseError(connection);
        var text = Encoding.UTF8.GetString(new ReadOnlySpan<byte>(error->Reason, (int)error->ReasonLength));
        var application = error->Type == 1;
        var reason = application
            ? text
            : error->ErrorCode is >= CryptoError and < CryptoError + 256
                ? $"The peer ended the handshake: {AlertText((int)(error->ErrorCode - CryptoError))}{(text.Length > 0 ? ": " + text : "")}."
                : $"The peer reported {TransportErrorName(error->ErrorCode)}{(text.Length > 0 ? ": " + text : "")}.";
        End(new QuicClose(reason, error->ErrorCode, application, IsRemote: true), tellPeer: false, []);
    }

    private void FailWith(int error)
    {
        closeError = error;
        switch (error)
        {
            case Ngtcp2Errors.IdleClose:
                End(new QuicClose($"No packet of the peer arrived within the idle timeout ({Options.IdleTimeout.TotalSeconds:0.###} s or less, if the peer wants less).", 0, false, false), tellPeer: false, []);
                return;
            case Ngtcp2Errors.HandshakeTimeout:
                End(new QuicClose($"The handshake did not finish within {Options.HandshakeTimeout.TotalSeconds:0.###} s.", 0, false, false), tellPeer: false, []);
                return;
            case Ngtcp2Errors.DropConnection:
                End(new QuicClose("The packets of the peer do not belong to a connection.", 0, false, false), tellPeer: false, []);
                return;
            case Ngtcp2Errors.RecvVersionNegotiation:
                End(new QuicClose("The peer does not speak QUIC version 1.", 0x11, false, true), tellPeer: false, []);
                return;
            case Ngtcp2Errors.CallbackFailure when fault is not null:
            case Ngtcp2Errors.Crypto when fault is not null:
                closeError = 0;
                End(new QuicClose($"A handler failed: {fault.Message}", InternalError, false, false, fault), tellPeer: true, []);
                return;
            case Ngtcp2Errors.Crypto:
                var alert = Ngtcp2.GetTlsAlert(connection);
                // The peer is not proved: it hears the alert, the reason stays here.
                End(new QuicClose(refusal ?? $"The TLS handshake failed: {AlertText(alert)}.", CryptoError + alert, false, false), tellPeer: true, []);
                return;
            default:
                CloseError close;
                Ngtcp2.SetLibraryError(&close, error, null, 0);
                End(new QuicClose($"{TransportErrorName(close.ErrorCode)} ({Ngtcp2Errors.Text(error)}).", close.ErrorCode, false, false, fault), tellPeer: true, []);
                return;
        }
    }

    /// <summary>A handler threw: nothing may unwind through native frames, so it ends the connection after the native call.</summary>
    private int Fault(Exception exception)
    {
        fault ??= exception;
        return Ngtcp2Errors.CallbackFailure;
    }

    private nint WriteClose(Span<byte> destination, ulong timestamp)
    {
        if (!closeUnsent) return 0;
        closeUnsent = false;
        if (closePacket is not null)
        {
            if (closePacket.Length > destination.Length) return 0;
            closePacket.CopyTo(destination);
            return closePacket.Length;
        }
        nint written;
        CloseError error;
        fixed (byte* data = destination)
        fixed (byte* reason = closeReason)
        {
            var length = (nuint)closeReason.Length;
            if (closeIsApplication) Ngtcp2.SetApplicationError(&error, CloseReason!.Code, reason, length);
            else if (closeError == Ngtcp2Errors.Crypto) Ngtcp2.SetTlsAlert(&error, Ngtcp2.GetTlsAlert(connection), reason, length);
            else if (closeError != 0) Ngtcp2.SetLibraryError(&error, closeError, reason, length);
            else Ngtcp2.SetTransportError(&error, CloseReason!.Code, reason, length);
            inside = true;
            written = Ngtcp2.WriteClose(
                connection, null, Ngtcp2.PacketInfoVersion, &native->Info, data, (nuint)destination.Length, &error, timestamp);
            inside = false;
        }
        if (written <= 0) return 0; // no keys yet, or too late: the peer times out
        closePacket = destination[..(int)written].ToArray();
        closePackets = 1;
        closingEnds = timestamp + (3 * Ngtcp2.GetPto(connection)); // Close knew no time
        return written;
    }

    private bool IsFirstCloseUnsent => closeUnsent && closePacket is null;

    private void AnswerWhileClosing()
    {
        if (closePacket is null || IsFinished || closePackets >= MostClosePackets) return;
        if (++receivedWhileClosing != 1L << (closePackets - 1)) return;
        closePackets++;
        closeUnsent = true;
    }

    private static string TransportErrorName(ulong code) => code switch
    {
        0x0 => "no error",
        0x1 => "an internal error",
        0x2 => "that it refuses connections",
        0x3 => "a flow control violation",
        0x4 => "a stream limit violation",
        0x5 => "a stream state violation",
        0x6 => "a wrong final size",
        0x7 => "a malformed frame",
        0x8 => "bad transport parameters",
        0x9 => "a connection ID limit violation",
        0xA => "a protocol violation",
        0xB => "an invalid token",
        0xC => "an application error during the handshake",
        0xD => "too much handshake data",
        0xE => "a key update error",
        0xF => "that the keys are used up",
        0x10 => "no viable path",
        0x11 => "a version negotiation error",
        >= 0x100 and <= 0x1FF => AlertText((int)(code - 0x100)),
        _ => $"QUIC error 0x{code:x}",
    };
}
