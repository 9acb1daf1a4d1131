using System.Runtime.InteropServices;
using Hecatonchire.Units;
using Hecatonchire.WriteBack;
using Xunit;

namespace Hecatonchire.Tests.WriteBack;

public sealed unsafe class PageHashTests : IDisposable
{
    private readonly Random _random = new(5);
    private readonly byte* _page = (byte*)NativeMemory.AlignedAlloc(PageSize.Bytes, PageSize.Bytes);

    private Span<byte> Page => new(_page, PageSize.Bytes);

    public void Dispose() => NativeMemory.AlignedFree(_page);

    [Fact]
    public void The_vector_form_is_the_scalar_form()
    {
        PageHash hash = WithKey(1);
        for (int i = 0; i < 500; i++)
        {
            _random.NextBytes(Page);
            Assert.Equal(hash.ComputeScalar(_page), hash.Compute(_page));
        }

        foreach (byte fill in (byte[])[0, 1, 0x80, 0xFF])
        {
            Page.Fill(fill);
            Assert.Equal(hash.ComputeScalar(_page), hash.Compute(_page));
        }
    }

    [Fact]
    public void One_flipped_bit_gives_another_hash()
    {
        PageHash hash = WithKey(2);
        _random.NextBytes(Page);
        var seen = new HashSet<ulong> { hash.Compute(_page) };
        for (int bit = 0; bit < PageSize.Bytes * 8; bit++)
        {
            _page[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.True(seen.Add(hash.Compute(_page)), $"bit {bit}");
            _page[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Fact]
    public void Two_words_that_change_places_give_another_hash()
    {
        PageHash hash = WithKey(3);
        _random.NextBytes(Page);
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(Page);
        ulong original = hash.Compute(_page);
        for (int i = 0; i < 2000; i++)
        {
            int a = _random.Next(words.Length), b = _random.Next(words.Length);
            if (a != b)
            {
                (words[a], words[b]) = (words[b], words[a]);
                Assert.NotEqual(original, hash.Compute(_page));
                (words[a], words[b]) = (words[b], words[a]);
            }
        }
    }

    [Fact]
    public void Each_session_has_hashes_of_its_own()
    {
        _random.NextBytes(Page);
        Assert.NotEqual(WithKey(1).Compute(_page), WithKey(2).Compute(_page));
        Assert.NotEqual(new PageHash().Compute(_page), new PageHash().Compute(_page));
        Assert.Equal(WithKey(9).Compute(_page), WithKey(9).Compute(_page));
    }

    [Fact]
    public void Only_a_page_of_zeros_is_zero()
    {
        Page.Clear();
        Assert.True(PageHash.IsZero(_page));
        for (int i = 0; i < PageSize.Bytes; i++)
        {
            _page[i] = 1;
            Assert.False(PageHash.IsZero(_page));
            _page[i] = 0;
        }
    }

    private static PageHash WithKey(int seed)
    {
        byte[] key = new byte[PageHash.KeyWords * sizeof(ulong)];
        new Random(seed).NextBytes(key);
        return new PageHash(key);
    }
}
