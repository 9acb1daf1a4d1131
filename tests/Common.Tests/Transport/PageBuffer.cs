using System.Runtime.InteropServices;
using Hecatonchire.Units;

namespace Hecatonchire.Tests.Transport;

/// <summary>Pages outside the managed heap, with a guard behind them that shows who wrote too far.</summary>
internal sealed unsafe class PageBuffer : IDisposable
{
    private const int GuardBytes = 256;
    private const byte GuardByte = 0xA5;
    private const ulong ScribbleWord = 0xDEAD_BEEF_DEAD_BEEF;

    public PageBuffer(int pages)
    {
        Pages = pages;
        Memory = (byte*)NativeMemory.AlignedAlloc((nuint)((pages << PageSize.Shift) + GuardBytes), PageSize.Bytes);
        new Span<byte>(Memory, pages << PageSize.Shift).Clear();
        new Span<byte>(Memory + (pages << PageSize.Shift), GuardBytes).Fill(GuardByte);
    }

    public int Pages { get; }

    public byte* Memory { get; }

    public byte* this[int page] => Memory + ((nint)page << PageSize.Shift);

    public Span<byte> Span(int page, int pages) => new(this[page], pages << PageSize.Shift);

    /// <summary>One in which a write is noticed: its pages begin with what nobody writes.</summary>
    public static PageBuffer NewScribbled(int pages)
    {
        PageBuffer buffer = new(pages);
        buffer.Scribble();
        return buffer;
    }

    public void Scribble()
    {
        for (int i = 0; i < Pages; i++)
        {
            *(ulong*)this[i] = ScribbleWord;
        }
    }

    /// <summary>False where something has been written to the start of a page since <see cref="Scribble"/>.</summary>
    public bool IsUntouched => Enumerable.Range(0, Pages).All(i => *(ulong*)this[i] == ScribbleWord);

    /// <summary>Fills a page with what only this slot in this version holds.</summary>
    public static void Fill(byte* page, uint slot, uint version)
    {
        ulong* words = (ulong*)page;
        for (uint i = 0; i < PageSize.Bytes / 8; i++)
        {
            words[i] = version == 0 ? 0 : Word(slot, version, i);
        }
    }

    /// <summary>True when the page holds exactly that; version 0 is a page never written.</summary>
    public static bool Holds(byte* page, uint slot, uint version)
    {
        ulong* words = (ulong*)page;
        ulong difference = 0;
        for (uint i = 0; i < PageSize.Bytes / 8; i++)
        {
            difference |= words[i] ^ (version == 0 ? 0 : Word(slot, version, i));
        }

        return difference == 0;
    }

    public bool GuardIsWhole() =>
        !new Span<byte>(Memory + (Pages << PageSize.Shift), GuardBytes).ContainsAnyExcept(GuardByte);

    private static ulong Word(uint slot, uint version, uint i) =>
        (((ulong)version << 32) | slot) * 0x9E3779B97F4A7C15 ^ (i * 0x100000001B3UL);

    public void Dispose()
    {
        bool whole = GuardIsWhole();
        NativeMemory.AlignedFree(Memory);
        if (!whole)
        {
            throw new InvalidOperationException("something was written behind the buffer");
        }
    }
}
