using System.Net.Sockets;
using System.Security.Cryptography;
using Florete.Identities;
using Florete.Portals;

namespace Florete.PortalSocket;

/// <summary>Has flor sign, one at a time, over one connection that is kept: a program may sign hundreds of times a second. Thread-safe.</summary>
// CA1001: it lives as long as its client, and a socket that nobody uses any more is closed when it is collected.
#pragma warning disable CA1001
internal sealed class PortalSigner(string path)
#pragma warning restore CA1001
{
    private readonly SemaphoreSlim turn = new(1);
    private FrameSocket? kept;
    private byte[][] chain = [];

    public async Task<PortalSignature> SignAsync(string purpose, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        if (!ProgramSignature.IsPurpose(purpose))
            throw new ArgumentException($"'{purpose}' is no purpose; write 1 to {ProgramSignature.MaxPurposeLength} of a-z, 0-9, '-', '.' and '/'.", nameof(purpose));
        var request = PortalFrameWriter.Sign(purpose, SHA256.HashData(content.Span));
        await turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            // Flor may have been started again since: then once more, on a connection of now.
            if (kept is not null && await TryAskAsync(kept, request, cancellationToken).ConfigureAwait(false) is { } signature) return signature;
            kept = await PortalSocketClient.OpenAsync(path, request, cancellationToken).ConfigureAwait(false);
            return await ReadAsync(kept, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            // Whatever is answered there belongs to a question that nobody asks any more.
            Drop();
            throw;
        }
        finally
        {
            turn.Release();
        }
    }

    private async Task<PortalSignature?> TryAskAsync(FrameSocket frames, byte[] request, CancellationToken cancellationToken)
    {
        try
        {
            await frames.WriteAsync(request, cancellationToken).ConfigureAwait(false);
            return await ReadAsync(frames, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or PortalException { Error: PortalError.Closed })
        {
            Drop();
            return null;
        }
    }

    private async Task<PortalSignature> ReadAsync(FrameSocket frames, CancellationToken cancellationToken)
    {
        var (type, body) = await PortalSocketClient.ReadAsync(frames, cancellationToken).ConfigureAwait(false);
        if (type == PortalFrameType.Chain)
        {
            if (!EncodedChain.TryDecode(body, out chain)) throw PortalSocketClient.Violation();
            (type, body) = await PortalSocketClient.ReadAsync(frames, cancellationToken).ConfigureAwait(false);
        }
        if (type != PortalFrameType.Signature || body.Length != ProgramSignature.Bytes || chain.Length == 0) throw PortalSocketClient.Violation();
        return new PortalSignature(body, chain);
    }

    private void Drop()
    {
        kept?.Dispose();
        (kept, chain) = (null, []);
    }
}
