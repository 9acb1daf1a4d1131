using Hecatonchire.Control.Keys;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Sponsor.Control;

/// <summary>
/// Whom this sponsor serves: everybody who has its public key, or where there is a trust file only the keys in that. The file is read again when it has changed. One that
/// cannot be read, or is gone, changes nothing: who deletes it must not open the sponsor to all; and one that comes later counts from the next start on. Used by the control thread, but for <see cref="Ask"/>.
/// </summary>
internal sealed partial class TrustedKeys
{
    private readonly string _path;
    private readonly TimeProvider _time;
    private readonly ILogger<TrustedKeys> _logger;
    private TrustFile? _file;
    private (DateTime Written, long Bytes) _seen;
    private string? _told;
    private volatile bool _isAsked;

    /// <summary>Throws <see cref="IOException"/> where there is a file that is none, or with <paramref name="mustExist"/> where there is none.</summary>
    public TrustedKeys(string path, bool mustExist, TimeProvider time, ILogger<TrustedKeys> logger)
    {
        (_path, _time, _logger) = (path, time, logger);
        if (mustExist || File.Exists(path))
        {
            _seen = Stamp();
            _file = TrustFile.Read(path);
        }
    }

    /// <summary>False while everybody is served.</summary>
    public bool IsInForce => _file is not null;

    /// <summary>Called on the control thread's behalf by whoever wants the file read now: a signal.</summary>
    public Action? OnAsked { get; set; }

    /// <summary>True once after <see cref="Ask"/>.</summary>
    public bool TakeAsked()
    {
        bool asked = _isAsked;
        _isAsked = false;
        return asked;
    }

    /// <summary>Has the file read, whatever its time says. By any thread.</summary>
    public void Ask()
    {
        _isAsked = true;
        OnAsked?.Invoke();
    }

    /// <summary>Reads the file if it has changed since, or with <paramref name="always"/>.</summary>
    public void Refresh(bool always = false)
    {
        (DateTime, long) stamp = Stamp();
        if (!always && stamp == _seen)
        {
            return;
        }

        _seen = stamp;
        if (_file is null)
        {
            // Those who have memory here without a key would lose it.
            if (File.Exists(_path))
            {
                LogLater(_path);
            }

            return;
        }

        try
        {
            _file = TrustFile.Read(_path);
            _told = null;
            int trusted = _file.Entries.Count(entry => entry.Distrust(_time.GetUtcNow()) is null);
            LogRead(_path, trusted);
        }
        catch (IOException failure)
        {
            if (failure.Message != _told)
            {
                _told = failure.Message;
                LogNotRead(failure.Message);
            }
        }
    }

    /// <summary>Why a key is not served, in words for its owner; null: it is. <paramref name="entry"/> is its entry, null where everybody is served.</summary>
    public string? Distrust(string? key, out TrustEntry? entry)
    {
        entry = null;
        if (_file is null)
        {
            return null;
        }

        entry = key is null ? null : _file[key];
        return entry is null ? "the key is not in its trust file" : entry.Distrust(_time.GetUtcNow());
    }

    private (DateTime, long) Stamp()
    {
        FileInfo file = new(_path);
        return file.Exists ? (file.LastWriteTimeUtc, file.Length) : default;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Read the trust file {Path}: {Count} keys are trusted")]
    private partial void LogRead(string path, int count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "There is a trust file {Path} now: it counts from the next start on, for demanders that were let in without a key have memory here")]
    private partial void LogLater(string path);

    [LoggerMessage(Level = LogLevel.Error, Message = "The keys that were trusted before stay so: {Why}")]
    private partial void LogNotRead(string why);
}
