using Microsoft.Extensions.Logging;

namespace Florete.Bus;

internal static partial class BusLog
{
    [LoggerMessage(Level = LogLevel.Information, Message = "The bus is published through {Portal}")]
    public static partial void Published(this ILogger logger, object portal);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The bus is not published through {Portal}, so nothing reaches its queues: {Reason} Trying again")]
    public static partial void NotPublished(this ILogger logger, object portal, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The bus cannot discover its peers through {Portal}: {Reason} Trying again")]
    public static partial void CannotDiscover(this ILogger logger, object portal, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Bus peer {Peer} at {Vertex}: connected")]
    public static partial void Connected(this ILogger logger, object peer, object vertex);

    [LoggerMessage(Level = LogLevel.Information, Message = "Bus peer {Peer} at {Vertex}: {Reason}")]
    public static partial void Disconnected(this ILogger logger, object peer, object vertex, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Bus peer {Peer} at {Vertex} cannot be reached: {Reason} Trying again")]
    public static partial void Unreachable(this ILogger logger, object peer, object vertex, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "There are more than {Limit} bus peers; {Peer} at {Vertex} is left out. Name fewer peers")]
    public static partial void TooManyPeers(this ILogger logger, int limit, object peer, object vertex);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Message {Id} for queue {Queue} was dropped: {Reason}")]
    public static partial void Dropped(this ILogger logger, Guid id, object queue, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A message for queue {Queue} was refused by {Peer}, and will be sent again: {Reason}")]
    public static partial void Faulted(this ILogger logger, object queue, object peer, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The bus stops with {Count} messages that no consumer has completed; they are lost")]
    public static partial void StoppedWithMessages(this ILogger logger, int count);

    [LoggerMessage(Level = LogLevel.Error, Message = "A background task of the bus failed")]
    public static partial void Failed(this ILogger logger, Exception e);
}
