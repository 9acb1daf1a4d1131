/*
 * staging.c: the staging area, where pages taken out of a segment stay until the pager has read them and their
 * write-back is acknowledged. The pager decides which of its pages are in use; here it is only address space.
 */
#include "internal.h"
#include "kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define STAGING_BYTES (HECA_STAGING_PAGES * HECA_PAGE_BYTES)

/* A fork in another thread can share the probe's page just when it is to be moved (EBUSY). */
#define PROBE_TRIES_MAX 8

bool heca_staging_contains(const struct staging *staging, uint64_t address, uint64_t bytes) {
    uint64_t base = (uintptr_t)staging->base;
    return address % HECA_PAGE_BYTES == 0 && address >= base && bytes <= STAGING_BYTES &&
           address - base <= STAGING_BYTES - bytes;
}

/* Moves one page for real: a kernel can announce UFFDIO_MOVE and a seccomp filter or an architecture still refuse it.
 */
static bool try_move(const struct staging *staging) {
    char *scratch = mmap(NULL, HECA_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (scratch == MAP_FAILED) {
        return false;
    }

    int32_t status = -EBUSY;
    for (int tries = 0; status == -EBUSY && tries < PROBE_TRIES_MAX; tries++) {
        *(volatile char *)scratch = 1; /* a write makes the page ours alone again */
        heca_userfault_move(staging->userfault.descriptor, staging->base, scratch, HECA_PAGE_BYTES, &status);
    }

    bool moved = status == 0 && *(volatile char *)staging->base == 1;
    madvise(staging->base, HECA_PAGE_BYTES, MADV_DONTNEED);
    munmap(scratch, HECA_PAGE_BYTES);
    return moved;
}

char *heca_map_private(uint64_t bytes, int more_flags) {
    char *base =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | more_flags, -1, 0);
    if (base == MAP_FAILED) {
        return NULL;
    }

    munlock(base, bytes); /* of a program under mlockall(MCL_FUTURE) */
    madvise(base, bytes, MADV_NOHUGEPAGE);
    madvise(base, bytes, MADV_DONTFORK);
    return base;
}

/* As heca_map_private, without a page in it. */
static char *map_empty(uint64_t bytes) {
    char *base = heca_map_private(bytes, 0);
    if (base != NULL) {
        madvise(base, bytes, MADV_DONTNEED);
    }

    return base;
}

int32_t heca_staging_open(struct staging *staging, bool *can_move) {
    *can_move = false;
    char *base = map_empty(STAGING_BYTES);
    if (base == NULL) {
        return -ENOMEM;
    }

    staging->base = base;

    const char *choice = getenv("HECA_TAKE");
    if (choice != NULL && strcmp(choice, "copy") == 0) {
        return 0;
    }

    /* UFFDIO_MOVE wants its destination registered with the descriptor it is called on, and only that. A descriptor of
     * its own without event features keeps the program's faults and events out of the evictor's way. */
    if (heca_userfault_open(HECA_UFFD_FEATURE_MOVE, &staging->userfault) != 0) {
        return 0;
    }

    int32_t status =
        heca_userfault_register(staging->userfault.descriptor, base, STAGING_BYTES, UFFDIO_REGISTER_MODE_MISSING);
    if (status == 0 && try_move(staging)) {
        *can_move = true;
    } else {
        /* Pages will be copied in. A copy touches missing pages, and nobody answers for this descriptor: closing it
         * takes the registration away. */
        heca_close(&staging->userfault.descriptor);
    }

    return 0;
}

int32_t heca_staging_open_gate(struct staging *staging, int descriptor) {
    if (staging->gate == NULL) {
        staging->gate = map_empty(HECA_GATE_PAGES * HECA_PAGE_BYTES);
    }

    /* A forked child has its descriptor only later. */
    return staging->gate == NULL ? -ENOMEM
           : descriptor < 0      ? 0
                                 : heca_userfault_register(descriptor, staging->gate, HECA_GATE_PAGES * HECA_PAGE_BYTES,
                                                           UFFDIO_REGISTER_MODE_MISSING);
}

void heca_staging_close(struct staging *staging) {
    heca_close(&staging->userfault.descriptor);
    if (staging->gate != NULL) {
        munmap(staging->gate, HECA_GATE_PAGES * HECA_PAGE_BYTES);
        staging->gate = NULL;
    }

    if (staging->base != NULL) {
        munmap(staging->base, STAGING_BYTES);
        staging->base = NULL;
    }
}
