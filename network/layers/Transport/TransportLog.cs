using Florete.Identities;
using Microsoft.Extensions.Logging;

namespace Florete.Layers;

/// <summary>Messages of a transport endpoint; those about security are events as well.</summary>
internal sealed partial class TransportLog(ILogger logger, SecurityEvents? events)
{
    public void Refused(SpiffeId local, SpiffeId remote, SpiffeId remoteVertex, string reason)
    {
        events?.Add(SecurityEventKind.RefusedCaller, remote.Path, remoteVertex.Path, reason, local.Path);
        LogRefused(local, remote, remoteVertex, reason);
    }

    public void Unproved(SpiffeId vertex, string reason)
    {
        events?.Add(SecurityEventKind.RefusedHandshake, "", vertex.Path, reason);
        LogUnproved(vertex, reason);
    }

    [LoggerMessage(3, LogLevel.Error, "Handling a packet between {Local} and {Remote} failed; the connection was closed")]
    public partial void HandlerFailed(Exception exception, string local, string remote);

    [LoggerMessage(4, LogLevel.Error, "An acceptor of {Service} failed")]
    public partial void AcceptorFailed(Exception exception, SpiffeId service);

    [LoggerMessage(5, LogLevel.Warning, "Closed the connection between {Local} and {Remote} at {RemoteVertex}: {Reason}")]
    public partial void Revoked(SpiffeId local, SpiffeId remote, SpiffeId remoteVertex, string reason);

    [LoggerMessage(1, LogLevel.Warning, "Refused a connection between {Local} and {Remote} at {RemoteVertex}: {Reason}")]
    private partial void LogRefused(SpiffeId local, SpiffeId remote, SpiffeId remoteVertex, string reason);

    [LoggerMessage(2, LogLevel.Warning, "The proof of identity of a peer at {Vertex} was refused: {Reason}")]
    private partial void LogUnproved(SpiffeId vertex, string reason);
}
