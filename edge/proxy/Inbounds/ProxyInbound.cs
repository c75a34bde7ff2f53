using Florete.Proxy.Local;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Inbounds;

/// <summary>One port for SOCKS5 and HTTP proxying; the first byte decides.</summary>
internal sealed class ProxyInbound(HttpScope scope, HttpGateway gateway, HandshakeGate gate, ILogger logger, CancellationToken stopping)
{
    /// <summary>Serves one client until it is gone.</summary>
    public async Task ServeAsync(LocalSocket socket)
    {
        using var client = gate.Enter(socket);
        using var reader = new HandshakeReader(socket, client, HttpMessages.MaxHeadBytes);
        if (!await reader.FillAsync()) return;
        switch (reader.Buffered.Span[0])
        {
            case SocksMessages.Version5:
                await SocksServer.ServeAsync(socket, reader, client, scope.Dialer, scope.Credentials, logger, stopping);
                break;
            case SocksMessages.Version4:
                await socket.SendAsync(SocksMessages.Version4Refusal);
                break;
            // A method is a token of letters (RFC 9110 §9.1); anything else, TLS say, is not for a proxy.
            case >= (byte)'A' and <= (byte)'Z':
                await HttpServer.ServeAsync(socket, reader, client, scope, gateway, logger, stopping);
                break;
        }
    }
}
