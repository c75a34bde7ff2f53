using System.Net;
using System.Net.Sockets;
using Florete.Runtime;

namespace Florete.Links;

/// <summary>A UDP port by <see cref="Socket"/>, for systems without a file of their own. Receives on a task, hands over in turns of the loop.</summary>
public sealed class PortableUdpSocket : IDatagramSocket
{
    // What may wait between the receiving task and the loop; more is dropped, as a full kernel buffer would.
    private const int MaxWaiting = 256;
    private const int BufferBytes = 2048;

    private readonly EventLoop loop;
    private readonly Socket socket;
    private readonly bool isIPv6;
    private readonly CancellationTokenSource stop = new();
    private readonly byte[] sendBuffer = new byte[65_536];
    private readonly System.Collections.Concurrent.ConcurrentBag<byte[]> spare = [];
    private int waiting;

    /// <exception cref="SocketException">The port cannot be bound.</exception>
    public PortableUdpSocket(EventLoop loop, IPEndPoint local)
    {
        this.loop = loop;
        isIPv6 = Socket.OSSupportsIPv6;
        socket = new Socket(isIPv6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp)
        {
            ReceiveBufferSize = 4 << 20,
            SendBufferSize = 1 << 20,
            Blocking = false,
        };
        if (isIPv6)
        {
            socket.DualMode = true;
            if (local.AddressFamily == AddressFamily.InterNetwork)
                local = new IPEndPoint(local.Address.Equals(IPAddress.Any) ? IPAddress.IPv6Any : local.Address.MapToIPv6(), local.Port);
        }
        else
        {
            socket.DontFragment = true;
        }
        socket.Bind(local);
        Local = UdpAddress.Of((IPEndPoint)socket.LocalEndPoint!);
    }

    public UdpAddress Local { get; }

    /// <summary>The receiving task, so that its owner sees a fault.</summary>
    public Task Receiving { get; private set; } = Task.CompletedTask;

    public void Start(IDatagramReceiver receiver) => Receiving = Task.Run(() => ReceiveAsync(receiver, stop.Token));

    public SendResult Send(DatagramBatch batch)
    {
        if (!isIPv6 && !batch.To.IsIPv4) return SendResult.Unreachable;
        var address = batch.To.ToEndPoint();
        if (isIPv6 && address.AddressFamily == AddressFamily.InterNetwork) address.Address = address.Address.MapToIPv6();
        var result = SendResult.Sent;
        for (var i = 0; i < batch.Count; i++)
        {
            var bytes = batch.Copy(i, sendBuffer);
            try
            {
                socket.SendTo(sendBuffer.AsSpan(0, bytes), SocketFlags.None, address);
            }
            catch (SocketException e)
            {
                result = e.SocketErrorCode == SocketError.MessageSize ? SendResult.TooLarge
                    : e.SocketErrorCode is SocketError.WouldBlock or SocketError.NoBufferSpaceAvailable ? result : SendResult.Unreachable;
            }
        }
        return result;
    }

    public void Dispose()
    {
        stop.Cancel();
        socket.Dispose();
    }

    private async Task ReceiveAsync(IDatagramReceiver receiver, CancellationToken cancellationToken)
    {
        EndPoint any = new IPEndPoint(isIPv6 ? IPAddress.IPv6Any : IPAddress.Any, 0);
        while (!cancellationToken.IsCancellationRequested)
        {
            var buffer = spare.TryTake(out var kept) ? kept : new byte[BufferBytes];
            SocketReceiveFromResult result;
            try
            {
                result = await socket.ReceiveFromAsync(buffer, SocketFlags.None, any, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                // ICMP errors and datagrams larger than any of ours show up here on some systems; neither concerns the socket.
                spare.Add(buffer);
                if (cancellationToken.IsCancellationRequested) return;
                continue;
            }
            if (Interlocked.Increment(ref waiting) > MaxWaiting)
            {
                Interlocked.Decrement(ref waiting);
                spare.Add(buffer);
                continue;
            }
            var from = UdpAddress.Of((IPEndPoint)result.RemoteEndPoint);
            loop.Post(() =>
            {
                Interlocked.Decrement(ref waiting);
                if (!stop.IsCancellationRequested) receiver.OnDatagrams(from, buffer.AsSpan(0, result.ReceivedBytes), result.ReceivedBytes);
                spare.Add(buffer);
            });
        }
    }
}
