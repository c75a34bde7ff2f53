using System.Runtime.InteropServices;

namespace Florete.Quic.Native;

// Layouts of ngtcp2 1.11 (ngtcp2.h), LP64. The test project compiles a C program against the installed headers and compares every offset.

/// <summary><c>ngtcp2_cid</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Cid
{
    public const int MaxBytes = 20;
    public nuint Length;
    public fixed byte Data[MaxBytes];

    public static Cid From(ReadOnlySpan<byte> bytes)
    {
        Cid cid = default;
        cid.Length = (nuint)bytes.Length;
        bytes.CopyTo(new Span<byte>(cid.Data, MaxBytes));
        return cid;
    }
}

/// <summary><c>ngtcp2_vec</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Vec
{
    public byte* Base;
    public nuint Length;
}

/// <summary><c>ngtcp2_pkt_info</c>, aligned to 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Size = 8)]
internal struct PacketInfo
{
    public byte Ecn;
}

/// <summary><c>ngtcp2_pkt_hd</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PacketHeader
{
    public Cid Dcid;
    public Cid Scid;
    public long PacketNumber;
    public byte* Token;
    public nuint TokenLength;
    public nuint PacketNumberLength;
    public nuint Length;
    public uint Version;
    public byte Type;
    public byte Flags;
}

/// <summary><c>ngtcp2_transport_params</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TransportParams
{
    public PreferredAddress PreferredAddress;
    public Cid OriginalDcid;
    public Cid InitialScid;
    public Cid RetryScid;
    public ulong InitialMaxStreamDataBidiLocal;
    public ulong InitialMaxStreamDataBidiRemote;
    public ulong InitialMaxStreamDataUni;
    public ulong InitialMaxData;
    public ulong InitialMaxStreamsBidi;
    public ulong InitialMaxStreamsUni;
    public ulong MaxIdleTimeout;
    public ulong MaxUdpPayloadSize;
    public ulong ActiveConnectionIdLimit;
    public ulong AckDelayExponent;
    public ulong MaxAckDelay;
    public ulong MaxDatagramFrameSize;
    public byte StatelessResetTokenPresent;
    public byte DisableActiveMigration;
    public byte OriginalDcidPresent;
    public byte InitialScidPresent;
    public byte RetryScidPresent;
    public byte PreferredAddressPresent;
    public fixed byte StatelessResetToken[16];
    public byte GreaseQuicBit;
    public VersionInfo VersionInfo;
    public byte VersionInfoPresent;
}

/// <summary><c>ngtcp2_preferred_addr</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PreferredAddress
{
    public Cid Cid;
    public fixed uint Ipv4[4];
    public fixed uint Ipv6[7];
    public byte Ipv4Present;
    public byte Ipv6Present;
    public fixed byte StatelessResetToken[16];
}

/// <summary><c>ngtcp2_version_info</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct VersionInfo
{
    public uint ChosenVersion;
    public byte* AvailableVersions;
    public nuint AvailableVersionsLength;
}

/// <summary><c>ngtcp2_settings</c> (NGTCP2_SETTINGS_V2).</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Settings
{
    public nint QlogWrite;
    public int CongestionAlgorithm;
    public ulong InitialTimestamp;
    public ulong InitialRtt;
    public nint LogPrintf;
    public nuint MaxTxUdpPayloadSize;
    public byte* Token;
    public nuint TokenLength;
    public int TokenType;
    public nint RandContext;
    public ulong MaxWindow;
    public ulong MaxStreamWindow;
    public nuint AckThreshold;
    public byte NoTxUdpPayloadSizeShaping;
    public ulong HandshakeTimeout;
    public uint* PreferredVersions;
    public nuint PreferredVersionsLength;
    public uint* AvailableVersions;
    public nuint AvailableVersionsLength;
    public uint OriginalVersion;
    public byte NoPmtud;
    public uint InitialPacketNumber;
    public ushort* PmtudProbes;
    public nuint PmtudProbesLength;
}

/// <summary><c>ngtcp2_conn_info</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ConnectionInfo
{
    public ulong LatestRtt;
    public ulong MinRtt;
    public ulong SmoothedRtt;
    public ulong RttVariance;
    public ulong CongestionWindow;
    public ulong SlowStartThreshold;
    public ulong BytesInFlight;
}

/// <summary><c>ngtcp2_ccerr</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct CloseError
{
    public int Type;
    public ulong ErrorCode;
    public ulong FrameType;
    public byte* Reason;
    public nuint ReasonLength;
}

/// <summary><c>ngtcp2_addr</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Address
{
    public void* Socket;
    public uint Length;
}

/// <summary><c>ngtcp2_path</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NetworkPath
{
    public Address Local;
    public Address Remote;
    public nint UserData;
}

/// <summary><c>ngtcp2_crypto_conn_ref</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ConnectionReference
{
    public nint GetConnection;
    public nint UserData;
}

/// <summary><c>ngtcp2_callbacks</c> (NGTCP2_CALLBACKS_V1): function pointers, zero where unused.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Callbacks
{
    public nint ClientInitial;
    public nint RecvClientInitial;
    public nint RecvCryptoData;
    public nint HandshakeCompleted;
    public nint RecvVersionNegotiation;
    public nint Encrypt;
    public nint Decrypt;
    public nint HpMask;
    public nint RecvStreamData;
    public nint AckedStreamDataOffset;
    public nint StreamOpen;
    public nint StreamClose;
    public nint RecvStatelessReset;
    public nint RecvRetry;
    public nint ExtendMaxLocalStreamsBidi;
    public nint ExtendMaxLocalStreamsUni;
    public nint Rand;
    public nint GetNewConnectionId;
    public nint RemoveConnectionId;
    public nint UpdateKey;
    public nint PathValidation;
    public nint SelectPreferredAddress;
    public nint StreamReset;
    public nint ExtendMaxRemoteStreamsBidi;
    public nint ExtendMaxRemoteStreamsUni;
    public nint ExtendMaxStreamData;
    public nint DcidStatus;
    public nint HandshakeConfirmed;
    public nint RecvNewToken;
    public nint DeleteCryptoAeadContext;
    public nint DeleteCryptoCipherContext;
    public nint RecvDatagram;
    public nint AckDatagram;
    public nint LostDatagram;
    public nint GetPathChallengeData;
    public nint StreamStopSending;
    public nint VersionNegotiation;
    public nint RecvRxKey;
    public nint RecvTxKey;
    public nint TlsEarlyDataRejected;
}

/// <summary><c>gnutls_datum_t</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Datum
{
    public byte* Data;
    public uint Length;
}

/// <summary><c>ngtcp2_info</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LibraryInfo
{
    public int Age;
    public int VersionNumber;
    public byte* VersionText;
}
