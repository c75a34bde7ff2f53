using System.Runtime.InteropServices;

namespace Florete.Hosting;

/// <summary>SIGINT and SIGTERM as one task, instead of the end of the process: so that a program stops in order.</summary>
public sealed class StopSignal : IDisposable
{
    private readonly TaskCompletionSource received = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly PosixSignalRegistration interrupt;
    private readonly PosixSignalRegistration terminate;

    public StopSignal()
    {
        interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
    }

    /// <summary>Completes with the first of them.</summary>
    public Task Received => received.Task;

    public void Dispose()
    {
        interrupt.Dispose();
        terminate.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        received.TrySetResult();
    }
}
