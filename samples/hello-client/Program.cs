using Florete.Portals;
using Florete.PortalSocket;

using var http = new HttpClient(PortalHttp.CreateHandler(new PortalSocketClient(args[0])));
Console.Write(await http.GetStringAsync("http://hello.rete/"));
