using Florete.Bus.MassTransit.Configuration;
using MassTransit;
using MassTransit.Logging;
using MassTransit.Middleware;
using Microsoft.Extensions.Logging;

namespace Florete.Bus.MassTransit.Transport;

/// <summary>The bus member of a bus, from its start to its stop.</summary>
internal sealed class FloreteTransport : Agent
{
    public FloreteTransport(FloreteHostConfiguration configuration)
    {
        var logger = configuration.LogContext is { } log ? new Logger<BusMember>(new Factory(log)) : new Logger<BusMember>(new LoggerFactory());
        Member = new BusMember(configuration.Portal!, configuration.MemberOptions, logger);
        Member.Start();
        SetReady();
    }

    public BusMember Member { get; }

    protected override async Task StopAgent(StopContext context)
    {
        await Member.DisposeAsync().ConfigureAwait(false);
        await base.StopAgent(context).ConfigureAwait(false);
    }

    // MassTransit has its own logs, to which the application's logging is connected.
    private sealed class Factory(ILogContext log) : ILoggerFactory
    {
        public ILogger CreateLogger(string categoryName) => log.CreateLogContext(categoryName).Logger;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public void Dispose()
        {
        }
    }
}
