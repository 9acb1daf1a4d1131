using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Hecatonchire.Native;

namespace Hecatonchire;

/// <summary>
/// An array of <typeparamref name="T"/> whose cold pages live in the memory of a sponsor. It is ordinary memory of this process
/// outside the garbage collector's heap, zeroed at first, and its address never changes. The program must run under
/// <c>heca run -- PROGRAM</c>.
/// </summary>
/// <typeparam name="T">The element, without references to managed objects.</typeparam>
/// <remarks>
/// <para>
/// A thread that touches a page that is not here is stopped inside the kernel until the pager has fetched it: microseconds
/// as a rule. The runtime does not know of that stop, so a garbage collection that starts meanwhile waits for the thread. That
/// is safe because the pager is another process and never waits for this one; answering faults from managed code
/// of this same process would deadlock at the first collection.
/// </para>
/// <para>
/// A page that no sponsor can return raises SIGBUS in the thread that touches it, which ends the process.
/// A child made by fork does not inherit sponsored memory.
/// </para>
/// <para>
/// Elements may be read and written from several threads as in an array. <see cref="Resize"/>, <see cref="Advise"/> and
/// <see cref="Dispose()"/> may be called from any thread and wait for each other, but references, spans and pointers obtained
/// before are not protected: do not use them after <see cref="Dispose()"/>, nor beyond the new end after shrinking, which <c>heca segment shrink</c> can do
/// as well (without <c>--drop</c> only where nothing has been touched), and keep
/// the object reachable while they are in use (<c>using</c>, or <see cref="GC.KeepAlive"/>).
/// </para>
/// </remarks>
public sealed unsafe class SponsoredMemory<T> : IDisposable
    where T : unmanaged
{
    private readonly Lock _gate = new();
    private readonly SegmentHandle _segment;
    private T* _pointer;
    private long _length;

    /// <summary>The segment's size that <see cref="_length"/> goes with.</summary>
    private ulong _bytes;

    private SponsoredMemory(SegmentHandle segment, long length)
    {
        _segment = segment;
        _pointer = (T*)segment.DangerousGetHandle();
        _length = length;
        _bytes = HecaLibrary.SizeOf(_pointer);
    }

    /// <summary>
    /// Elements now: what <see cref="Resize"/> and <c>heca segment grow</c> and <c>shrink</c> have made of them. 0 after <see cref="Dispose()"/>.
    /// </summary>
    public long Length
    {
        get
        {
            Follow();
            return Volatile.Read(ref _length);
        }
    }

    /// <summary>The first element; null after <see cref="Dispose()"/>. Page-aligned.</summary>
    public T* Pointer => _pointer;

    /// <summary>The element at <paramref name="index"/>, 0 to <see cref="Length"/> - 1.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="index"/> is outside the memory.</exception>
    /// <exception cref="ObjectDisposedException">The memory has been given back.</exception>
    public ref T this[long index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            if ((ulong)index >= (ulong)_length)
            {
                CheckIndex(index);
            }

            return ref _pointer[index];
        }
    }

    /// <summary>Allocates <paramref name="length"/> zeroed elements.</summary>
    /// <param name="length">Elements, at least 1. The bytes are rounded up to pages of 4096.</param>
    /// <param name="reserve">
    /// Elements that <see cref="Resize"/> can grow to in place; only address space. 0: 16 times <paramref name="length"/>, at
    /// least 64 GiB.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">A length below 1, a negative reserve, or more than 2^63 bytes.</exception>
    /// <exception cref="SponsoredMemoryException">No pager, a full sponsor, no address space; nothing was allocated.</exception>
    [SuppressMessage("Design", "CA1000", Justification = "The element type is always named by the caller, as in new T[n].")]
    public static SponsoredMemory<T> Allocate(long length, long reserve = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(reserve);
        ulong bytes = BytesOf(length, nameof(length));
        return new SponsoredMemory<T>(SegmentHandle.Allocate(bytes, BytesOf(reserve, nameof(reserve))), length);
    }

    /// <summary>A window of <paramref name="length"/> elements from <paramref name="start"/> on.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The window is not inside the memory.</exception>
    /// <exception cref="ObjectDisposedException">The memory has been given back.</exception>
    public Span<T> Slice(long start, int length)
    {
        CheckRange(start, length);
        return new Span<T>(_pointer + start, length);
    }

    /// <summary>
    /// Grows or shrinks in place: elements stay where they are, new ones are zero, those beyond the new end are gone.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="length"/> is below 1 or more than 2^63 bytes.</exception>
    /// <exception cref="ObjectDisposedException">The memory has been given back.</exception>
    /// <exception cref="SponsoredMemoryException">Beyond the reserve, a full sponsor, no pager; the length is unchanged.</exception>
    public void Resize(long length)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        ulong bytes = BytesOf(length, nameof(length));
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_pointer == null, this);
            long before = _length;

            // Shrinking takes the elements away from other threads first, growing hands them out last.
            Volatile.Write(ref _length, Math.Min(before, length));
            int status = HecaLibrary.SegmentResize(_segment, bytes);
            Volatile.Write(ref _length, status == 0 ? length : before);
            _bytes = HecaLibrary.SizeOf(_pointer);
            HecaErrno.ThrowIfFailed(status, "resizing sponsored memory");
        }
    }

    /// <summary>Tells the pager how <paramref name="length"/> elements from <paramref name="start"/> on will be used.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the memory, or the advice is not one.</exception>
    /// <exception cref="ObjectDisposedException">The memory has been given back.</exception>
    /// <exception cref="SponsoredMemoryException">The pager is gone.</exception>
    public void Advise(long start, long length, SponsoredMemoryAdvice advice)
    {
        if (!Enum.IsDefined(advice))
        {
            throw new ArgumentOutOfRangeException(nameof(advice), advice, "not a SponsoredMemoryAdvice");
        }

        lock (_gate)
        {
            CheckRange(start, length);
            if (length != 0)
            {
                int status = HecaLibrary.SegmentAdvise(_pointer + start, (ulong)length * (ulong)sizeof(T), (int)advice);
                HecaErrno.ThrowIfFailed(status, "advising on sponsored memory");
            }
        }
    }

    /// <summary>
    /// Gives the memory back: local pages, address space and the sponsor's slots. Returns when that is done; again does
    /// nothing. Without it the finalizer does so some time after the object has become unreachable.
    /// </summary>
    public void Dispose()
    {
        lock (_gate)
        {
            Volatile.Write(ref _length, 0);
            _pointer = null;
            _segment.Dispose();
        }
    }

    private static ulong BytesOf(long length, string name)
    {
        if (length > long.MaxValue / sizeof(T))
        {
            throw new ArgumentOutOfRangeException(name, length, $"more than 2^63 bytes of {sizeof(T)}-byte elements");
        }

        return (ulong)length * (ulong)sizeof(T);
    }

    /// <summary>The segment's size has been changed from outside: so is the length.</summary>
    private void Follow()
    {
        T* pointer = _pointer;
        if (pointer == null || HecaLibrary.SizeOf(pointer) == Volatile.Read(ref _bytes) || !_gate.TryEnter())
        {
            // While this program changes it, or gives it back, the length is already what may be used.
            return;
        }

        try
        {
            ulong bytes = _pointer == null ? 0 : HecaLibrary.SizeOf(_pointer);
            if (bytes != 0 && bytes != _bytes)
            {
                Volatile.Write(ref _length, (long)(bytes / (ulong)sizeof(T)));
                _bytes = bytes;
            }
        }
        finally
        {
            _gate.Exit();
        }
    }

    private void CheckIndex(long index)
    {
        // It may have grown since.
        if ((ulong)index >= (ulong)Length)
        {
            ThrowOutside(nameof(index), index);
        }
    }

    private void CheckRange(long start, long length)
    {
        long available = Length;
        if ((ulong)start > (ulong)available)
        {
            ThrowOutside(nameof(start), start);
        }

        if ((ulong)length > (ulong)(available - start) || _pointer == null)
        {
            ThrowOutside(nameof(length), length);
        }
    }

    [DoesNotReturn]
    private void ThrowOutside(string name, long value)
    {
        ObjectDisposedException.ThrowIf(_pointer == null, this);
        throw new ArgumentOutOfRangeException(name, value, $"outside the {Length} elements of this memory");
    }
}
