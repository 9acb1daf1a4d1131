/*
 * segment.c: address space for sponsored memory. A segment reserves more than it uses, so that it grows in place:
 *
 *     [ live: readable, writable, registered | reserve: PROT_NONE | one page never used ]
 *
 * Every step that can fail is undone when a later one fails or the pager refuses.
 */
#include "internal.h"
#include "kernel.h"

#include <errno.h>
#include <sys/mman.h>

#define RESERVE_FACTOR 16
#define RESERVE_BYTES_MIN (64ull << 30)

/* What an address can be on x86-64 and arm64 with 48 bits; keeps all sums below from overflowing. */
#define BYTES_MAX (1ull << 47)

struct segment {
    uint64_t address; /* 0: free entry. Last set and first cleared, since the evictor reads without the lock */
    uint64_t bytes;   /* of which pages may be the pager's: the longer of two lengths while one becomes the other */
    uint64_t size;    /* which the program may use: the shorter */
    uint64_t reserve_bytes;
};

static struct segment segments[HECA_SEGMENTS_MAX];
static uint32_t segments_used; /* entries ever used: bounds the searches */

static uint64_t round_up(uint64_t bytes) {
    return (bytes + HECA_PAGE_BYTES - 1) & ~(HECA_PAGE_BYTES - 1);
}

bool heca_segments_contain(uint64_t address, uint64_t bytes) {
    uint32_t used = __atomic_load_n(&segments_used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < used; i++) {
        uint64_t base = __atomic_load_n(&segments[i].address, __ATOMIC_ACQUIRE);
        uint64_t length = __atomic_load_n(&segments[i].bytes, __ATOMIC_RELAXED);
        if (base != 0 && address >= base && bytes <= length && address - base <= length - bytes) {
            return address % HECA_PAGE_BYTES == 0;
        }
    }

    return false;
}

bool heca_segments_any(void) {
    uint32_t used = __atomic_load_n(&segments_used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < used; i++) {
        if (__atomic_load_n(&segments[i].address, __ATOMIC_ACQUIRE) != 0) {
            return true;
        }
    }

    return false;
}

void heca_segments_occupy_in_child(void) {
    for (uint32_t i = 0; i < segments_used; i++) {
        struct segment *segment = &segments[i];
        if (segment->address != 0) {
            (void)!mmap((void *)(uintptr_t)segment->address, segment->reserve_bytes, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        }
    }
}

static struct segment *find(const void *address) {
    for (uint32_t i = 0; i < segments_used; i++) {
        if (segments[i].address != 0 && segments[i].address == (uintptr_t)address) {
            return &segments[i];
        }
    }

    return NULL;
}

static struct segment *find_free(void) {
    for (uint32_t i = 0; i < segments_used; i++) {
        if (segments[i].address == 0) {
            return &segments[i];
        }
    }

    return segments_used < HECA_SEGMENTS_MAX ? &segments[segments_used] : NULL;
}

static void publish(struct segment *segment, char *base, uint64_t bytes, uint64_t reserve_bytes) {
    segment->reserve_bytes = reserve_bytes;
    __atomic_store_n(&segment->bytes, bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&segment->size, bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&segment->address, (uintptr_t)base, __ATOMIC_RELEASE);
    if (segment == &segments[segments_used]) {
        __atomic_store_n(&segments_used, segments_used + 1, __ATOMIC_RELEASE);
    }
}

static void withdraw(struct segment *segment) {
    __atomic_store_n(&segment->address, 0, __ATOMIC_RELEASE);
}

/* Makes [address, address + bytes) of a reserve readable, writable and the pager's. */
static int32_t enlist(char *address, uint64_t bytes) {
    if (mprotect(address, bytes, PROT_READ | PROT_WRITE) != 0) {
        return -ENOMEM;
    }

    uint64_t mode = UFFDIO_REGISTER_MODE_MISSING;
    if ((heca_session.can & HECA_CAN_WP) != 0) {
        mode |= UFFDIO_REGISTER_MODE_WP;
    }

    int32_t status = heca_userfault_register(heca_session.userfault.descriptor, address, bytes, mode);
    if (status != 0) {
        mprotect(address, bytes, PROT_NONE);
    }

    return status;
}

/* The reverse. Access goes first: unregistering wakes threads that wait there against the rules, and they must find no
 * zeros. */
static void dismiss(char *address, uint64_t bytes) {
    mprotect(address, bytes, PROT_NONE);
    heca_userfault_unregister(heca_session.userfault.descriptor, address, bytes);
    madvise(address, bytes, MADV_DONTNEED);
}

static char *reserve(uint64_t bytes) {
    char *base = mmap(NULL, bytes + HECA_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return NULL;
    }

    /* Of a program under mlockall(MCL_FUTURE): locked pages can neither move nor be dropped. */
    munlock(base, bytes);

    /* Pages come and go by 4 KiB; and a forked child must fault loudly rather than read the zeros that the kernel gives
     * it for missing pages. Advice for all of the reserve, so that growing leaves one mapping. */
    madvise(base, bytes, MADV_NOHUGEPAGE);
    if (madvise(base, bytes, MADV_DONTFORK) != 0) {
        munmap(base, bytes + HECA_PAGE_BYTES);
        return NULL;
    }

    return base;
}

/* 0 asks for the default, of which less will do where address space is limited. */
static char *reserve_or_less(uint64_t bytes, uint64_t *reserve_bytes) {
    if (*reserve_bytes != 0) {
        *reserve_bytes = *reserve_bytes < bytes ? bytes : *reserve_bytes;
        return reserve(*reserve_bytes);
    }

    uint64_t wanted = bytes < BYTES_MAX / RESERVE_FACTOR ? bytes * RESERVE_FACTOR : BYTES_MAX;
    wanted = wanted < RESERVE_BYTES_MIN ? RESERVE_BYTES_MIN : wanted;
    for (;; wanted = round_up(wanted / 2)) {
        *reserve_bytes = wanted < bytes ? bytes : wanted;
        char *base = reserve(*reserve_bytes);
        if (base != NULL || *reserve_bytes == bytes) {
            return base;
        }
    }
}

static int32_t allocate(uint64_t bytes, uint64_t reserve_bytes, char **out) {
    struct segment *segment = find_free();
    char *base = segment == NULL ? NULL : reserve_or_less(bytes, &reserve_bytes);
    if (base == NULL) {
        return -ENOMEM;
    }

    int32_t status = enlist(base, bytes);
    if (status == 0) {
        /* Before the pager knows of it: its first command for the segment may come before its answer is read. */
        publish(segment, base, bytes, reserve_bytes);
        struct heca_message message = {
            .kind = HECA_MESSAGE_ALLOCATE, .address = (uintptr_t)base, .bytes = bytes, .value0 = reserve_bytes};
        status = heca_session_request(&heca_session, &message);
        if (status != 0) {
            withdraw(segment);
            dismiss(base, bytes);
        }
    }

    if (status != 0) {
        munmap(base, reserve_bytes + HECA_PAGE_BYTES);
        return status;
    }

    *out = base;
    return 0;
}

int32_t heca_segment_allocate(uint64_t bytes, uint64_t reserve_bytes, void **address) {
    if (bytes == 0 || address == NULL) {
        return -EINVAL;
    }

    if (bytes > BYTES_MAX || reserve_bytes > BYTES_MAX) {
        return -ENOMEM;
    }

    int cancel_state;
    int32_t status = heca_session_enter(&cancel_state);
    if (status != 0) {
        return status;
    }

    char *base = NULL;
    status = allocate(round_up(bytes), round_up(reserve_bytes), &base);
    heca_session_leave(cancel_state);
    if (status == 0) {
        *address = base; /* outside the lock: it may lie in sponsored memory */
    }

    return status;
}

int32_t heca_segment_free(void *address) {
    int cancel_state;
    int32_t status = heca_session_enter(&cancel_state);
    if (status != 0) {
        return status;
    }

    struct segment *segment = find(address);
    struct heca_message message = {.kind = HECA_MESSAGE_FREE, .address = (uintptr_t)address};
    status = segment == NULL ? -EINVAL : heca_session_request(&heca_session, &message);

    /* A pager that does not know it: its predecessor died between freeing it and saying so. */
    if (status == 0 || (status == -EINVAL && segment != NULL)) {
        status = 0;
        withdraw(segment);
        dismiss(address, segment->bytes);
        munmap(address, segment->reserve_bytes + HECA_PAGE_BYTES);
    }

    heca_session_leave(cancel_state);
    return status;
}

static void set_length(struct segment *segment, uint64_t size, uint64_t bytes) {
    __atomic_store_n(&segment->bytes, bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&segment->size, size, __ATOMIC_RELEASE);
}

static int32_t resize(struct segment *segment, uint64_t bytes) {
    char *base = (char *)(uintptr_t)segment->address;
    uint64_t before = segment->bytes;
    if (bytes > segment->reserve_bytes) {
        return -ENOMEM;
    }

    if (bytes == before) {
        return 0;
    }

    int32_t status = bytes > before ? enlist(base + before, bytes - before) : 0;
    if (status != 0) {
        return status;
    }

    uint64_t longer = bytes > before ? bytes : before;
    set_length(segment, bytes > before ? before : bytes, longer);
    struct heca_message message = {.kind = HECA_MESSAGE_RESIZE, .address = segment->address, .bytes = bytes};
    status = heca_session_request(&heca_session, &message);
    uint64_t now = status == 0 ? bytes : before;
    if (now < longer) {
        dismiss(base + now, longer - now);
    }

    set_length(segment, now, now);
    return status;
}

int32_t heca_segment_resize_from_outside(struct session *session, uint64_t address, uint64_t bytes) {
    /* Who holds the lock may wait for the pager, which waits for this thread. */
    if (pthread_mutex_trylock(&session->lock) != 0) {
        return -EAGAIN;
    }

    struct segment *segment = find((const void *)(uintptr_t)address);
    int32_t status = segment == NULL || bytes == 0 ? -EINVAL : bytes > segment->reserve_bytes ? -ENOMEM : 0;
    if (status == 0) {
        char *base = (char *)(uintptr_t)address;
        uint64_t before = segment->bytes;
        if (bytes > before) {
            status = enlist(base + before, bytes - before);
            bytes = status == 0 ? bytes : before;
            set_length(segment, bytes, bytes);
        } else if (bytes < before) {
            /* Told before it is so: who asks how much there is must not be given what is about to go. And pages that
             * could still be touched would be zeros once the range is no more the pager's. */
            set_length(segment, bytes, before);
            status = mprotect(base + bytes, before - bytes, PROT_NONE) == 0 ? 0 : -ENOMEM;
            if (status == 0) {
                dismiss(base + bytes, before - bytes);
            }

            bytes = status == 0 ? bytes : before;
            set_length(segment, bytes, bytes);
        }
    }

    pthread_mutex_unlock(&session->lock);
    return status;
}

int32_t heca_segment_size(const void *address, uint64_t *bytes) {
    uint32_t used = __atomic_load_n(&segments_used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < used && address != NULL && bytes != NULL; i++) {
        if (__atomic_load_n(&segments[i].address, __ATOMIC_ACQUIRE) == (uintptr_t)address) {
            *bytes = __atomic_load_n(&segments[i].size, __ATOMIC_ACQUIRE);
            return 0;
        }
    }

    return -EINVAL;
}

int32_t heca_segment_resize(void *address, uint64_t bytes) {
    if (bytes == 0) {
        return -EINVAL;
    }

    if (bytes > BYTES_MAX) {
        return -ENOMEM;
    }

    int cancel_state;
    int32_t status = heca_session_enter(&cancel_state);
    if (status != 0) {
        return status;
    }

    struct segment *segment = find(address);
    status = segment == NULL ? -EINVAL : resize(segment, round_up(bytes));
    heca_session_leave(cancel_state);
    return status;
}

static int32_t advise(uint64_t address, uint64_t bytes, int32_t advice) {
    uint64_t first = round_up(address);
    uint64_t end = (address + bytes) & ~(HECA_PAGE_BYTES - 1);
    uint64_t page = address & ~(HECA_PAGE_BYTES - 1);
    if (!heca_segments_contain(page, round_up(address + bytes) - page)) {
        return -EINVAL;
    }

    if (end <= first) {
        return 0; /* not one whole page */
    }

    struct heca_message message = {
        .kind = HECA_MESSAGE_ADVISE, .address = first, .bytes = end - first, .value0 = (uint64_t)advice};
    return heca_session_request(&heca_session, &message);
}

int32_t heca_segment_advise(void *address, uint64_t bytes, int32_t advice) {
    if (address == NULL || bytes == 0 || bytes > BYTES_MAX || (uintptr_t)address > BYTES_MAX ||
        advice < HECA_ADVICE_NORMAL || advice > HECA_ADVICE_PAGE_OUT) {
        return -EINVAL;
    }

    int cancel_state;
    int32_t status = heca_session_enter(&cancel_state);
    if (status != 0) {
        return status;
    }

    status = advise((uintptr_t)address, bytes, advice);
    heca_session_leave(cancel_state);
    return status;
}
