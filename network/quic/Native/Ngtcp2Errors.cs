namespace Florete.Quic.Native;

/// <summary>The library error codes of ngtcp2 that are told apart here.</summary>
internal static class Ngtcp2Errors
{
    public const int NoBuffer = -202;
    public const int StreamIdBlocked = -206;
    public const int StreamDataBlocked = -208;
    public const int Crypto = -213;
    public const int StreamShutWrite = -219;
    public const int StreamNotFound = -220;
    public const int RecvVersionNegotiation = -222;
    public const int Closing = -223;
    public const int Draining = -224;
    public const int WriteMore = -230;
    public const int Retry = -231;
    public const int DropConnection = -232;
    public const int HandshakeTimeout = -236;
    public const int IdleClose = -238;
    public const int CallbackFailure = -502;

    public static unsafe string Text(int error) =>
        System.Runtime.InteropServices.Marshal.PtrToStringUTF8((nint)Ngtcp2.ErrorText(error)) ?? "unknown error";
}
