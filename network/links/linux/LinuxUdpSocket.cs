// Linux only: UDP with segmentation and receive offload (UDP_SEGMENT, UDP_GRO; Linux 4.18 and 5.0) and batched system calls.
using System.ComponentModel;
using System.Net;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Florete.Runtime;
using static Florete.Links.Linux.SocketCalls;

namespace Florete.Links.Linux;

/// <summary>A UDP port on Linux. Dual-stack where IPv6 exists. Sends never fragment.</summary>
public sealed unsafe class LinuxUdpSocket : IDatagramSocket
{
    // GRO delivers up to 64 KB at once. Eight of them fit the second-level cache of small machines, and are one turn's work.
    private const int ReceiveBuffers = 8, ReceiveBytes = 65_536;
    private const int MaxCallsPerTurn = 4, MaxBytesPerTurn = 256 * 1024;

    // Receiving: what arrives while our loop is busy, 15 ms at 4 Gbit/s. Sending: small, so that waiting happens in our queues, where control overtakes.
    private const int KernelReceiveBytes = 8 << 20, KernelSendBytes = 1 << 20;

    private readonly ThreadLoop loop;
    private readonly int descriptor;
    private readonly int writableEpoll;
    private readonly bool isIPv6;
    private readonly byte[] receiveMemory = GC.AllocateUninitializedArray<byte>(ReceiveBuffers * ReceiveBytes, pinned: true);
    private readonly byte[] addresses = GC.AllocateArray<byte>((ReceiveBuffers + 1) * 32, pinned: true);
    private readonly Vector[] receiveVectors = GC.AllocateArray<Vector>(ReceiveBuffers, pinned: true);
    private readonly ControlMessage[] controls = GC.AllocateArray<ControlMessage>(ReceiveBuffers + 1, pinned: true);
    private readonly BatchEntry[] receiveEntries = GC.AllocateArray<BatchEntry>(ReceiveBuffers, pinned: true);
    private readonly BatchEntry[] sendEntries = GC.AllocateArray<BatchEntry>(DatagramBatch.MaxDatagrams, pinned: true);
    private readonly NetworkChanges? changes;
    private IDatagramReceiver? receiver;
    private IDisposable? readable;
    private IDisposable? writable;
    private bool isClosed;

    /// <exception cref="Win32Exception">The port cannot be bound; the message says why.</exception>
    public LinuxUdpSocket(ThreadLoop loop, IPEndPoint local)
    {
        this.loop = loop;
        (descriptor, isIPv6) = Open();
        try
        {
            Configure();
            Bind(UdpAddress.Of(local), local.Address);
            Local = BoundAddress();
            writableEpoll = epoll_create1(CloseOnExec);
            if (writableEpoll < 0) throw new Win32Exception();
            ArmWritable(EpollAdd, 0);
            // Here, because the thread may be in the socket's network namespace only now.
            changes = NetworkChanges.TryOpen();
        }
        catch
        {
            _ = close(descriptor);
            throw;
        }
        for (var i = 0; i < ReceiveBuffers; i++)
        {
            receiveVectors[i].Memory = Unsafe.AsPointer(ref receiveMemory[i * ReceiveBytes]);
            receiveVectors[i].Bytes = ReceiveBytes;
        }
    }

    public UdpAddress Local { get; }

    /// <summary>True while the kernel cuts batches for us. It stops where the device path cannot (EIO).</summary>
    public bool UsesSegmentationOffload { get; private set; } = true;

    /// <summary>True when the kernel may hand over several datagrams at once.</summary>
    public bool UsesReceiveOffload { get; private set; }

    /// <summary>Batches that left in one piece, and received ones that held more than one datagram.</summary>
    public (long Sent, long Received) OffloadedBatches { get; private set; }

    public void Start(IDatagramReceiver receiver)
    {
        this.receiver = receiver;
        readable = loop.Watch(descriptor, OnReadable);
        writable = loop.Watch(writableEpoll, OnWritable);
        changes?.Start(loop, receiver.OnMediumChanged);
    }

    public SendResult Send(DatagramBatch batch)
    {
        if (isClosed || batch.Count == 0) return SendResult.Sent;
        if (!isIPv6 && !batch.To.IsIPv4) return SendResult.Unreachable;
        if (batch.Count > 1 && UsesSegmentationOffload)
        {
            var error = SendOffloaded(batch);
            if (error is EIO or EOPNOTSUPP or ENOPROTOOPT) UsesSegmentationOffload = false;
            // EINVAL: this batch does not fit the device in one piece (its MTU, above all); single sends tell more.
            else if (error is not (EINVAL or EMSGSIZE)) return Result(error);
        }
        return SendSingly(batch);
    }

    public void Dispose()
    {
        if (isClosed) return;
        isClosed = true;
        readable?.Dispose();
        writable?.Dispose();
        changes?.Dispose();
        _ = close(writableEpoll);
        _ = close(descriptor);
    }

    private static (int Descriptor, bool IsIPv6) Open()
    {
        var descriptor = socket(InterNetworkV6, DatagramNonBlockCloexec, 0);
        if (descriptor >= 0) return (descriptor, true);
        if (Marshal.GetLastPInvokeError() != EAFNOSUPPORT) throw new Win32Exception();
        descriptor = socket(InterNetwork, DatagramNonBlockCloexec, 0);
        return descriptor >= 0 ? (descriptor, false) : throw new Win32Exception();
    }

    private void Configure()
    {
        if (isIPv6)
        {
            Set(SolIPv6, IPv6Only, 0);
            Set(SolIPv6, IPv6MtuDiscover, MtuDiscoverProbe);
        }
        Set(SolIp, IpMtuDiscover, MtuDiscoverProbe);
        // The forced form passes the system's limit and needs CAP_NET_ADMIN.
        if (!Set(SolSocket, SoRcvBufForce, KernelReceiveBytes)) Set(SolSocket, SoRcvBuf, KernelReceiveBytes);
        if (!Set(SolSocket, SoSndBufForce, KernelSendBytes)) Set(SolSocket, SoSndBuf, KernelSendBytes);
        UsesReceiveOffload = Set(SolUdp, UdpGro, 1);
    }

    private bool Set(int level, int name, int value) => setsockopt(descriptor, level, name, &value, sizeof(int)) == 0;

    private void Bind(UdpAddress local, IPAddress asked)
    {
        // "Any" of either family means every address that the socket can have.
        if (asked.Equals(IPAddress.Any) || asked.Equals(IPAddress.IPv6Any)) local = local with { Ip = 0 };
        Span<byte> address = stackalloc byte[SockAddrBytes];
        var bytes = WriteAddress(address, local, isIPv6);
        fixed (byte* first = address)
        {
            if (bind(descriptor, first, bytes) != 0) throw new Win32Exception();
        }
    }

    private UdpAddress BoundAddress()
    {
        Span<byte> address = stackalloc byte[SockAddrBytes];
        var bytes = SockAddrBytes;
        fixed (byte* first = address)
        {
            if (getsockname(descriptor, first, &bytes) != 0) throw new Win32Exception();
        }
        return ReadAddress(address);
    }

    private int SendOffloaded(DatagramBatch batch)
    {
        ref var control = ref controls[ReceiveBuffers];
        control.Length = ControlMessage.HeaderBytes + sizeof(ushort);
        control.Level = SolUdp;
        control.Type = UdpSegment;
        control.Value = BitConverter.IsLittleEndian ? batch.DatagramBytes : batch.DatagramBytes << 16;
        MessageHeader message = default;
        SetTarget(ref message, batch.To);
        fixed (DatagramBatch.Piece* pieces = batch.Pieces)
        {
            message.Vectors = pieces;
            message.VectorCount = (nuint)(batch.Count * 2);
            message.Control = Unsafe.AsPointer(ref control);
            message.ControlBytes = (nuint)sizeof(ControlMessage);
            if (sendmsg(descriptor, &message, DontWait | NoSignal) < 0) return Marshal.GetLastPInvokeError();
        }
        OffloadedBatches = (OffloadedBatches.Sent + 1, OffloadedBatches.Received);
        return 0;
    }

    private SendResult SendSingly(DatagramBatch batch)
    {
        fixed (DatagramBatch.Piece* pieces = batch.Pieces)
        {
            for (var i = 0; i < batch.Count; i++)
            {
                ref var message = ref sendEntries[i].Message;
                message = default;
                SetTarget(ref message, batch.To);
                message.Vectors = pieces + (i * 2);
                message.VectorCount = 2;
            }
            var sent = sendmmsg(descriptor, (BatchEntry*)Unsafe.AsPointer(ref sendEntries[0]), (uint)batch.Count, DontWait | NoSignal);
            // When only a part went, the rest counts as lost on the way: the path without offload is the exception.
            return sent > 0 ? SendResult.Sent : Result(Marshal.GetLastPInvokeError());
        }
    }

    private void SetTarget(ref MessageHeader message, UdpAddress to)
    {
        var name = addresses.AsSpan(ReceiveBuffers * 32);
        message.NameBytes = (uint)WriteAddress(name, to, isIPv6);
        message.Name = Unsafe.AsPointer(ref MemoryMarshal.GetReference(name));
    }

    private SendResult Result(int error)
    {
        switch (error)
        {
            case 0:
                return SendResult.Sent;
            case EMSGSIZE or EINVAL:
                return SendResult.TooLarge;
            case EAGAIN or ENOBUFS or ENOMEM or EINTR:
                ArmWritable(EpollModify, EpollOut | EpollOneShot);
                return SendResult.Blocked;
            default:
                return SendResult.Unreachable;
        }
    }

    // The loop watches for reading only; an epoll descriptor becomes readable when its own socket is writable.
    private void ArmWritable(int operation, uint events)
    {
        var e = stackalloc byte[16];
        *(uint*)e = events;
        if (epoll_ctl(writableEpoll, operation, descriptor, e) != 0) throw new Win32Exception();
    }

    private void OnWritable()
    {
        var e = stackalloc byte[16];
        if (epoll_wait(writableEpoll, e, 1, 0) > 0) receiver!.OnWritable();
    }

    private void OnReadable()
    {
        var bytes = 0;
        for (var call = 0; call < MaxCallsPerTurn && bytes < MaxBytesPerTurn && !isClosed; call++)
        {
            var received = Receive(ref bytes);
            if (received < ReceiveBuffers) return;
        }
    }

    private int Receive(ref int bytes)
    {
        for (var i = 0; i < ReceiveBuffers; i++)
        {
            ref var message = ref receiveEntries[i].Message;
            message.Name = Unsafe.AsPointer(ref addresses[i * 32]);
            message.NameBytes = SockAddrBytes;
            message.Vectors = Unsafe.AsPointer(ref receiveVectors[i]);
            message.VectorCount = 1;
            message.Control = Unsafe.AsPointer(ref controls[i]);
            message.ControlBytes = (nuint)sizeof(ControlMessage);
        }
        // Errors (ECONNREFUSED from an ICMP message, EAGAIN) leave the socket as it is; the next readable turn tries again.
        var received = recvmmsg(descriptor, (BatchEntry*)Unsafe.AsPointer(ref receiveEntries[0]), ReceiveBuffers, DontWait, null);
        for (var i = 0; i < received && !isClosed; i++)
        {
            ref var entry = ref receiveEntries[i];
            var length = (int)entry.Bytes;
            var datagram = length;
            ref var control = ref controls[i];
            if (entry.Message.ControlBytes >= ControlMessage.HeaderBytes && control.Level == SolUdp && control.Type == UdpGro && control.Value > 0)
                datagram = control.Value;
            if (datagram < length) OffloadedBatches = (OffloadedBatches.Sent, OffloadedBatches.Received + 1);
            bytes += length;
            receiver!.OnDatagrams(ReadAddress(addresses.AsSpan(i * 32)), receiveMemory.AsSpan(i * ReceiveBytes, length), datagram);
        }
        return received;
    }
}
