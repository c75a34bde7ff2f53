using System.Text;
using Florete.Configuration;
using Florete.Identities;
using Florete.Portals;
using Florete.Proxy.Configuration;

namespace Florete.Proxy.Tests;

public class ConfigurationTests
{
    private const string Whole = """
        version: 1
        cluster: home
        vertex: a
        identities: identities
        bundle: bundle.pem
        bounds: bounds.signed
        state: state
        control: run/flor.sock
        links:
          udp:
            listen: 0.0.0.0:7431
            neighbours:
              - vertex: b
                addresses: ["10.0.1.2:7431"]
                capacity: 100Mbit
        inbounds:
          - proxy: 127.0.0.1:1080
            as: user/alice
            credentials:
              user: alice
              passwordFile: secret
          - forward: 127.0.0.1:5432
            to: db.rete
            instance: b
            class: interactive
            as: user/alice
            sharedByThisMachine: true
        outbounds:
          - service: hello
            tcp: 127.0.0.1:8080
        portals:
          - identity: service/hello
            socket: run/hello.portal
            owner: root
        metrics: 127.0.0.1:9464
        """;

    // Every key: its line in Whole, its field, and whether it may be left out.
    public static TheoryData<string, string, bool> Keys() => new()
    {
        { "version: 1", "version", false },
        { "cluster: home", "cluster", false },
        { "vertex: a", "vertex", false },
        { "identities: identities", "identities", false },
        { "bundle: bundle.pem", "bundle", false },
        { "bounds: bounds.signed", "bounds", false },
        { "state: state", "state", false },
        { "control: run/flor.sock", "control", false },
        { "    listen: 0.0.0.0:7431", "links.udp.listen", false },
        { "      - vertex: b", "links.udp.neighbours[0].vertex", false },
        { "        addresses: [\"10.0.1.2:7431\"]", "links.udp.neighbours[0].addresses", true },
        { "        capacity: 100Mbit", "links.udp.neighbours[0].capacity", true },
        { "  - proxy: 127.0.0.1:1080", "inbounds[0].proxy", false },
        { "    as: user/alice", "inbounds[0].as", false },
        { "      user: alice", "inbounds[0].credentials.user", false },
        { "      passwordFile: secret", "inbounds[0].credentials.passwordFile", false },
        { "    to: db.rete", "inbounds[1].to", false },
        { "    instance: b", "inbounds[1].instance", true },
        { "    class: interactive", "inbounds[1].class", true },
        { "    sharedByThisMachine: true", "inbounds[1].sharedByThisMachine", false },
        { "  - service: hello", "outbounds[0].service", false },
        { "    tcp: 127.0.0.1:8080", "outbounds[0].tcp", false },
        { "  - identity: service/hello", "portals[0].identity", false },
        { "    socket: run/hello.portal", "portals[0].socket", false },
        { "    owner: root", "portals[0].owner", false },
        { "metrics: 127.0.0.1:9464", "metrics", true },
    };

    [Fact]
    public void A_whole_file_is_read_with_paths_relative_to_it()
    {
        var read = Parse(Whole, out var problems);
        Assert.Empty(problems);
        Assert.NotNull(read);
        Assert.Equal("spiffe://home/vertex/a", read.Vertex.ToString());
        Assert.Equal("/etc/florete/identities", read.IdentitiesFolder);
        Assert.Equal("/etc/florete/run/flor.sock", read.ControlSocket);
        var neighbour = Assert.Single(read.Udp!.Neighbours);
        Assert.Equal((SpiffeId.Parse("spiffe://home/vertex/b"), 100_000_000L), (neighbour.Vertex, neighbour.CapacityBitsPerSecond));
        Assert.Equal("10.0.1.2:7431", Assert.Single(neighbour.Addresses));
        Assert.Equal("/etc/florete/secret", read.Inbounds[0].Credentials!.PasswordFile);
        Assert.Equal(
            new ForwardConfiguration(SpiffeId.Parse("spiffe://home/service/db"), SpiffeId.Parse("spiffe://home/vertex/b"), TrafficClass.Interactive),
            read.Inbounds[1].Forward);
        Assert.Equal("127.0.0.1:8080", Assert.Single(read.Outbounds).Target.ToString());
        Assert.Equal("root", Assert.Single(read.Portals).Owner);
        Assert.Equal(9464, read.Metrics!.Port);
    }

    [Theory]
    [MemberData(nameof(Keys))]
    public void A_key_that_is_missing_is_named_with_a_remedy(string written, string field, bool isOptional)
    {
        var lines = Lines();
        var index = lines.IndexOf(written);
        // A list's first key carries the dash; an empty mapping's other keys stay where they are.
        if (written.TrimStart().StartsWith("- ", StringComparison.Ordinal)) lines[index] = written[..(written.IndexOf('-') + 1)];
        else lines.RemoveAt(index);
        Parse(string.Join('\n', lines), out var problems);
        if (isOptional) Assert.Empty(problems);
        else Assert.Contains(problems, problem => problem.Field == field && problem.Line > 0 && problem.Message.Contains("write", StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Keys))]
    public void A_key_of_another_type_is_named_with_its_line(string written, string field, bool isOptional)
    {
        _ = isOptional;
        foreach (var wrong in new[] { "{x: 1}", "[[1]]" })
        {
            var (text, line) = Replace(written, value => wrong);
            Parse(text, out var problems);
            Assert.Contains(problems, problem => problem.Line == line && problem.Field.StartsWith(field, StringComparison.Ordinal)
                && problem.Message.Contains("must be a", StringComparison.Ordinal));
        }
    }

    [Theory]
    [MemberData(nameof(Keys))]
    public void A_key_without_a_value_is_named(string written, string field, bool isOptional)
    {
        _ = isOptional;
        var (text, line) = Replace(written, value => "");
        Parse(text, out var problems);
        Assert.Contains(problems, problem => problem.Line == line && problem.Field == field);
    }

    [Theory]
    [MemberData(nameof(Keys))]
    public void A_key_that_is_given_twice_is_named_with_both_lines(string written, string field, bool isOptional)
    {
        _ = isOptional;
        var lines = Lines();
        var index = lines.IndexOf(written);
        lines.Insert(index + 1, written.Replace("- ", "  ", StringComparison.Ordinal));
        Parse(string.Join('\n', lines), out var problems);
        Assert.Contains(problems, problem => problem.Line == index + 2 && problem.Field == field
            && problem.Message.Contains($"line {index + 1}", StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Keys))]
    public void A_misspelt_key_gets_the_nearest_name(string written, string field, bool isOptional)
    {
        _ = isOptional;
        var key = written.Trim().TrimStart('-', ' ').Split(':')[0];
        var lines = Lines();
        var index = lines.IndexOf(written);
        lines[index] = written.Replace(key + ":", key + "x:", StringComparison.Ordinal);
        Parse(string.Join('\n', lines), out var problems);
        Assert.Contains(problems, problem => problem.Line == index + 1 && problem.Field == field + "x"
            && problem.Message.Contains($"did you mean '{key}'?", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("version: 1", "version: 2", "knows 1")]
    [InlineData("version: 1", "version: one", "no whole number")]
    [InlineData("cluster: home", "cluster: Home!", "no cluster's name")]
    [InlineData("vertex: a", "vertex: A_B", "no name of a vertex")]
    [InlineData("vertex: a", "vertex: b", "its own neighbour")]
    [InlineData("control: run/flor.sock", "control: run/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.sock", "at most 107")]
    [InlineData("    listen: 0.0.0.0:7431", "    listen: 0.0.0.0", "no address with a port")]
    [InlineData("    listen: 0.0.0.0:7431", "    listen: 0.0.0.0:70000", "no address with a port")]
    [InlineData("        addresses: [\"10.0.1.2:7431\"]", "        addresses: [\"10.0.1.2:0\"]", "port from 1 to 65535")]
    [InlineData("        addresses: [\"10.0.1.2:7431\"]", "        addresses: 10.0.1.2:7431", "must be a list")]
    [InlineData("        capacity: 100Mbit", "        capacity: 100", "no bandwidth")]
    [InlineData("        capacity: 100Mbit", "        capacity: 1bit", "no bandwidth")]
    [InlineData("        capacity: 100Mbit", "        capacity: 0Mbit", "not between")]
    [InlineData("        capacity: 100Mbit", "        capacity: 5000Gbit", "not between")]
    [InlineData("  - proxy: 127.0.0.1:1080", "  - proxy: localhost", "no address")]
    [InlineData("  - proxy: 127.0.0.1:1080", "  - proxy: 127.0.0.1:5432", "listened on twice")]
    [InlineData("    as: user/alice", "    as: alice", "write <kind>/<name>")]
    [InlineData("    as: user/alice", "    as: robot/alice", "not a kind")]
    [InlineData("    as: user/alice", "    as: vertex/a", "programs act as")]
    [InlineData("    as: user/alice", "    as: node/a", "programs act as")]
    [InlineData("  - identity: service/hello", "  - identity: vertex/a", "programs act as")]
    [InlineData("      user: alice", "      user: al:ice", "RFC 7617")]
    [InlineData("    to: db.rete", "    to: db.com", "does not end in .rete")]
    [InlineData("    class: interactive", "    class: interactiv", "did you mean 'interactive'?")]
    [InlineData("    class: interactive", "    class: control", "known are")]
    [InlineData("    sharedByThisMachine: true", "    sharedByThisMachine: yes", "neither true nor false")]
    [InlineData("    sharedByThisMachine: true", "    sharedByThisMachine: false", "every program of this machine")]
    [InlineData("  - service: hello", "  - service: service/hello", "no name of a service")]
    [InlineData("    tcp: 127.0.0.1:8080", "    tcp: 8080", "no address")]
    [InlineData("    socket: run/hello.portal", "    socket: run/flor.sock", "used twice")]
    [InlineData("metrics: 127.0.0.1:9464", "metrics: 127.0.0.1:1080", "listened on twice")]
    [InlineData("metrics: 127.0.0.1:9464", "metrics: 0.0.0.0:9464", "loopback")]
    public void A_value_out_of_range_gets_its_remedy(string written, string wrong, string message)
    {
        Parse(Whole.Replace(written, wrong, StringComparison.Ordinal), out var problems);
        Assert.Contains(problems, problem => problem.Message.Contains(message, StringComparison.Ordinal));
    }

    [Fact]
    public void A_proxy_without_credentials_must_say_that_it_is_shared()
    {
        var text = Whole.Replace("    credentials:\n      user: alice\n      passwordFile: secret\n", "", StringComparison.Ordinal);
        Parse(text, out var problems);
        var problem = Assert.Single(problems);
        Assert.Equal("inbounds[0].sharedByThisMachine", problem.Field);
        Assert.Contains("passwordFile", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Credentials_and_sharing_contradict_and_a_forward_takes_no_credentials()
    {
        Parse(Whole.Replace("      passwordFile: secret\n", "      passwordFile: secret\n    sharedByThisMachine: true\n", StringComparison.Ordinal), out var problems);
        Assert.Contains("contradicts", Assert.Single(problems).Message, StringComparison.Ordinal);
        Parse(Whole.Replace("    sharedByThisMachine: true", "    credentials: {user: a, passwordFile: b}", StringComparison.Ordinal), out problems);
        Assert.Contains("cannot ask for a password", Assert.Single(problems).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_inbound_is_either_a_proxy_or_a_forward()
    {
        Parse(Whole.Replace("  - forward: 127.0.0.1:5432\n", "  - forward: 127.0.0.1:5432\n    proxy: 127.0.0.1:5433\n", StringComparison.Ordinal), out var problems);
        Assert.Contains(problems, problem => problem.Message.Contains("either a proxy or a forward", StringComparison.Ordinal));
    }

    [Fact]
    public void All_problems_are_reported_at_once_in_the_order_of_lines()
    {
        Parse("cluster: HOME\nvertex: 5_5\ninbounds:\n  - proxy: x\nbogus: 1\n", out var problems);
        Assert.True(problems.Count >= 10, string.Join('\n', problems));
        Assert.Equal(problems.OrderBy(problem => problem.Line), problems);
        Assert.All(problems, problem => Assert.StartsWith("/etc/florete/flor.yaml:", problem.ToString(), StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("")]
    [InlineData("just words")]
    [InlineData("- a\n- b")]
    [InlineData("a: [")]
    [InlineData("a: &x 1\nb: *x")]
    [InlineData("a: 1\n---\nb: 2")]
    [InlineData("? [a]\n: 1")]
    public void A_text_that_is_no_configuration_is_refused(string text)
    {
        Assert.Null(Parse(text, out var problems));
        Assert.NotEmpty(problems);
    }

    [Fact]
    public void A_missing_file_is_an_error_with_a_remedy()
    {
        Assert.Null(ConfigurationFile.Load("/nowhere/flor.yaml", out var problems));
        Assert.Contains("florctl node add", Assert.Single(problems).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Garbage_never_throws()
    {
        var random = new Random(7);
        for (var round = 0; round < 3000; round++)
        {
            var bytes = Encoding.UTF8.GetBytes(Whole);
            for (var flips = random.Next(1, 6); flips > 0; flips--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            var text = Encoding.UTF8.GetString(bytes, 0, random.Next(bytes.Length + 1));
            var read = Parse(text, out var problems);
            Assert.Equal(read is null, problems.Count > 0);
        }
    }

    private static FlorConfiguration? Parse(string text, out IReadOnlyList<ConfigurationProblem> problems) =>
        ConfigurationFile.Parse(text, "/etc/florete/flor.yaml", out problems);

    private static List<string> Lines() => [.. Whole.Split('\n')];

    private static (string Text, int Line) Replace(string written, Func<string, string> value)
    {
        var lines = Lines();
        var index = lines.IndexOf(written);
        Assert.True(index >= 0, written);
        var colon = written.IndexOf(": ", StringComparison.Ordinal);
        lines[index] = written[..(colon + 2)] + value(written[(colon + 2)..]);
        return (string.Join('\n', lines), index + 1);
    }
}
