using System.Security.Claims;
using Florete.Identities;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Florete.AspNetCore;

/// <summary>
/// The authentication scheme of callers through a portal: their identity was proved before the first byte came, so a request either has it, or did
/// not come through a portal.
/// </summary>
public sealed class PortalAuthentication : IAuthenticationHandler
{
    /// <summary>Name of the scheme, and the authentication type of the identities it makes.</summary>
    public const string Scheme = "Florete";

    /// <summary>Claim: the caller's kind, <c>user</c>, <c>service</c>, …</summary>
    public const string KindClaim = "florete:kind";

    /// <summary>Claim: SPIFFE ID of the vertex where the caller lives.</summary>
    public const string VertexClaim = "florete:vertex";

    private HttpContext context = null!;

    /// <summary>The caller of a request; null: it did not come through a portal. Its name is the SPIFFE ID.</summary>
    public static ClaimsPrincipal? CallerOf(HttpContext context)
    {
        if (context.Features.Get<IPortalConnectionFeature>() is not { } feature) return null;
        return new ClaimsPrincipal(new ClaimsIdentity(
            [
                new Claim(ClaimTypes.Name, feature.Caller.ToString()),
                new Claim(KindClaim, feature.Caller.Kind.Word()),
                new Claim(VertexClaim, feature.CallerVertex.ToString()),
            ],
            Scheme));
    }

    public Task InitializeAsync(AuthenticationScheme scheme, HttpContext context)
    {
        this.context = context;
        return Task.CompletedTask;
    }

    public Task<AuthenticateResult> AuthenticateAsync() => Task.FromResult(CallerOf(context) is { } caller
        ? AuthenticateResult.Success(new AuthenticationTicket(caller, Scheme))
        : AuthenticateResult.NoResult());

    public Task ChallengeAsync(AuthenticationProperties? properties)
    {
        context.Response.StatusCode = StatusCodes.Status401Unauthorized;
        return Task.CompletedTask;
    }

    public Task ForbidAsync(AuthenticationProperties? properties)
    {
        context.Response.StatusCode = StatusCodes.Status403Forbidden;
        return Task.CompletedTask;
    }
}

/// <summary>Before all else, every request through a portal has its caller as user, with or without authentication middleware.</summary>
internal sealed class CallerAsUser : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => application =>
    {
        application.Use(static (context, following) =>
        {
            if (PortalAuthentication.CallerOf(context) is { } caller) context.User = caller;
            return following(context);
        });
        next(application);
    };
}
