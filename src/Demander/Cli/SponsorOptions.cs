using System.CommandLine;
using System.Globalization;
using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Lending;
using Hecatonchire.Membership;
using Hecatonchire.Pager;
using Hecatonchire.Transport.Striped;
using Hecatonchire.Units;

namespace Hecatonchire.Cli;

/// <summary>
/// From whom to borrow: <c>--sponsor HOST:PORT</c>, of which there may be several, with the keys that prove them, or <c>--embedded</c>, one of our own; and how pages are
/// spread over them.
/// </summary>
/// <param name="isEmbeddedByDefault">Where nobody is named, a sponsor of our own is meant.</param>
internal sealed class SponsorOptions(bool isEmbeddedByDefault = false)
{
    private const int ReplicasMax = StripeTable.ReplicasMax - 1;

    private readonly Option<string[]> _sponsor = new("--sponsor")
    {
        HelpName = "HOST:PORT",
        DefaultValueFactory = _ => [],
        Description = "A sponsor's control channel; may be repeated, and memory is then spread over all",
    };

    private readonly Option<string[]> _key = new("--sponsor-key")
    {
        HelpName = "KEY|FILE",
        DefaultValueFactory = _ => [],
        Description = "The sponsor's public key, or the file that holds it; one for all, or one for each in their order "
            + $"[default: {SponsorAddress.KeyEnvironment}, /var/lib/heca/sponsor.public, ~/.local/state/heca/sponsor.public]",
    };

    private readonly OwnKeyOption _ownKey = new();

    private readonly Option<bool> _embedded = new("--embedded") { Description = "Start a sponsor on this host that ends with the run" };

    private readonly Option<int> _replicas = new("--replicas")
    {
        HelpName = "K",
        DefaultValueFactory = _ => 1,
        Description = $"Keep each page on K sponsors, up to {ReplicasMax}: none is lost while one of them lives",
    };

    private readonly Option<string> _stripe = new("--stripe")
    {
        HelpName = "SIZE",
        DefaultValueFactory = _ => new ByteSize(Borrowing.StripeBytesDefault).ToString(),
        Description = "The largest piece that is borrowed from one sponsor at a time",
    };

    private readonly Option<string> _readPolicy = new("--read-policy")
    {
        HelpName = "service-time|shortest-queue|round-robin",
        DefaultValueFactory = _ => "service-time",
        Description = "Which replica a page is read from",
    };

    private readonly Option<string> _hedge = new("--hedge")
    {
        HelpName = "yes|no",
        DefaultValueFactory = _ => "yes",
        Description = "Read a page that is later than most from a second replica too",
    };

    private readonly Option<string?> _spill = new("--spill")
    {
        HelpName = "DIR",
        Description = "A directory on a local disk: what no sponsor has room for goes to a file there, encrypted, and back to sponsors when they have",
    };

    private readonly Option<bool> _seal = new("--seal")
    {
        Description = "Encrypt and authenticate each page before it leaves this host (AES-256-GCM): a sponsor reads nothing, and what it changes is noticed",
    };

    private readonly Option<string?> _spillMax = new("--spill-max") { HelpName = "SIZE", Description = "How much of that disk may be taken [default: nine tenths of what is free at the start]" };

    private readonly Option<string> _spread = new("--spread")
    {
        HelpName = "LABEL",
        DefaultValueFactory = _ => Labels.Host,
        Description = "Keep the replicas of a page on sponsors that differ in this label, such as rack, as far as there are some",
    };

    private readonly Option<string[]> _etcd = new("--etcd")
    {
        HelpName = "URL",
        DefaultValueFactory = _ => [],
        Description = "Find sponsors in this etcd, such as http://10.0.0.9:2379, now and while the program runs; may be repeated for the members of one etcd",
    };

    private readonly Option<string> _etcdLease = new("--etcd-lease")
    {
        HelpName = "SECONDS",
        DefaultValueFactory = _ => "10",
        Description = "How long its claim there on what it has borrowed outlives this pager, beside the time in which another can go on with its programs",
    };

    private readonly Option<string?> _cluster = new("--cluster")
    {
        HelpName = "ID",
        Description = "Refuse sponsors of any other cluster than this, 32 hexadecimal digits [default: with --etcd, that of etcd]",
    };

    public IEnumerable<Option> Options => [_sponsor, _key, _ownKey.Option, _embedded, _replicas, _spread, _stripe, _readPolicy, _hedge, _spill, _spillMax, _seal];

    public void AddTo(Command command)
    {
        foreach (Option option in Options)
        {
            command.Add(option);
        }
    }

    /// <summary>The options that find sponsors which nobody names, beside those of <see cref="AddTo"/>.</summary>
    public void AddFindingTo(Command command)
    {
        command.Add(_etcd);
        command.Add(_etcdLease);
        command.Add(_cluster);
    }

    /// <summary>Only the options that name sponsors, or where to find them; for <see cref="ResolveNames"/> and <see cref="ResolveEtcd"/>.</summary>
    public void AddNamesTo(Command command)
    {
        command.Add(_sponsor);
        command.Add(_key);
        command.Add(_ownKey.Option);
        command.Add(_etcd);
    }

    /// <summary>The key to show to sponsors; null: none. Throws <see cref="CommandException"/>.</summary>
    public DemanderKey? ResolveOwnKey(ParseResult parsed) => _ownKey.Resolve(parsed);

    public bool IsEmbedded(ParseResult parsed) => parsed.GetValue(_embedded) || (isEmbeddedByDefault && !IsNamed(parsed));

    /// <summary>True when a sponsor is named, or where to find some.</summary>
    public bool IsNamed(ParseResult parsed) => parsed.GetValue(_sponsor) is { Length: > 0 } || parsed.GetValue(_etcd) is { Length: > 0 };

    /// <summary>Where to find sponsors; null: nowhere. Throws <see cref="CommandException"/>.</summary>
    public EtcdAddress? ResolveEtcd(ParseResult parsed)
    {
        string[] urls = parsed.GetValue(_etcd) ?? [];
        return urls.Length == 0 ? null
            : EtcdAddress.From(urls, out string problem) ?? throw new CommandException($"--etcd: {problem}", ExitStatus.Usage);
    }

    /// <summary>An option of how pages are spread that was given; null: none.</summary>
    public string? GivenSpread(ParseResult parsed) =>
        ((Option[])[_replicas, _spread, _stripe, _readPolicy, _hedge, _spill, _spillMax, _seal]).FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false })?.Name;

    /// <summary>True: pages are sealed before they leave this host.</summary>
    public bool Seals(ParseResult parsed) => parsed.GetValue(_seal);

    /// <summary>Where to spill; null: nowhere. Throws <see cref="CommandException"/>.</summary>
    public SpillPlace? ResolveSpill(ParseResult parsed)
    {
        string? path = parsed.GetValue(_spill), most = parsed.GetValue(_spillMax);
        if (path is null)
        {
            return most is null ? null : throw new CommandException("--spill-max is how much of a disk --spill may take: give both", ExitStatus.Usage);
        }

        return most is null ? new SpillPlace(path, FreeBytesAt(path) / 10 * 9)
            : ByteSize.TryParse(most, out ByteSize size) && size.Bytes > 0 ? new SpillPlace(path, size.Bytes)
            : throw new CommandException($"--spill-max '{most}': write a size, such as 16GiB", ExitStatus.Usage);
    }

    private static long FreeBytesAt(string path)
    {
        try
        {
            return new DriveInfo(Directory.Exists(path) ? path : Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/").AvailableFreeSpace;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new CommandException($"--spill '{path}': {e.Message.TrimEnd('.')}", ExitStatus.Usage);
        }
    }

    /// <summary>The sponsors that are named, and how to spread; null for an embedded one. Throws <see cref="CommandException"/>.</summary>
    public Borrowing? Resolve(ParseResult parsed)
    {
        string[] addresses = parsed.GetValue(_sponsor) ?? [], keys = parsed.GetValue(_key) ?? [];
        int replicas = parsed.GetValue(_replicas);
        if (replicas is < 1 or > ReplicasMax)
        {
            throw new CommandException($"--replicas {replicas}: write a number from 1 to {ReplicasMax}", ExitStatus.Usage);
        }

        if (!ByteSize.TryParse(parsed.GetValue(_stripe), out ByteSize stripe) || !IsStripe(stripe.Bytes))
        {
            throw new CommandException($"--stripe '{parsed.GetValue(_stripe)}': write a power of two from 1MiB to 1GiB, such as 256MiB", ExitStatus.Usage);
        }

        ReadPolicy policy = parsed.GetValue(_readPolicy) switch
        {
            "service-time" => ReadPolicy.ServiceTime,
            "shortest-queue" => ReadPolicy.ShortestQueue,
            "round-robin" => ReadPolicy.RoundRobin,
            string other => throw new CommandException($"--read-policy '{other}': write {_readPolicy.HelpName}", ExitStatus.Usage),
            null => default,
        };
        bool hedge = parsed.GetValue(_hedge) switch
        {
            "yes" => true,
            "no" => false,
            string other => throw new CommandException($"--hedge '{other}': write {_hedge.HelpName}", ExitStatus.Usage),
            null => true,
        };
        if (IsEmbedded(parsed))
        {
            return addresses.Length > 0 || keys.Length > 0 || IsNamed(parsed)
                ? throw new CommandException("--embedded starts a sponsor of its own: give either it, or --sponsor and --sponsor-key, or --etcd", ExitStatus.Usage)
                : replicas == 1 ? null : throw TooFew(replicas, 1);
        }

        SponsorEndpoint[] sponsors = ResolveNames(parsed, ", or --embedded to start one on this host");
        EtcdAddress? etcd = ResolveEtcd(parsed);
        return etcd is null && replicas > sponsors.Length
            ? throw TooFew(replicas, sponsors.Length)
            : new Borrowing
            {
                Sponsors = sponsors,
                Key = ResolveOwnKey(parsed),
                Replicas = replicas,
                StripeBytesMax = stripe.Bytes,
                ReadPolicy = policy,
                Hedge = hedge,
                Spill = ResolveSpill(parsed),
                Seal = Seals(parsed),
                Spread = ResolveSpread(parsed),
                Etcd = etcd is null ? null : new EtcdPlace(etcd, ResolveLease(parsed)),
                Cluster = ResolveCluster(parsed),
            };
    }

    private string ResolveSpread(ParseResult parsed) => parsed.GetValue(_spread) is { } label && Labels.IsWord(label)
        ? label
        : throw new CommandException($"--spread '{parsed.GetValue(_spread)}': write the name of a label that sponsors have, such as rack", ExitStatus.Usage);

    private TimeSpan ResolveLease(ParseResult parsed) =>
        int.TryParse(parsed.GetValue(_etcdLease), NumberStyles.None, CultureInfo.InvariantCulture, out int seconds) && seconds is >= EtcdAddress.LeaseSecondsMin and <= 3600
            ? TimeSpan.FromSeconds(seconds)
            : throw new CommandException($"--etcd-lease '{parsed.GetValue(_etcdLease)}': write whole seconds from {EtcdAddress.LeaseSecondsMin} to 3600", ExitStatus.Usage);

    private Guid ResolveCluster(ParseResult parsed) => parsed.GetValue(_cluster) is not { } text ? Guid.Empty
        : ClusterId.TryParse(text, out Guid id) ? id
        : throw new CommandException($"--cluster '{text}' {ClusterId.Rule}", ExitStatus.Usage);

    /// <summary>The sponsors that are named, each once; one at least, unless more are found. Throws <see cref="CommandException"/>.</summary>
    public SponsorEndpoint[] ResolveNames(ParseResult parsed, string otherwise = "")
    {
        string[] addresses = parsed.GetValue(_sponsor) ?? [], keys = parsed.GetValue(_key) ?? [];
        if (addresses.Length == 0)
        {
            return IsNamed(parsed) && keys.Length == 0 ? []
                : throw new CommandException(
                    IsNamed(parsed) ? "--sponsor-key is the key of a --sponsor, and none is given" : $"no sponsor: give --sponsor HOST:PORT{otherwise}", ExitStatus.Usage);
        }

        if (keys.Length > 1 && keys.Length != addresses.Length)
        {
            throw new CommandException(
                string.Create(CultureInfo.InvariantCulture, $"--sponsor-key: {keys.Length} keys for {addresses.Length} sponsors; give one for all, or one for each"), ExitStatus.Usage);
        }

        SponsorEndpoint[] sponsors = [.. addresses.Select((address, i) => SponsorAddress.Resolve(address, keys.Length == 0 ? null : keys[keys.Length == 1 ? 0 : i]))];
        if (sponsors.GroupBy(sponsor => (sponsor.Host, sponsor.Port)).FirstOrDefault(same => same.Count() > 1) is { } twice)
        {
            throw new CommandException($"--sponsor {twice.Key.Host}:{twice.Key.Port} is named twice", ExitStatus.Usage);
        }

        return sponsors;
    }

    private static CommandException TooFew(int replicas, int sponsors) => new(
        string.Create(CultureInfo.InvariantCulture, $"--replicas {replicas} takes as many sponsors, and there {(sponsors == 1 ? "is 1" : $"are {sponsors}")}: repeat --sponsor"), ExitStatus.Usage);

    private static bool IsStripe(long bytes) => bytes is >= 1 << 20 and <= 1 << 30 && System.Numerics.BitOperations.IsPow2(bytes);
}
