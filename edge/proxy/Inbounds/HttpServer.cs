using System.Buffers;
using System.Net.Sockets;
using Florete.Portals;
using Florete.Proxy.Local;
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
        LocalSocket socket, HandshakeReader reader, HandshakeGate.Client client, HttpScope scope, HttpGateway gateway, ILogger logger,
        CancellationToken stopping)
    {
        int scanned = 0, head;
        OperationStatus status;
        while ((status = HttpMessages.FindEndOfHead(reader.Buffered.Span, ref scanned, out head)) == OperationStatus.NeedMoreData)
        {
            if (await reader.FillAsync()) continue;
            if (reader.IsFull) await AnswerAsync(socket, client, 431, $"The request's head is larger than {HttpMessages.MaxHeadBytes} bytes; send less.");
            return;
        }
        if (status == OperationStatus.InvalidData)
        {
            await AnswerAsync(socket, client, 400, "The request's head is malformed: its lines must end with CR LF and hold no zero byte.");
            return;
        }
        if (!HttpMessages.IsConnect(reader.Buffered.Span))
        {
            var received = reader.TakeRest();
            client.Dispose();
            // It has threads of its own, and ways of its own to wait.
            var handedOver = socket.Release();
            using (scope.Enter()) await Task.Run(() => gateway.ServeAsync(handedOver, received, scope), stopping);
            using var rest = LocalSocket.Over(handedOver, null);
            await LingeringClose.EndAsync(rest, client.Gate);
            return;
        }
        if (!HttpMessages.TryParseConnect(reader.Buffered.Span[..head], out var host, out var authorization))
        {
            await AnswerAsync(socket, client, 400, "The CONNECT request is malformed; it must be CONNECT host:port HTTP/1.1.");
            return;
        }
        reader.Consume(head);
        if (scope.Credentials is { } credentials && !HttpMessages.Matches(credentials, authorization))
        {
            // The first request of a client often carries none, to learn what is wanted; only a wrong guess is slowed down.
            if (authorization is not null)
            {
                WrongPassword(logger);
                await credentials.DelayFailureAsync(stopping);
            }
            await AnswerAsync(socket, client, 407, HttpMessages.WantsCredentials);
            return;
        }
        client.Dispose();
        await ConnectAsync(socket, client, reader.TakeRest(), host, scope.Dialer, logger, stopping);
    }

    private static async Task ConnectAsync(
        LocalSocket socket, HandshakeGate.Client client, byte[] received, string host, Dialer dialer, ILogger logger, CancellationToken stopping)
    {
        PortalConnection connection;
        try
        {
            connection = await dialer.ConnectAsync(host, stopping);
        }
        catch (PortalException e)
        {
            Refused(logger, dialer.Caller.Id.Path, e.Error, e.Message);
            await AnswerAsync(socket, client, HttpMessages.StatusOf(e.Error), e.Message, e.Error);
            return;
        }
        try
        {
            await socket.SendAsync(HttpMessages.Established);
        }
        catch (SocketException)
        {
            connection.Abort(new PortalException(PortalError.Closed, "The local program went away."));
            await connection.DisposeAsync();
            throw;
        }
        await dialer.Connections.SpliceAsync(socket, connection, isInbound: true, received);
    }

    private static async Task AnswerAsync(LocalSocket socket, HandshakeGate.Client client, int status, string sentence, PortalError? error = null)
    {
        client.Dispose();
        await socket.SendAsync(HttpMessages.Answer(status, sentence, error));
        await LingeringClose.EndAsync(socket, client.Gate);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "An HTTP client of {Caller} was refused ({Error}): {Why}")]
    private static partial void Refused(ILogger logger, string caller, PortalError error, string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "An HTTP client gave a wrong user or password")]
    private static partial void WrongPassword(ILogger logger);
}
