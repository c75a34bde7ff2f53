using System.Net;
using System.Net.Sockets;
using Florete.Runtime;

namespace Florete.Links;

/// <summary>A UDP port by <see cref="Socket"/>, for systems without a file of their own. Receives on a thread of its own (a busy
/// thread pool must not look like a dead neighbour), hands over in turns of the loop.</summary>
public sealed class PortableUdpSocket : IDatagramSocket
{
    // What may wait between the receiving thread and the loop; more is dropped, as a full kernel buffer would.
    private const int MaxWaiting = 256;
    private const int BufferBytes = 2048;

    private readonly EventLoop loop;
    private readonly Socket socket;
    private readonly bool isIPv6;
    private volatile bool isClosed;
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

    public void Start(IDatagramReceiver receiver) => new Thread(() => Receive(receiver)) { IsBackground = true, Name = "udp receive" }.Start();

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
        isClosed = true;
        socket.Dispose();
    }

    private void Receive(IDatagramReceiver receiver)
    {
        EndPoint any = new IPEndPoint(isIPv6 ? IPAddress.IPv6Any : IPAddress.Any, 0);
        while (!isClosed)
        {
            var buffer = spare.TryTake(out var kept) ? kept : new byte[BufferBytes];
            int bytes;
            var sender = any;
            try
            {
                bytes = socket.ReceiveFrom(buffer, ref sender);
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                // ICMP errors and datagrams larger than any of ours show up here on some systems; neither concerns the socket.
                spare.Add(buffer);
                continue;
            }
            if (Interlocked.Increment(ref waiting) > MaxWaiting)
            {
                Interlocked.Decrement(ref waiting);
                spare.Add(buffer);
                continue;
            }
            var from = UdpAddress.Of((IPEndPoint)sender);
            loop.Post(() =>
            {
                Interlocked.Decrement(ref waiting);
                if (!isClosed) receiver.OnDatagrams(from, buffer.AsSpan(0, bytes), Math.Max(1, bytes));
                spare.Add(buffer);
            });
        }
    }
}
