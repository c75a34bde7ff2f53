using Florete.AspNetCore;
using Florete.PortalSocket;

var builder = WebApplication.CreateBuilder(args);
builder.WebHost.UsePortal(new PortalSocketClient(args[0]));
var app = builder.Build();
app.MapGet("/", (HttpContext context) => $"Hello {context.User.Identity?.Name}\n");
app.Run();
