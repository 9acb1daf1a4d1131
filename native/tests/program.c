/*
 * program.c: a program for the end-to-end tests to put under a real pager. One mode per question; it says "ready" where
 * the test is to act and waits for a line, prints what it saw, and exits 0 only if every byte was right.
 *
 *   heca-test-program lost MIB      fill, page out, "ready"; after a line: touch; SIGBUS is answered with "SIGBUS" and
 * exit 7 heca-test-program idle MIB      fill, walk, "ready"; after a line: verify heca-test-program walk MIB THREADS
 * ROUNDS   threads increment counters in random pages, then all are checked heca-test-program resize MIB    grow to 4
 * times and shrink again, four times, with a verifying writer running heca-test-program full MIB      allocate; prints
 * "refused ERRNO" heca-test-program zeros MIB     read every page, then write some: all others must read as zero, and
 * none is remote heca-test-program advise MIB    every advice, with what it must do to the contents heca-test-program
 * churn MIB ALLOCATIONS   allocate, fill, check and free, over and over
 *   heca-test-program rearrange MIB THREADS ROUNDS EPOCHS   see rearrange.c
 *   heca-test-program elastic MIB THREADS, sparse GIB PAGES SEED   see elastic.c
 *   heca-test-program filled MIB   as idle, without the walk: its last pages are here, and changed
 *   heca-test-program locked MIB all|segment   locks its memory, then fills it
 *   heca-test-program killed MIB free|out   dies by SIGKILL while the evictor carries out what a request waits for
 */
#include "elastic.h"
#include "rearrange.h"

#include <heca.h>

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096u
#define WORDS (PAGE / 8)

static uint64_t *memory;
static uint64_t pages;
static atomic_int stop;

static void die(const char *what, int32_t status) {
    printf("%s: %s\n", what, strerror(-status));
    exit(1);
}

static void check(int32_t status, const char *what) {
    if (status != 0) {
        die(what, status);
    }
}

static uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static void allocate(uint64_t mib) {
    pages = mib * 256;
    check(heca_segment_allocate(pages * PAGE, 0, (void **)&memory), "allocate");
}

static void fill_page(uint64_t page) {
    for (uint64_t i = 0; i < WORDS; i++) {
        memory[page * WORDS + i] = mix(page * WORDS + i);
    }
}

static void verify_page(uint64_t page) {
    for (uint64_t i = 0; i < WORDS; i++) {
        if (memory[page * WORDS + i] != mix(page * WORDS + i)) {
            printf("page %lu word %lu is wrong\n", page, i);
            exit(1);
        }
    }
}

static void for_all(void (*action)(uint64_t)) {
    for (uint64_t page = 0; page < pages; page++) {
        action(page);
    }
}

static void ready(void) {
    char line[64];
    puts("ready");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) {
        exit(1);
    }
}

static void on_sigbus(int signal) {
    (void)signal;
    static const char text[] = "SIGBUS\n";
    (void)!write(1, text, sizeof text - 1);
    _exit(7);
}

static int lost(void) {
    for_all(fill_page);
    check(heca_segment_advise(memory, pages * PAGE, HECA_ADVICE_PAGE_OUT), "page out");
    signal(SIGBUS, on_sigbus);
    ready();
    for_all(verify_page);
    puts("all there");
    return 0;
}

static int idle(bool reads) {
    for_all(fill_page);
    if (reads) {
        for_all(verify_page);
    }

    ready();
    for_all(verify_page);
    puts("ok");
    return 0;
}

/* Word 0 of a page counts its increments; each thread knows what it added in all. */
struct walker {
    pthread_t thread;
    uint64_t seed, rounds, added;
};

static void wrong_page(uint64_t page, uint64_t found) {
    uint64_t other = 0;
    while (other < pages && mix(other) != found) {
        other++;
    }
    printf("page %lu has %s %lu, word 0 is %lu, now it has %s\n", page,
           other < pages ? "the contents of page" : "neither page's:", other < pages ? other : found,
           memory[page * WORDS], memory[page * WORDS + 1] == mix(page) ? "its own" : "still not its own");
    exit(1);
}

static void *walk(void *argument) {
    struct walker *walker = argument;
    for (uint64_t i = 0; i < walker->rounds; i++) {
        uint64_t page = mix(walker->seed + i) % pages;
        if (memory[page * WORDS + 1] != mix(page)) {
            wrong_page(page, memory[page * WORDS + 1]);
        }
        __atomic_fetch_add(&memory[page * WORDS], page + 1, __ATOMIC_RELAXED);
        walker->added += page + 1;
    }
    return NULL;
}

static int walk_all(unsigned threads, uint64_t rounds) {
    struct walker walkers[64] = {0};
    for (uint64_t page = 0; page < pages; page++) {
        memory[page * WORDS + 1] = mix(page);
    }
    for (unsigned i = 0; i < threads && i < 64; i++) {
        walkers[i].seed = (uint64_t)i << 40;
        walkers[i].rounds = rounds;
        pthread_create(&walkers[i].thread, NULL, walk, &walkers[i]);
    }
    uint64_t added = 0, found = 0;
    for (unsigned i = 0; i < threads && i < 64; i++) {
        pthread_join(walkers[i].thread, NULL);
        added += walkers[i].added;
    }
    for (uint64_t page = 0; page < pages; page++) {
        found += memory[page * WORDS];
    }
    puts(found == added ? "ok" : "an increment is lost");
    return found == added ? 0 : 1;
}

static void *keep_verifying(void *argument) {
    uint64_t first = *(uint64_t *)argument;
    for (uint64_t i = 0; !stop; i++) {
        uint64_t page = mix(i) % first;
        verify_page(page);
        fill_page(page);
    }
    return NULL;
}

static int resize(uint64_t mib) {
    pthread_t verifier;
    uint64_t small = pages;
    for_all(fill_page);
    pthread_create(&verifier, NULL, keep_verifying, &small);
    for (int round = 0; round < 4; round++) {
        check(heca_segment_resize(memory, 4 * mib << 20), "grow");
        pages = 4 * small;
        for (uint64_t page = small; page < pages; page++) {
            if (memory[page * WORDS] != 0) {
                puts("a new page is not zero");
                return 1;
            }
            fill_page(page);
        }
        for (uint64_t page = small; page < pages; page++) {
            verify_page(page);
        }
        check(heca_segment_resize(memory, mib << 20), "shrink");
        pages = small;
    }
    stop = 1;
    pthread_join(verifier, NULL);
    for_all(verify_page);
    puts("ok");
    return 0;
}

static int zeros(void) {
    uint64_t sum = 0;
    for (uint64_t page = 0; page < pages; page++) {
        sum += memory[page * WORDS];
    }
    struct heca_statistics statistics;
    check(heca_statistics_read(&statistics), "statistics");
    if (sum != 0 || statistics.pages_in != 0 || statistics.pages_out != 0) {
        puts("reading untouched memory used the network");
        return 1;
    }
    for (uint64_t page = 0; page < pages; page += 7) {
        fill_page(page);
    }
    for (uint64_t page = 0; page < pages; page++) {
        if (page % 7 == 0) {
            verify_page(page);
        } else if (memory[page * WORDS + 5] != 0) {
            puts("an untouched page is not zero");
            return 1;
        }
    }
    puts("ok");
    return 0;
}

static int advise(void) {
    struct heca_statistics before, after;
    for_all(fill_page);
    check(heca_segment_advise(memory, pages * PAGE, HECA_ADVICE_PAGE_OUT), "page out");
    /* They have left the segment; what staging still holds goes back to the kernel in its own time. */
    do {
        check(heca_statistics_read(&before), "statistics");
    } while (before.resident_bytes > 0);
    check(heca_segment_advise(memory, 64 * PAGE, HECA_ADVICE_WILL_NEED), "will need");
    do {
        check(heca_statistics_read(&after), "statistics");
    } while (after.resident_bytes < before.resident_bytes + 64 * PAGE);
    check(heca_segment_advise(memory, pages * PAGE, HECA_ADVICE_SEQUENTIAL), "sequential");
    for_all(verify_page);
    check(heca_segment_advise(memory, pages * PAGE, HECA_ADVICE_RANDOM), "random");
    check(heca_segment_advise(memory, pages * PAGE, HECA_ADVICE_NORMAL), "normal");
    check(heca_segment_advise(memory, pages / 2 * PAGE, HECA_ADVICE_DONT_NEED), "don't need");
    for (uint64_t page = 0; page < pages; page++) {
        if (page >= pages / 2) {
            verify_page(page);
        } else if (memory[page * WORDS] != 0) {
            puts("a page that is not needed is not zero");
            return 1;
        }
    }
    puts("ok");
    return 0;
}

static int churn(uint64_t mib, uint64_t rounds) {
    for (uint64_t round = 0; round < rounds; round++) {
        allocate(mib);
        for_all(fill_page);
        for_all(verify_page);
        check(heca_segment_free(memory), "free");
    }
    struct heca_statistics statistics;
    check(heca_statistics_read(&statistics), "statistics");
    puts(statistics.resident_bytes == 0 && statistics.remote_bytes == 0 ? "ok" : "freed memory is still held");
    return statistics.resident_bytes == 0 && statistics.remote_bytes == 0 ? 0 : 1;
}

static atomic_int dies_in_madvise;

/* In place of the C library's, for libheca as well. */
__attribute__((visibility("default"))) int madvise(void *address, size_t bytes, int advice) {
    if (dies_in_madvise) {
        kill(getpid(), SIGKILL);
    }
    return (int)syscall(SYS_madvise, address, bytes, advice);
}

static int locked(const char *what) {
    int status = strcmp(what, "all") == 0 ? mlockall(MCL_CURRENT) : mlock(memory, pages * PAGE);
    if (status != 0) {
        perror("mlock");
        return 1;
    }
    for (int round = 0; round < 8; round++) {
        for_all(fill_page);
        for_all(verify_page);
    }
    puts("ok");
    return 0;
}

static int killed(const char *request) {
    for_all(fill_page);
    dies_in_madvise = 1;
    if (strcmp(request, "free") == 0) {
        check(heca_segment_free(memory), "free");
    } else {
        check(heca_segment_advise(memory, pages * PAGE, HECA_ADVICE_PAGE_OUT), "page out");
    }
    puts("alive");
    return 1;
}

int main(int argc, char **argv) {
    uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    if (mib == 0) {
        fprintf(stderr, "usage: heca-test-program MODE MIB ...\n");
        return 2;
    }
    if (strcmp(argv[1], "full") == 0) {
        int32_t status = heca_segment_allocate(mib << 20, 0, (void **)&memory);
        printf("refused %d\n", -status);
        return status == 0 ? 1 : 0;
    }
    if (strcmp(argv[1], "churn") == 0) {
        return churn(mib, strtoull(argv[3], NULL, 10));
    }
    if (strcmp(argv[1], "elastic") == 0) {
        return elastic(mib, (unsigned)atoi(argv[3]));
    }
    if (strcmp(argv[1], "sparse") == 0) {
        return sparse(mib, strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
    }
    if (strcmp(argv[1], "rearrange") == 0) {
        return rearrange(mib, (unsigned)atoi(argv[3]), strtoull(argv[4], NULL, 10), (unsigned)atoi(argv[5]));
    }
    allocate(mib);
    if (strcmp(argv[1], "lost") == 0) {
        return lost();
    }
    if (strcmp(argv[1], "idle") == 0) {
        return idle(true);
    }
    if (strcmp(argv[1], "filled") == 0) {
        return idle(false);
    }
    if (strcmp(argv[1], "locked") == 0) {
        return locked(argv[3]);
    }
    if (strcmp(argv[1], "killed") == 0) {
        return killed(argv[3]);
    }
    if (strcmp(argv[1], "walk") == 0) {
        return walk_all((unsigned)atoi(argv[3]), strtoull(argv[4], NULL, 10));
    }
    if (strcmp(argv[1], "resize") == 0) {
        return resize(mib);
    }
    if (strcmp(argv[1], "zeros") == 0) {
        return zeros();
    }
    return strcmp(argv[1], "advise") == 0 ? advise() : 2;
}
