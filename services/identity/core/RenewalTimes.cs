using Florete.Identities;

namespace Florete.Identity;

/// <summary>When something with an end is renewed: at half of its life, give or take a tenth, so that a cluster does not do it all at once.</summary>
public static class RenewalTimes
{
    private const double Half = 0.5, Jitter = 0.1;

    /// <param name="notBefore">As in the certificate, which is backdated.</param>
    /// <param name="notAfter">As in the certificate.</param>
    /// <param name="luck">0 to 1; the same for one certificate.</param>
    public static DateTimeOffset DueAt(DateTimeOffset notBefore, DateTimeOffset notAfter, double luck)
    {
        var begun = notBefore + CertificateAuthority.Backdating;
        if (begun > notAfter) begun = notBefore;
        return begun + ((notAfter - begun) * (Half + (Jitter * (luck - 0.5))));
    }

    /// <summary>The wait after so many failures in a row: doubled from the first, up to the most, half of it by luck.</summary>
    public static TimeSpan BackOff(int failures, TimeSpan first, TimeSpan most, double luck)
    {
        var wait = first * Math.Pow(2, Math.Min(failures - 1, 20));
        return (wait < most ? wait : most) * (0.5 + (0.5 * luck));
    }
}
