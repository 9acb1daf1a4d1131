using Hecatonchire.Interop;
using Hecatonchire.Pressure;

namespace Hecatonchire.Host;

/// <summary>/proc, /sys and /dev of this host, or a copy of them under another root. Nothing here throws.</summary>
internal sealed class HostFiles(string root = "")
{
    /// <summary>For what takes a procfs root itself.</summary>
    public string ProcRoot => $"{root}/proc";

    public bool Exists(string path) => Path.Exists(root + path);

    /// <summary>The file's text without the last newline; null when it cannot be read.</summary>
    public string? Read(string path)
    {
        try
        {
            return File.ReadAllText(root + path).TrimEnd();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The value behind <paramref name="key"/> in a file of lines <c>key: value</c> or <c>key   value</c>; null when there is none.</summary>
    public string? ReadValue(string path, string key)
    {
        foreach (string line in (Read(path) ?? "").Split('\n'))
        {
            if (line.StartsWith(key, StringComparison.Ordinal))
            {
                return line[key.Length..].TrimStart(':', ' ', '\t');
            }
        }

        return null;
    }

    /// <summary>Names in a directory, sorted; none when there is no such directory.</summary>
    public IReadOnlyList<string> List(string path)
    {
        try
        {
            return [.. Directory.GetFileSystemEntries(root + path).Select(e => Path.GetFileName(e)).Order(StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>Permission bits as three octal digits; null when the file is not there.</summary>
    public string? Mode(string path)
    {
        try
        {
            return OperatingSystem.IsLinux() ? Convert.ToString((int)File.GetUnixFileMode(root + path) & 0x1FF, 8) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>True when the kernel takes <paramref name="text"/>; undone when the file is closed, which is at once.</summary>
    public bool TryArm(string path, ReadOnlySpan<byte> text)
    {
        using KernelFile? file = KernelFile.TryOpen(root + path, Libc.O_RDWR | Libc.O_NONBLOCK);
        return file is not null && file.TryWrite(text);
    }
}
