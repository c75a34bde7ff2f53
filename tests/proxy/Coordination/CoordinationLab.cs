using System.Security.Cryptography;
using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Layers;
using Florete.Proxy.Coordination;
using Florete.Proxy.Tests.Harness;
using Florete.Runtime;
using Microsoft.Extensions.Logging.Abstractions;
using DecidedPath = Florete.Coordination.Contracts.DecidedPath;

namespace Florete.Proxy.Tests.Coordination;

/// <summary>The coordination of vertex a in virtual time, with certificates of a real authority.</summary>
internal sealed class CoordinationLab : IDisposable
{
    public static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly CertificateAuthority authority = CertificateAuthority.Create("home", Start - TimeSpan.FromHours(1));
    private long boundsVersion;

    public CoordinationLab(string rules = "coordinate: [a, b, c]")
    {
        Clock = new VirtualClock(Start);
        Loop = new VirtualLoop(Clock);
        Bounds = new Bounds(Document(rules));
        Checks = new DecisionChecks(Vertex, Bounds, new PeerVerifier(TrustBundle.Of(authority.Root), Bounds, Revocations));
        Boot();
    }

    public static SpiffeId Vertex { get; } = Id("vertex/a");

    public VirtualClock Clock { get; }

    public VirtualLoop Loop { get; }

    public Bounds Bounds { get; }

    public RevocationList Revocations { get; } = new();

    public DecisionChecks Checks { get; }

    public MemoryCoordinationFile File { get; } = new();

    public TestNetwork Network { get; private set; } = null!;

    public VertexCoordination Core { get; private set; } = null!;

    public static SpiffeId Id(string path) => SpiffeId.Parse($"spiffe://home/{path}");

    public X509Svid Issue(string path, TimeSpan? lifetime = null) => authority.Issue(Id(path), lifetime ?? TimeSpan.FromHours(24), Clock.WallClock.GetUtcNow());

    public void Obey(string rules) => Turn(() => Bounds.Replace(Document(rules)));

    /// <summary>As a new process on the same disk.</summary>
    public void Boot() => Turn(() =>
    {
        Core?.Dispose();
        Network = new TestNetwork(Loop, Vertex);
        Core = new VertexCoordination(Network, Vertex, Bounds, Revocations, Checks, File, NullLogger.Instance);
    });

    /// <summary>Runs inside a turn, and all that follows from it now.</summary>
    public void Turn(Action action)
    {
        Exception? failure = null;
        var isDone = false;
        Loop.Post(() =>
        {
            try
            {
                action();
            }
            catch (Exception e)
            {
                failure = e;
            }
            isDone = true;
        });
        Assert.True(Clock.RunUntil(() => isDone, TimeSpan.Zero));
        Clock.Run(TimeSpan.Zero);
        if (failure is not null) throw failure;
    }

    public LabProgram Attend()
    {
        var program = new LabProgram(this);
        Turn(program.Attend);
        return program;
    }

    public void Says(string vertex, Candidacy? candidacy) => Turn(() => Network.Says(vertex, candidacy));

    public static SignedDecision Sign(X509Svid signer, byte[] document, string purpose = CoordinationProtocol.DecisionPurpose) =>
        new(document, ProgramSignature.Sign(signer, purpose, SHA256.HashData(document)), EncodedChain.Encode(signer));

    /// <summary>For vertex a: a path to t0, t1, … for each that is given, its hops parted by spaces.</summary>
    public static DecisionDocument Decision(Epoch epoch, ulong number, params string[] via) =>
        DecisionDocument.Of("home", "a", epoch, number, [.. via.Select((hops, i) => Path($"t{i}", hops))]);

    public static DecidedPath Path(string to, string hops) =>
        new(to, [.. hops.Split(' ').Select(static hop => Hop.TryParse(hop, out var parsed) ? parsed : throw new FormatException(hop))]);

    /// <summary>What the vertex answers, if it has by now.</summary>
    public LabAnswer Decide(X509Svid signer, DecisionDocument decision) => Decide(signer.Id, Sign(signer, decision.Encode()));

    public LabAnswer Decide(SpiffeId caller, SignedDecision signed)
    {
        var now = Clock.WallClock.GetUtcNow();
        if (Checks.Check(caller, signed, now, out var document) is { } refused) return new LabAnswer { IsThere = true, Refused = refused };
        var answer = new LabAnswer();
        Turn(() => Core.Decide(new KeptDecision(document!, signed, now), answer.Set));
        return answer;
    }

    public void Dispose()
    {
        Turn(Core.Dispose);
        authority.Dispose();
    }

    private BoundsDocument Document(string rules) =>
        BoundsDocument.TryParse($"version: {++boundsVersion}\ncluster: home\n{rules}\n", "bounds.yaml", out var document, out var problems)
            ? document
            : throw new InvalidOperationException(string.Join('\n', problems));
}

internal sealed class LabAnswer
{
    public bool IsThere { get; set; }

    public RefusedDecision? Refused { get; set; }

    public string? Problem { get; set; }

    public DecisionRefusal? Reason => Refused?.Reason;

    public bool IsGood => IsThere && Refused is null && Problem is null;

    public void Set(RefusedDecision? refused, string? problem) => (IsThere, Refused, Problem) = (true, refused, problem);
}

/// <summary>A coordinator program at vertex a, which says what a test has it say.</summary>
internal sealed class LabProgram(CoordinationLab lab)
{
    private VertexCoordination.Attending? attending;

    public List<VertexView> Views { get; } = [];

    public VertexView View => Views[^1];

    public bool IsReplaced { get; private set; }

    public void Attend() => attending = lab.Core.Attend(Views.Add, () => IsReplaced = true);

    public LabAnswer Stand(StandState state, ulong counter = 0)
    {
        var answer = new LabAnswer();
        lab.Turn(() => lab.Core.Stand(attending!, new Stand(state, counter), answer.Set));
        return answer;
    }

    public void Leave() => lab.Turn(() => lab.Core.Leave(attending!));

    /// <summary>Says the same as often as it must.</summary>
    public void Run(TimeSpan duration, StandState state, ulong counter = 0)
    {
        for (var end = lab.Clock.Now + duration; lab.Clock.Now < end;)
        {
            Stand(state, counter);
            lab.Clock.Run(CoordinationProtocol.StandInterval);
        }
    }
}

/// <summary>A file in memory; writing ends when the test says so, or at once.</summary>
internal sealed class MemoryCoordinationFile : ICoordinationFile
{
    private Action? pending;

    public CoordinationMemory Loaded { get; set; } = CoordinationMemory.None;

    public bool IsSlow { get; set; }

    public Exception? Fault { get; set; }

    public int Saves { get; private set; }

    public void Save(CoordinationMemory memory, Action<Exception?> saved)
    {
        Assert.Null(pending);
        Saves++;
        pending = () =>
        {
            pending = null;
            if (Fault is null) Loaded = memory;
            saved(Fault);
        };
        if (!IsSlow) pending();
    }

    public void Finish() => pending!();
}
