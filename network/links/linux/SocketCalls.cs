// Linux only: sockets(7), udp(7), epoll(7).
using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Florete.Links.Linux;

/// <summary>The system calls and structures of <see cref="LinuxUdpSocket"/>, laid out as on 64-bit Linux.</summary>
internal static unsafe partial class SocketCalls
{
    public const int InterNetwork = 2, InterNetworkV6 = 10;
    public const int DatagramNonBlockCloexec = 2 | 0x800 | 0x80000;
    public const int Netlink = 16, NetlinkRoute = 0, RawNonBlockCloexec = 3 | 0x800 | 0x80000;
    public const uint GroupOfDevices = 1; // RTMGRP_LINK
    public const int SolSocket = 1, SolIp = 0, SolIPv6 = 41, SolUdp = 17;
    public const int SoSndBuf = 7, SoRcvBuf = 8, SoSndBufForce = 32, SoRcvBufForce = 33;
    public const int IpMtuDiscover = 10, IPv6MtuDiscover = 23, MtuDiscoverProbe = 3, IPv6Only = 26;
    public const int UdpSegment = 103, UdpGro = 104;
    public const int DontWait = 0x40, NoSignal = 0x4000;
    public const int SockAddrBytes = 28;
    public const int CloseOnExec = 0x80000;
    public const uint EpollOut = 4, EpollOneShot = 1u << 30;
    public const int EpollAdd = 1, EpollModify = 3;

    public const int EPERM = 1, EINTR = 4, EIO = 5, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EINVAL = 22, EMSGSIZE = 90, ENOPROTOOPT = 92,
        EOPNOTSUPP = 95, EAFNOSUPPORT = 97, ENOBUFS = 105;

    [LibraryImport("libc", SetLastError = true)]
    public static partial int socket(int family, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int bind(int socket, void* address, int bytes);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int getsockname(int socket, void* address, int* bytes);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int setsockopt(int socket, int level, int name, void* value, int bytes);

    // The GC transition is left out where a call never blocks and takes about a microsecond; these copy up to 64 KB, so they keep it.
    [LibraryImport("libc", SetLastError = true)]
    public static partial nint sendmsg(int socket, MessageHeader* message, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int sendmmsg(int socket, BatchEntry* messages, uint count, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int recvmmsg(int socket, BatchEntry* messages, uint count, int flags, void* timeout);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint recv(int socket, void* buffer, nint bytes, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int epoll_ctl(int epoll, int operation, int descriptor, void* e);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int epoll_wait(int epoll, void* events, int count, int milliseconds);

    [LibraryImport("libc")]
    public static partial int close(int descriptor);

    /// <summary>Writes sockaddr_in6 or, on an IPv4 socket, sockaddr_in; returns its length.</summary>
    public static int WriteAddress(Span<byte> destination, UdpAddress address, bool isIPv6Socket)
    {
        destination[..SockAddrBytes].Clear();
        BinaryPrimitives.WriteUInt16BigEndian(destination[2..], address.Port);
        if (!isIPv6Socket)
        {
            BitConverter.TryWriteBytes(destination, (ushort)InterNetwork);
            BinaryPrimitives.WriteUInt32BigEndian(destination[4..], (uint)address.Ip);
            return 16;
        }
        BitConverter.TryWriteBytes(destination, (ushort)InterNetworkV6);
        address.WriteIp(destination[8..]);
        BitConverter.TryWriteBytes(destination[24..], address.Scope);
        return SockAddrBytes;
    }

    public static UdpAddress ReadAddress(ReadOnlySpan<byte> source)
    {
        var port = BinaryPrimitives.ReadUInt16BigEndian(source[2..]);
        if (BitConverter.ToUInt16(source) == InterNetwork)
            return new UdpAddress(((UInt128)0xFFFF << 32) | BinaryPrimitives.ReadUInt32BigEndian(source[4..]), port);
        // The scope counts for link-local addresses (fe80::/10) only.
        var ip = UdpAddress.Read(source[8..]);
        return new UdpAddress(ip, port, ip >> 118 == 0x3FA ? BitConverter.ToUInt32(source[24..]) : 0);
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct MessageHeader
    {
        public void* Name;
        public uint NameBytes;
        public void* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlBytes;
        public int Flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct BatchEntry
    {
        public MessageHeader Message;
        public uint Bytes;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct Vector
    {
        public void* Memory;
        public nuint Bytes;
    }

    /// <summary>A control message with a value of up to 8 bytes (CMSG_SPACE(4) = 24).</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct ControlMessage
    {
        public const int HeaderBytes = 16;
        public nuint Length;
        public int Level;
        public int Type;
        public int Value;
        private readonly int padding;
    }
}
