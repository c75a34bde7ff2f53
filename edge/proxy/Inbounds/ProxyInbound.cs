using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Inbounds;

/// <summary>One port for SOCKS5 and HTTP proxying; the first byte decides.</summary>
internal sealed class ProxyInbound(Dialer dialer, Credentials? credentials, HandshakeGate gate, ILogger logger, CancellationToken stopping)
{
    /// <summary>Serves one client until it is gone.</summary>
    public async Task ServeAsync(Socket socket)
    {
        socket.NoDelay = true;
        using var client = gate.Enter(socket);
        using var reader = new HandshakeReader(socket, client, SocksMessages.MaxBytes);
        if (!await reader.FillAsync().ConfigureAwait(false)) return;
        switch (reader.Buffered.Span[0])
        {
            case SocksMessages.Version5:
                await SocksServer.ServeAsync(socket, reader, client, dialer, credentials, logger, stopping).ConfigureAwait(false);
                break;
            case SocksMessages.Version4:
                await socket.SendAsync(SocksMessages.Version4Refusal, SocketFlags.None).ConfigureAwait(false);
                break;
        }
    }
}
