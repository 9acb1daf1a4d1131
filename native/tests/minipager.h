/*
 * minipager.h: a pager for tests of libheca. It speaks all of handover.h, keeps the pages that are not resident in its
 * own memory instead of a sponsor's, and checks what libheca tells it. One program, one thread, no speed.
 */
#ifndef MINIPAGER_H
#define MINIPAGER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct minipager_options {
    uint64_t resident_pages_max; /* above it, runs are taken out; 0: no bound */
    uint64_t segment_bytes_max;  /* more in all is refused with ENOSPC; 0: no bound */
    uint64_t stop_after_ms;      /* the answer to HELLO */
    bool pattern;                /* a page's first fault finds minipager_pattern, not zeros */
    bool wrong_version;          /* answers as a pager of another version */
    uint64_t die_after_faults;   /* dies by SIGKILL instead of answering that fault; 0: never */
};

struct minipager_counts {
    uint64_t faults;
    uint64_t pages_taken;
    uint64_t pages_recycled;
    uint64_t pages_dropped;
    uint64_t faults_on_leaving; /* on pages that were being taken */
    uint32_t can;
};

/* Ends the process with MINIPAGER_SKIPPED where this user may not make a userfaultfd; with 1 if HECA_REQUIRE names it.
 */
#define MINIPAGER_SKIPPED 77
void minipager_require_userfaultfd(void);

/* A listening socket at `path`. */
int minipager_listen(const char *path);

/* Serves one session until the program has gone. Prints and exits with 1 on anything that is wrong; the counts are of
 * the whole session. */
struct minipager_counts minipager_serve(int listener, const struct minipager_options *options);

/* Word `word` of page `page` (counted from the start of its segment) under `pattern`. */
uint64_t minipager_pattern(uint64_t page, uint64_t word);

#endif
