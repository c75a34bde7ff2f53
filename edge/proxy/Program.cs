return await Florete.Proxy.FlorProgram.RunAsync(args);
