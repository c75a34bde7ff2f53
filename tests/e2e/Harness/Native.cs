using System.Runtime.InteropServices;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>The few Linux calls that .NET does not offer.</summary>
internal static unsafe partial class Native
{
    public const int Sigint = 2;
    public const int Sigkill = 9;
    public const int Sigterm = 15;
    public const int Sigcont = 18;
    public const int Sigstop = 19;
    public const int CloneNewNet = 0x4000_0000;
    public const int AfPacket = 17;
    public const int SockRaw = 3;
    public const ushort EthPAll = 0x0003;
    public const int SolPacket = 263;
    public const int PacketVnetHdr = 15;
    public const int PacketIgnoreOutgoing = 23;
    public const int SolSocket = 1;
    public const int SoRcvbufForce = 33;
    public const int SoSndbufForce = 32;
    public const short Pollin = 1;
    public const int MsgDontwait = 0x40;

    [StructLayout(LayoutKind.Sequential)]
    public struct SockaddrLl
    {
        public ushort Family;
        public ushort Protocol;
        public int Interface;
        public ushort HardwareType;
        public byte PacketType;
        public byte AddressLength;
        public ulong Address;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct Pollfd
    {
        public int Fd;
        public short Events;
        public short Returned;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    public static partial int Kill(int pid, int signal);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int fd);

    [LibraryImport("libc", EntryPoint = "setns", SetLastError = true)]
    public static partial int Setns(int fd, int type);

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    public static partial int Socket(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    public static partial int Bind(int fd, SockaddrLl* address, uint length);

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    public static partial int Setsockopt(int fd, int level, int name, int* value, uint length);

    [LibraryImport("libc", EntryPoint = "if_nametoindex", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial uint InterfaceIndex(string name);

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    public static partial nint Recv(int fd, byte* buffer, nuint length, int flags);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    public static partial nint Send(int fd, byte* buffer, nuint length, int flags);

    [LibraryImport("libc", EntryPoint = "ppoll", SetLastError = true)]
    public static partial int Ppoll(Pollfd* fds, nuint count, Timespec* timeout, void* mask);

    /// <summary>An AF_PACKET socket on one interface of the calling thread's namespace: whole Ethernet frames, arriving ones only.</summary>
    /// <exception cref="InvalidOperationException">a call fails: not root, no such interface</exception>
    public static int OpenPacketSocket(string device, bool virtioHeader)
    {
        var fd = Check(Socket(AfPacket, SockRaw, 0), "socket(AF_PACKET)");
        var one = 1;
        var room = 16 << 20;
        if (virtioHeader)
        {
            _ = Check(Setsockopt(fd, SolPacket, PacketVnetHdr, &one, sizeof(int)), "PACKET_VNET_HDR");
        }

        _ = Check(Setsockopt(fd, SolPacket, PacketIgnoreOutgoing, &one, sizeof(int)), "PACKET_IGNORE_OUTGOING");
        _ = Check(Setsockopt(fd, SolSocket, SoRcvbufForce, &room, sizeof(int)), "SO_RCVBUFFORCE");
        _ = Check(Setsockopt(fd, SolSocket, SoSndbufForce, &room, sizeof(int)), "SO_SNDBUFFORCE");
        var protocol = (ushort)((EthPAll >> 8) | (EthPAll << 8));
        var address = new SockaddrLl { Family = AfPacket, Protocol = protocol, Interface = (int)InterfaceIndex(device) };
        _ = Check(address.Interface, $"if_nametoindex({device})", least: 1);
        _ = Check(Bind(fd, &address, (uint)sizeof(SockaddrLl)), $"bind({device})");
        return fd;
    }

    private static int Check(int result, string call, int least = 0) =>
        result >= least ? result : throw new InvalidOperationException($"{call}: {Marshal.GetLastPInvokeErrorMessage()}");
}
