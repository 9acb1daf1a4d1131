/*
 * rearrange.c: threads that keep changing their address space under the pager: madvise, munmap and mmap of something
 * else in the same place, mremap from one segment into another, all on pages that are leaving and coming at that
 * moment. Each thread has a part of both segments to itself and knows what every page of it must hold.
 */
#include "rearrange.h"

#include <heca.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096ull
#define WORDS (PAGE / 8)
#define RUN_MAX 48
#define THREADS_MAX 16

struct part {
    char *area[2];
    uint64_t *stamps[2]; /* per page: 0, or what its words are made of */
    uint64_t *maps[2];   /* per page: the call that made its mapping; 0 the segment's */
    uint64_t calls;
    uint64_t pages, rounds, state;
    const char *wrong;
    pthread_t thread;
};

static uint64_t next(struct part *part) {
    part->state ^= part->state << 13;
    part->state ^= part->state >> 7;
    part->state ^= part->state << 17;
    return part->state;
}

static uint64_t word_of(uint64_t stamp, uint64_t word) {
    return stamp == 0 ? 0 : stamp * (2 * word + 1);
}

static void stamp_page(struct part *part, int area, uint64_t page) {
    uint64_t stamp = next(part) | 1;
    uint64_t *words = (uint64_t *)(part->area[area] + page * PAGE);
    for (uint64_t i = 0; i < WORDS; i += 73) {
        words[i] = word_of(stamp, i);
    }
    part->stamps[area][page] = stamp;
}

static int is_right(struct part *part, int area, uint64_t page) {
    const uint64_t *words = (const uint64_t *)(part->area[area] + page * PAGE);
    for (uint64_t i = 0; i < WORDS; i += 73) {
        if (words[i] != word_of(part->stamps[area][page], i)) {
            static char text[160];
            snprintf(text, sizeof text, "area %d page %llu word %llu is %llx, its stamp is %llx", area,
                     (unsigned long long)page, (unsigned long long)i, (unsigned long long)words[i],
                     (unsigned long long)part->stamps[area][page]);
            part->wrong = text;
            return 0;
        }
    }
    return 1;
}

/* Something else in the place of [first, first + count) of an area, at once, and with contents of its own. */
static int replace(struct part *part, int area, uint64_t first, uint64_t count) {
    char *place = part->area[area] + first * PAGE;
    if (mmap(place, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != place) {
        part->wrong = "mmap failed";
        return 0;
    }
    part->calls++;
    for (uint64_t i = 0; i < count; i++) {
        part->maps[area][first + i] = part->calls;
        stamp_page(part, area, first + i);
    }
    return 1;
}

/* The pages of one mapping from `first` on, at most `count`: mremap moves no more at once. */
static uint64_t of_one_mapping(const struct part *part, int area, uint64_t first, uint64_t count) {
    uint64_t same = 1;
    while (same < count && part->maps[area][first + same] == part->maps[area][first]) {
        same++;
    }
    return same;
}

static int change(struct part *part) {
    int area = (int)(next(part) % 2);
    uint64_t first = next(part) % part->pages;
    uint64_t count = 1 + next(part) % RUN_MAX;
    count = count < part->pages - first ? count : part->pages - first;
    char *place = part->area[area] + first * PAGE;
    switch (next(part) % 4) {
    case 0:
        return replace(part, area, first, count);
    case 1: {
        char *target = part->area[1 - area] + first * PAGE;
        count = of_one_mapping(part, area, first, count);
        if (mremap(place, count * PAGE, count * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) != target) {
            part->wrong = "mremap failed";
            return 0;
        }
        part->calls++;
        for (uint64_t i = 0; i < count; i++) {
            part->maps[1 - area][first + i] = part->calls;
        }
        memcpy(&part->stamps[1 - area][first], &part->stamps[area][first], count * sizeof(uint64_t));
        return replace(part, area, first, count);
    }
    default:
        if (madvise(place, count * PAGE, MADV_DONTNEED) != 0) {
            part->wrong = "madvise failed";
            return 0;
        }
        memset(&part->stamps[area][first], 0, count * sizeof(uint64_t));
        return is_right(part, area, first + next(part) % count);
    }
}

static void *work(void *argument) {
    struct part *part = argument;
    for (uint64_t round = 0; round < part->rounds && part->wrong == NULL; round++) {
        int area = (int)(next(part) % 2);
        uint64_t page = next(part) % part->pages;
        if (is_right(part, area, page)) {
            stamp_page(part, area, page);
        }
        if (next(part) % 64 == 0) {
            (void)change(part);
        }
    }
    for (uint64_t page = 0; page < part->pages && part->wrong == NULL; page++) {
        (void)(is_right(part, 0, page) && is_right(part, 1, page));
    }
    return NULL;
}

/* Segments of its own, for what was replaced in them is nobody's but the program's. */
static const char *epoch(uint64_t mib, unsigned threads, uint64_t rounds, uint64_t seed) {
    struct part parts[THREADS_MAX] = {0};
    char *area[2];
    for (int i = 0; i < 2; i++) {
        int32_t status = heca_segment_allocate(mib << 19, 0, (void **)&area[i]);
        if (status != 0) {
            return strerror(-status);
        }
    }
    uint64_t pages = (mib << 19) / PAGE / threads;
    for (unsigned t = 0; t < threads; t++) {
        parts[t] = (struct part){.pages = pages, .rounds = rounds, .state = seed * 1000003 + t + 1};
        for (int i = 0; i < 2; i++) {
            parts[t].area[i] = area[i] + t * pages * PAGE;
            parts[t].stamps[i] = calloc(pages, sizeof(uint64_t));
            parts[t].maps[i] = calloc(pages, sizeof(uint64_t));
        }
        pthread_create(&parts[t].thread, NULL, work, &parts[t]);
    }
    const char *wrong = NULL;
    for (unsigned t = 0; t < threads; t++) {
        pthread_join(parts[t].thread, NULL);
        wrong = parts[t].wrong != NULL ? parts[t].wrong : wrong;
        for (int i = 0; i < 2; i++) {
            free(parts[t].stamps[i]);
            free(parts[t].maps[i]);
        }
    }
    for (int i = 0; i < 2 && wrong == NULL; i++) {
        wrong = heca_segment_free(area[i]) == 0 ? NULL : "free failed";
    }
    return wrong;
}

int rearrange(uint64_t mib, unsigned threads, uint64_t rounds, unsigned epochs) {
    threads = threads == 0 || threads > THREADS_MAX ? 1 : threads;
    for (unsigned i = 1; i <= epochs; i++) {
        const char *wrong = epoch(mib, threads, rounds, i);
        if (wrong != NULL) {
            printf("epoch %u: %s\n", i, wrong);
            return 1;
        }
    }
    puts("ok");
    return 0;
}
