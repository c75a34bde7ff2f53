using Florete.Identities;
using Microsoft.Extensions.Logging;

namespace Florete.Layers;

/// <summary>Messages of a transport endpoint.</summary>
internal sealed partial class TransportLog(ILogger logger)
{
    [LoggerMessage(1, LogLevel.Warning, "Refused a connection between {Local} and {Remote} at {RemoteVertex}: {Reason}")]
    public partial void Refused(SpiffeId local, SpiffeId remote, SpiffeId remoteVertex, string reason);

    [LoggerMessage(2, LogLevel.Warning, "The proof of identity of a peer at {Vertex} was refused: {Reason}")]
    public partial void Unproved(SpiffeId vertex, string reason);

    [LoggerMessage(3, LogLevel.Error, "Handling a packet between {Local} and {Remote} failed; the connection was closed")]
    public partial void HandlerFailed(Exception exception, string local, string remote);

    [LoggerMessage(4, LogLevel.Error, "An acceptor of {Service} failed")]
    public partial void AcceptorFailed(Exception exception, SpiffeId service);
}
