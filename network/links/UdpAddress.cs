using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Florete.Links;

/// <summary>An IP address and a UDP port as a value, without allocations; IPv4 as IPv4-mapped IPv6 (RFC 4291 §2.5.5.2).</summary>
public readonly record struct UdpAddress(UInt128 Ip, ushort Port, uint Scope = 0)
{
    /// <summary>Encoded size: 16 bytes of address, 2 of port.</summary>
    public const int Bytes = 18;

    private static readonly UInt128 MappedPrefix = (UInt128)0xFFFF << 32;

    public bool IsIPv4 => Ip >> 32 == 0xFFFF;

    public static UdpAddress Of(IPEndPoint endPoint)
    {
        Span<byte> bytes = stackalloc byte[16];
        if (endPoint.AddressFamily == AddressFamily.InterNetwork)
        {
            endPoint.Address.TryWriteBytes(bytes, out _);
            return new UdpAddress(MappedPrefix | BinaryPrimitives.ReadUInt32BigEndian(bytes), (ushort)endPoint.Port);
        }
        endPoint.Address.TryWriteBytes(bytes, out _);
        var scope = endPoint.Address.IsIPv4MappedToIPv6 ? 0 : (uint)endPoint.Address.ScopeId;
        return new UdpAddress(Read(bytes), (ushort)endPoint.Port, scope);
    }

    public IPEndPoint ToEndPoint()
    {
        Span<byte> bytes = stackalloc byte[16];
        WriteIp(bytes);
        return IsIPv4 ? new IPEndPoint(new IPAddress(bytes[12..]), Port) : new IPEndPoint(new IPAddress(bytes, Scope), Port);
    }

    /// <summary>Reads 16 bytes of address and 2 of port.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out UdpAddress address)
    {
        address = default;
        if (source.Length < Bytes) return false;
        address = new UdpAddress(Read(source), (ushort)((source[16] << 8) | source[17]));
        return true;
    }

    public void Write(Span<byte> destination)
    {
        WriteIp(destination);
        destination[16] = (byte)(Port >> 8);
        destination[17] = (byte)Port;
    }

    public override string ToString() => ToEndPoint().ToString();

    internal static UInt128 Read(ReadOnlySpan<byte> bytes)
    {
        return BinaryPrimitives.ReadUInt128BigEndian(bytes);
    }

    internal void WriteIp(Span<byte> destination) => BinaryPrimitives.WriteUInt128BigEndian(destination, Ip);

}
