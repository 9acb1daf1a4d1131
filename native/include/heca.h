/*
 * heca.h: remote memory for C programs.
 *
 * Sponsored memory is ordinary private anonymous memory of this process whose cold pages live in the RAM of a sponsor.
 * The program runs under `heca run -- PROGRAM`, which puts the pager's socket into HECA_SOCKET.
 *
 * Every function returns 0 or a negative errno value. All are safe to call from several threads.
 *
 *   -ENOTCONN   no pager: HECA_SOCKET is not set, or the pager is gone and no other comes
 *   -ENOSPC     the sponsor cannot take that much; nothing was allocated
 *   -EINVAL     an address that is not the start of a segment, a length of 0, or a range outside the segment
 *   -ENOMEM     this process has no address space left, or the growth exceeds the reserve
 *   -EPERM      the kernel does not let this user make a userfaultfd (`heca check` says what to do)
 *   -EBUSY      the pager serves another program: each needs a `heca run` of its own
 *   -EPROTO     the pager and this library do not understand each other (versions differ)
 */
#ifndef HECA_H
#define HECA_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(HECA_BUILDING)
#define HECA_API __attribute__((visibility("default")))
#else
#define HECA_API
#endif

/* The version of this interface; heca_abi_version() of the loaded library must be equal. */
#define HECA_ABI_VERSION 1
HECA_API int32_t heca_abi_version(void);

/* Hints. They apply to whole pages inside the range. */
enum heca_advice {
    HECA_ADVICE_NORMAL = 0,
    HECA_ADVICE_RANDOM = 1,     /* no prefetch */
    HECA_ADVICE_SEQUENTIAL = 2, /* wide windows from the first fault on */
    HECA_ADVICE_WILL_NEED = 3,  /* fetch now, as far as the budget allows; returns before the pages are there */
    HECA_ADVICE_DONT_NEED = 4,  /* the contents may go: the pages read as zeros afterwards */
    HECA_ADVICE_PAGE_OUT = 5,   /* move the pages to the sponsor; returns when they have left */
};

/* Allocates a segment of `bytes` (rounded up to pages), zeroed, and stores its address. `reserve_bytes` is the address
 * space kept for heca_segment_resize, 0 for 16 times `bytes` but at least 64 GiB. */
HECA_API int32_t heca_segment_allocate(uint64_t bytes, uint64_t reserve_bytes, void **address);

/* Gives the segment that starts at `address` back: local pages, address space and slots. */
HECA_API int32_t heca_segment_free(void *address);

/* Grows or shrinks the segment in place. The address stays; new pages are zero; shrinking drops the pages at the end.
 */
HECA_API int32_t heca_segment_resize(void *address, uint64_t bytes);

/* Stores how many bytes of the segment that starts at `address` the program may use now: those it has asked for, or
 * what `heca segment grow` and `heca segment shrink` have made of them from outside. What is beyond raises SIGSEGV, and
 * EFAULT in a system call. It is lower before pages go, and higher after they are there. Costs some nanoseconds and
 * waits for nobody; safe in a signal handler. */
HECA_API int32_t heca_segment_size(const void *address, uint64_t *bytes);

/* Gives a hint for [address, address + bytes), a range inside one segment. */
HECA_API int32_t heca_segment_advise(void *address, uint64_t bytes, int32_t advice);

struct heca_statistics {
    uint64_t segment_bytes;  /* allocated, over all segments of this process */
    uint64_t resident_bytes; /* pages in this process, staging included */
    uint64_t remote_bytes;   /* pages whose only copy is on the sponsor */
    uint64_t budget_bytes;   /* the bound of resident_bytes now */
    uint64_t resident_peak_bytes;
    uint64_t faults;
    uint64_t pages_in;      /* fetched from the sponsor, prefetched ones included */
    uint64_t pages_out;     /* written to the sponsor */
    uint64_t pages_dropped; /* evicted clean, without a write */
    uint64_t pages_prefetched;
    uint64_t prefetch_used;
    uint64_t prefetch_wasted;
    uint64_t pages_lost; /* no sponsor can return them; touching one raises SIGBUS */
    uint64_t reserved[3];
};

HECA_API int32_t heca_statistics_read(struct heca_statistics *out);

#ifdef __cplusplus
}
#endif
#endif
