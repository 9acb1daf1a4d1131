using System.Globalization;
using Hecatonchire.Pages;

namespace Hecatonchire.Pager;

/// <summary>
/// Which page tables a program was given, written down where only the pager writes: a program that comes to the next pager with others is not listened to. One
/// that is about to exchange them for new ones may come with either.
/// </summary>
internal sealed class TablesRecord(string folder, int process)
{
    private readonly string _path = Path.Combine(folder, process.ToString(CultureInfo.InvariantCulture) + ".tables");

    /// <summary>Throws <see cref="IOException"/>.</summary>
    public void Write(params IEnumerable<string> identities) => File.WriteAllLines(_path, identities);

    /// <summary>True when the program was given this file.</summary>
    public bool Has(string identity) => File.Exists(_path) && File.ReadAllLines(_path).Contains(identity, StringComparer.Ordinal);

    public void Delete() => File.Delete(_path);
}
