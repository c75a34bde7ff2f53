using System.Buffers;
using System.Net.Sockets;
using Florete.Portals;
using Florete.Proxy.Local;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Inbounds;

/// <summary>Serves one SOCKS5 client: CONNECT to names of the mesh, and nothing else.</summary>
internal static partial class SocksServer
{
    /// <summary>From the greeting on; returns when the connection has ended.</summary>
    /// <exception cref="SocketException">The client went away, or its time was up.</exception>
    public static async Task ServeAsync(
        LocalSocket socket, HandshakeReader reader, HandshakeGate.Client client, Dialer dialer, Credentials? credentials, ILogger logger,
        CancellationToken stopping)
    {
        if (!await AgreeOnMethodAsync(socket, reader, credentials, logger, stopping))
        {
            client.Dispose();
            await LingeringClose.EndAsync(socket, client.Gate);
            return;
        }
        SocksRequest request;
        while (true)
        {
            var status = SocksMessages.TryParseRequest(reader.Buffered.Span, out request, out var consumed);
            if (status == OperationStatus.InvalidData) return;
            if (status == OperationStatus.Done)
            {
                reader.Consume(consumed);
                break;
            }
            if (!await reader.FillAsync()) return;
        }
        client.Dispose();
        var received = reader.TakeRest();
        if (request.Command != SocksMessages.Connect)
        {
            await RefuseAsync(socket, client, SocksReply.CommandNotSupported);
            return;
        }
        if (request.Name is null)
        {
            // Without a name there is no identity to ask for.
            Literal(logger, dialer.Caller.Id.Path);
            await RefuseAsync(socket, client, SocksReply.AddressTypeNotSupported);
            return;
        }
        PortalConnection connection;
        try
        {
            connection = await dialer.ConnectAsync(request.Name, stopping);
        }
        catch (PortalException e)
        {
            Refused(logger, dialer.Caller.Id.Path, e.Error, e.Message);
            await RefuseAsync(socket, client, SocksMessages.ReplyOf(e.Error));
            return;
        }
        try
        {
            await AnswerAsync(socket, SocksReply.Succeeded);
        }
        catch (SocketException)
        {
            connection.Abort(new PortalException(PortalError.Closed, "The local program went away."));
            await connection.DisposeAsync();
            throw;
        }
        await dialer.Connections.SpliceAsync(socket, connection, isInbound: true, received);
    }

    private static async ValueTask<bool> AgreeOnMethodAsync(
        LocalSocket socket, HandshakeReader reader, Credentials? credentials, ILogger logger, CancellationToken stopping)
    {
        bool offersNone, offersPassword;
        while (true)
        {
            var status = SocksMessages.TryParseGreeting(reader.Buffered.Span, out offersNone, out offersPassword, out var consumed);
            if (status == OperationStatus.InvalidData) return false;
            if (status == OperationStatus.Done)
            {
                reader.Consume(consumed);
                break;
            }
            if (!await reader.FillAsync()) return false;
        }
        var method = credentials is null
            ? offersNone ? SocksMessages.NoAuthentication : SocksMessages.NoMethod
            : offersPassword ? SocksMessages.UserPassword : SocksMessages.NoMethod;
        await SendAsync(socket, [SocksMessages.Version5, method]);
        if (method == SocksMessages.NoMethod)
        {
            NoMethod(logger, credentials is null ? "no authentication, which it did not offer" : "user and password, which it did not offer");
            return false;
        }
        return credentials is null || await AuthenticateAsync(socket, reader, credentials, logger, stopping);
    }

    private static async ValueTask<bool> AuthenticateAsync(
        LocalSocket socket, HandshakeReader reader, Credentials credentials, ILogger logger, CancellationToken stopping)
    {
        while (true)
        {
            var status = SocksMessages.TryParsePassword(reader.Buffered.Span, out var user, out var password, out var consumed);
            if (status == OperationStatus.InvalidData) return false;
            if (status == OperationStatus.Done)
            {
                var isRight = credentials.Match(user, password);
                reader.Consume(consumed);
                if (!isRight)
                {
                    WrongPassword(logger);
                    await credentials.DelayFailureAsync(stopping);
                }
                await SendAsync(socket, [1, isRight ? (byte)0 : (byte)1]);
                return isRight;
            }
            if (!await reader.FillAsync()) return false;
        }
    }

    private static Task AnswerAsync(LocalSocket socket, SocksReply reply) => SendAsync(socket, SocksMessages.Reply(reply));

    private static async Task RefuseAsync(LocalSocket socket, HandshakeGate.Client client, SocksReply reply)
    {
        await AnswerAsync(socket, reply);
        await LingeringClose.EndAsync(socket, client.Gate);
    }

    private static async Task SendAsync(LocalSocket socket, byte[] message) => await socket.SendAsync(message);

    [LoggerMessage(Level = LogLevel.Information, Message = "A SOCKS client of {Caller} was refused ({Error}): {Why}")]
    private static partial void Refused(ILogger logger, string caller, PortalError error, string why);

    [LoggerMessage(Level = LogLevel.Information, Message = "A SOCKS client of {Caller} asked for an address; let it resolve names by the proxy (curl: socks5h://)")]
    private static partial void Literal(ILogger logger, string caller);

    [LoggerMessage(Level = LogLevel.Information, Message = "A SOCKS client was refused: this inbound wants {Method}")]
    private static partial void NoMethod(ILogger logger, string method);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A SOCKS client gave a wrong user or password")]
    private static partial void WrongPassword(ILogger logger);
}
