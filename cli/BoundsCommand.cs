using System.CommandLine;
using Florete.Identities;

namespace Florete.Cli;

/// <summary><c>florctl bounds validate|sign</c></summary>
internal static class BoundsCommand
{
    public static Command Create() => new("bounds", "Check and sign what is allowed.") { Validate(), Sign() };

    private static Command Validate()
    {
        var file = new Argument<string>("FILE") { Description = "A bounds file, as in bounds.yaml." };
        var json = CommonOptions.Json();
        var validate = new Command("validate", "Checks a bounds file; reports every problem with its line.") { file, json };
        validate.SetAction(parsed =>
        {
            var path = parsed.GetRequiredValue(file);
            if (!File.Exists(path)) throw new CliException($"{path}: there is no such file.", "Name the bounds.yaml of the operator's folder.");
            if (new FileInfo(path).Length > BoundsDocument.MaxBytes) throw new CliException($"{path}: it is larger than {BoundsDocument.MaxBytes} bytes.", "Use '*' to say more with fewer rules.");
            var valid = BoundsDocument.TryParse(File.ReadAllText(path), path, out var bounds, out var problems);
            if (parsed.GetValue(json))
            {
                CommonOptions.PrintJson(new { Valid = valid, bounds?.Version, bounds?.Cluster, Problems = problems });
            }
            else if (valid)
            {
                Console.WriteLine($"{path}: version {bounds!.Version} of cluster {bounds.Cluster} is valid: {bounds.Links.Count} rules for links, {bounds.Hosts.Count} for hosts, {bounds.Connect.Count} for connect, {bounds.Store.Count} for store.");
            }
            else
            {
                foreach (var problem in problems) Console.Error.WriteLine(problem);
            }
            return valid ? 0 : 1;
        });
        return validate;
    }

    private static Command Sign()
    {
        var file = new Argument<string>("FILE") { Description = "A bounds file, as in bounds.yaml." };
        var folder = new Option<string?>("--dir") { Description = "The operator's folder; unless told, the folder of FILE." };
        var output = new Option<string?>("--out")
        {
            Description = "Where to write the signed bounds; unless told, bounds.signed in the operator's folder and in all nodes' folders there.",
        };
        var json = CommonOptions.Json();
        var sign = new Command("sign", "Signs a bounds file; running nodes pick it up.") { file, folder, output, json };
        sign.SetAction(parsed =>
        {
            var path = Path.GetFullPath(parsed.GetRequiredValue(file));
            using var from = OperatorFolder.Open(parsed.GetValue(folder) ?? Path.GetDirectoryName(path)!);
            IReadOnlyList<string> written;
            if (parsed.GetValue(output) is { } target)
            {
                AtomicFile.Write(target, from.Sign(path, target), AtomicFile.EveryoneReads);
                written = [target];
            }
            else if (path == Path.GetFullPath(from.BoundsFile))
            {
                written = from.SignBounds();
            }
            else
            {
                throw new CliException($"{path} is not the bounds.yaml of {from.Path}.", "Say where to write the signed bounds with --out.");
            }
            var version = BoundsDocument.Load(path).Version;
            if (parsed.GetValue(json))
            {
                CommonOptions.PrintJson(new { Version = version, Files = written });
                return 0;
            }
            Console.WriteLine($"Bounds version {version} are signed:");
            foreach (var name in written) Console.WriteLine($"  {name}");
            return 0;
        });
        return sign;
    }
}
