return await Florete.Agent.AgentProgram.RunAsync(args);
