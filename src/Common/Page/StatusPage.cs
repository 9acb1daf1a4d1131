using System.Reflection;
using System.Security.Cryptography;
using System.Text;

namespace Hecatonchire.Page;

/// <summary>
/// The status page: one document with its style and script in it, as they are in this folder. It loads nothing but /status.json from where it came from, and its policy has
/// the browser refuse all else, by the hashes of the two.
/// </summary>
internal static class StatusPage
{
    private static readonly string s_style = Read("page.css"), s_script = Read("page.js");

    /// <summary>UTF-8.</summary>
    public static byte[] Document { get; } = Encoding.UTF8.GetBytes(Read("page.html")
        .Replace("/*style*/", s_style, StringComparison.Ordinal).Replace("/*script*/", s_script, StringComparison.Ordinal));

    /// <summary>The value of the header Content-Security-Policy.</summary>
    public static string Policy { get; } = $"default-src 'none'; style-src '{Hash(s_style)}'; script-src '{Hash(s_script)}'; connect-src 'self'; img-src data:; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private static string Hash(string text) => $"sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(text)))}";

    private static string Read(string name)
    {
        using Stream resource = Assembly.GetExecutingAssembly().GetManifestResourceStream(name)!;
        using var reader = new StreamReader(resource, Encoding.UTF8);
        return reader.ReadToEnd().ReplaceLineEndings("\n");
    }
}
