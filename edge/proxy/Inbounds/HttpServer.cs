using System.Buffers;
using System.Net.Sockets;
using Florete.Portals;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Inbounds;

/// <summary>
/// Serves one HTTP client of a proxy inbound: CONNECT here; anything else, once its head has arrived whole, is Kestrel's and YARP's.
/// </summary>
internal static partial class HttpServer
{
    /// <summary>From the first byte on; returns when the connection has ended.</summary>
    /// <exception cref="SocketException">The client went away, or its time was up.</exception>
    public static async Task ServeAsync(
        Socket socket, HandshakeReader reader, HandshakeGate.Client client, HttpScope scope, HttpGateway gateway, ILogger logger,
        CancellationToken stopping)
    {
        int scanned = 0, head;
        OperationStatus status;
        while ((status = HttpMessages.FindEndOfHead(reader.Buffered.Span, ref scanned, out head)) == OperationStatus.NeedMoreData)
        {
            if (await reader.FillAsync().ConfigureAwait(false)) continue;
            if (reader.IsFull) await AnswerAsync(socket, client, 431, $"The request's head is larger than {HttpMessages.MaxHeadBytes} bytes; send less.").ConfigureAwait(false);
            return;
        }
        if (status == OperationStatus.InvalidData)
        {
            await AnswerAsync(socket, client, 400, "The request's head is malformed: its lines must end with CR LF and hold no zero byte.").ConfigureAwait(false);
            return;
        }
        if (!HttpMessages.IsConnect(reader.Buffered.Span))
        {
            var received = reader.TakeRest();
            client.Dispose();
            using (scope.Enter()) await gateway.ServeAsync(socket, received, scope).ConfigureAwait(false);
            await LingeringClose.EndAsync(socket, client.Gate).ConfigureAwait(false);
            return;
        }
        if (!HttpMessages.TryParseConnect(reader.Buffered.Span[..head], out var host, out var authorization))
        {
            await AnswerAsync(socket, client, 400, "The CONNECT request is malformed; it must be CONNECT host:port HTTP/1.1.").ConfigureAwait(false);
            return;
        }
        reader.Consume(head);
        if (scope.Credentials is { } credentials && !HttpMessages.Matches(credentials, authorization))
        {
            // The first request of a client often carries none, to learn what is wanted; only a wrong guess is slowed down.
            if (authorization is not null)
            {
                WrongPassword(logger);
                await credentials.DelayFailureAsync(stopping).ConfigureAwait(false);
            }
            await AnswerAsync(socket, client, 407, HttpMessages.WantsCredentials).ConfigureAwait(false);
            return;
        }
        client.Dispose();
        await ConnectAsync(socket, client, reader.TakeRest(), host, scope.Dialer, logger, stopping).ConfigureAwait(false);
    }

    private static async Task ConnectAsync(
        Socket socket, HandshakeGate.Client client, byte[] received, string host, Dialer dialer, ILogger logger, CancellationToken stopping)
    {
        PortalConnection connection;
        try
        {
            connection = await dialer.ConnectAsync(host, stopping).ConfigureAwait(false);
        }
        catch (PortalException e)
        {
            Refused(logger, dialer.Caller.Id.Path, e.Error, e.Message);
            await AnswerAsync(socket, client, HttpMessages.StatusOf(e.Error), e.Message, e.Error).ConfigureAwait(false);
            return;
        }
        try
        {
            await socket.SendAsync(HttpMessages.Established, SocketFlags.None, CancellationToken.None).ConfigureAwait(false);
        }
        catch (SocketException)
        {
            connection.Abort(new PortalException(PortalError.Closed, "The local program went away."));
            await connection.DisposeAsync().ConfigureAwait(false);
            throw;
        }
        await dialer.Connections.SpliceAsync(socket, connection, isInbound: true, received).ConfigureAwait(false);
    }

    private static async Task AnswerAsync(Socket socket, HandshakeGate.Client client, int status, string sentence, PortalError? error = null)
    {
        client.Dispose();
        await socket.SendAsync(HttpMessages.Answer(status, sentence, error), SocketFlags.None).ConfigureAwait(false);
        await LingeringClose.EndAsync(socket, client.Gate).ConfigureAwait(false);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "An HTTP client of {Caller} was refused ({Error}): {Why}")]
    private static partial void Refused(ILogger logger, string caller, PortalError error, string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "An HTTP client gave a wrong user or password")]
    private static partial void WrongPassword(ILogger logger);
}
