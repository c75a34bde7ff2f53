using Florete.Bus.MassTransit.Configuration;
using MassTransit;
using MassTransit.Context;
using MassTransit.Middleware;
using MassTransit.Transports;

namespace Florete.Bus.MassTransit.Transport;

/// <summary>Sends to one address: a queue, or the topics of a message type. A send completes when the member holds the message.</summary>
internal sealed class FloreteSendTransportContext(FloreteHostConfiguration host, ISerialization serialization, FloreteAddress address)
    : BaseSendTransportContext(host, serialization), SendTransportContext<PipeContext>
{
    public override string EntityName => address.Name;

    public override string ActivitySystem => "florete";

    public override async Task<SendContext<T>> CreateSendContext<T>(T message, IPipe<SendContext<T>> pipe, CancellationToken cancellationToken)
    {
        var context = new MessageSendContext<T>(message, cancellationToken);
        await pipe.Send(context).ConfigureAwait(false);
        return context;
    }

    public Task<SendContext<T>> CreateSendContext<T>(PipeContext context, T message, IPipe<SendContext<T>> pipe, CancellationToken cancellationToken)
        where T : class => CreateSendContext(message, pipe, cancellationToken);

    public async Task Send<T>(PipeContext transportContext, SendContext<T> sendContext)
        where T : class
    {
        sendContext.CancellationToken.ThrowIfCancellationRequested();
        var context = (MessageSendContext<T>)sendContext;
        var id = context.MessageId ?? NewId.NextGuid();
        var headers = context.Headers.GetAll()
            .Prepend(new KeyValuePair<string, object>(MessageHeaders.ContentType, context.ContentType!.ToString()))
            .Prepend(new KeyValuePair<string, object>(MessageHeaders.MessageId, id.ToString()));
        var message = new BusMessage(id, FloreteHeaders.Write(headers), context.Body.GetBytes()) { TimeToLive = context.TimeToLive };
        var (member, delay) = (host.Transport.Member, context.Delay ?? TimeSpan.Zero);
        if (!address.IsTopic) await member.SendAsync(address.ToDestination(), message, delay, context.CancellationToken).ConfigureAwait(false);
        else await member.PublishAsync(context.SupportedMessageTypes, message, delay, context.CancellationToken).ConfigureAwait(false);
    }

    public Task Send(IPipe<PipeContext> pipe, CancellationToken cancellationToken = default) => pipe.Send(new Scope(cancellationToken));

    public void Probe(ProbeContext context) => context.Add("address", address.ToUri());

    private sealed class Scope(CancellationToken cancellationToken) : BasePipeContext(cancellationToken);
}

internal sealed class FloreteSendTransportProvider(FloreteHostConfiguration host, ReceiveEndpointContext context) : ISendTransportProvider, IPublishTransportProvider
{
    public Uri NormalizeAddress(Uri address) => FloreteAddress.Parse(address).ToUri();

    public Task<ISendTransport> GetSendTransport(Uri address)
    {
        LogContext.SetCurrentIfNull(host.LogContext);
        TransportLogMessages.CreateSendTransport(address);
        return Task.FromResult<ISendTransport>(new SendTransport<PipeContext>(new FloreteSendTransportContext(host, context.Serialization, FloreteAddress.Parse(address))));
    }

    public Task<ISendTransport> GetPublishTransport<T>(Uri? publishAddress)
        where T : class => GetSendTransport(publishAddress!);
}
