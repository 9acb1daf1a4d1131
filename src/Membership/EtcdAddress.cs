namespace Hecatonchire.Membership;

/// <summary>
/// Where an etcd is, as <c>--etcd URL</c> names it: its members, and the prefix of the keys that are ours there, which is the URL's path.
/// </summary>
internal sealed record EtcdAddress
{
    /// <summary>etcd grants no shorter lease than its election takes one and a half times; the rest is for a busy host.</summary>
    public const int LeaseSecondsMin = 2;

    private const string PrefixDefault = "/heca";
    private const int PortDefault = 2379;

    /// <summary>http://HOST:PORT of each member; one at least.</summary>
    public required IReadOnlyList<Uri> Members { get; init; }

    /// <summary>What our keys begin with, without a slash at its end.</summary>
    public required string Prefix { get; init; }

    public string Names => string.Join(", ", Members.Select(member => member.GetLeftPart(UriPartial.Authority)));

    /// <summary>The URLs of one etcd's members; null, with the reason in one line, where they are none.</summary>
    public static EtcdAddress? From(IReadOnlyList<string> urls, out string problem)
    {
        var members = new List<Uri>();
        string? prefix = null;
        foreach (string url in urls)
        {
            if (!Uri.TryCreate(url, UriKind.Absolute, out Uri? uri) || (uri.Scheme != Uri.UriSchemeHttp && uri.Scheme != Uri.UriSchemeHttps)
                || uri.Host.Length == 0 || uri.UserInfo.Length > 0 || uri.Query.Length > 0 || uri.Fragment.Length > 0)
            {
                problem = $"'{url}': write http://HOST:PORT or https://HOST:PORT, with a path where the keys are not to begin with {PrefixDefault}";
                return null;
            }

            string path = uri.AbsolutePath.TrimEnd('/');
            path = path.Length == 0 ? PrefixDefault : path;
            if (prefix is not null && prefix != path)
            {
                problem = $"the members of one etcd are named with one path, and here are {prefix} and {path}";
                return null;
            }

            prefix = path;
            int port = uri.IsDefaultPort && !url.Contains($":{uri.Port}", StringComparison.Ordinal) ? PortDefault : uri.Port;
            members.Add(new UriBuilder(uri.Scheme, uri.Host, port).Uri);
        }

        problem = prefix is null ? "no URL is given" : "";
        return prefix is null ? null : new EtcdAddress { Members = members, Prefix = prefix };
    }
}
