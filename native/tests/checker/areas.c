/* areas.c: what the workers do with their memory, each by a stream of random numbers of its own. */
#include "checker.h"

#include <unistd.h>

#define PAUSE_US 20000

struct area areas[AREAS_MAX];

static pthread_barrier_t all_over;

static uint64_t id_of(const struct area *area, uint64_t page) {
    return (uint64_t)area->number << 32 | page;
}

static void forget(struct area *area, uint64_t first, uint64_t end) {
    for (uint64_t page = first; page < end; page++) {
        area->states[page] = 0;
    }
}

static bool make(struct area *area, uint64_t pages) {
    bool is_made = memory_make(&area->memory, pages, area->pages_max);
    area->pages = is_made ? pages : 0;
    forget(area, 0, area->pages_max);
    return is_made;
}

void make_areas(void) {
    pthread_rwlockattr_t writers_first; /* else readers, of whom there is always one, keep them out */
    pthread_rwlockattr_init(&writers_first);
    pthread_rwlockattr_setkind_np(&writers_first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&world, &writers_first);
    pthread_barrier_init(&all_over, NULL, settings.threads);
    uint64_t pages = (settings.mib << 20) / PAGE / settings.areas;
    for (unsigned i = 0; i < settings.areas; i++) {
        struct area *area = &areas[i];
        area->number = i;
        area->pages_max = pages * 3 / 2;
        area->states = map_shared(area->pages_max * sizeof *area->states);
        pthread_rwlock_init(&area->lock, &writers_first);
        if (!make(area, pages)) {
            wrong("area %u: no sponsor has room for it", i);
        }
    }
}

/* ------------------------------------------------------------------------------------------------ of one page */

/* A page of the worker's; often one of the first, so that some are used again soon. */
static uint64_t own_page(struct worker *worker, const struct area *area) {
    uint64_t own = area->pages / settings.threads, part = draw(worker, 3) == 0 ? own / 8 + 1 : own;
    return draw(worker, part < own ? part : own) * settings.threads + worker->number;
}

static void use_page(struct worker *worker, struct area *area, uint64_t page, bool writes) {
    bool through_kernel = draw(worker, 8) == 0;
    (writes ? write_page : read_page)(worker, area->memory + page * PAGE, id_of(area, page), &area->states[page],
                                      through_kernel);
}

static void use_some(struct worker *worker, struct area *area, unsigned kind) {
    if (area->pages < settings.threads) {
        return;
    }

    uint64_t page = own_page(worker, area);
    if (kind < 45) {
        use_page(worker, area, page, false);
    } else if (kind < 78) {
        use_page(worker, area, page, true);
    } else if (kind < 96) {
        page = draw(worker, area->pages);
        glance_at_page(worker, area->memory + page * PAGE, id_of(area, page), &area->states[page]);
    } else {
        /* A stream, forwards, that prefetch sees. */
        for (int i = 0; i < 64 && page < area->pages; i++, page += settings.threads) {
            use_page(worker, area, page, kind == 99);
        }
    }
}

/* ------------------------------------------------------------------------------------------------ of ranges */

static void discard(struct worker *worker, struct area *area) {
    if (area->pages == 0) {
        return;
    }

    uint64_t most = draw(worker, 8) == 0 ? area->pages : 32, first = draw(worker, area->pages);
    uint64_t pages = 1 + draw(worker, most), end = first + pages < area->pages ? first + pages : area->pages;
    worker->counts.discards++;
    memory_discard(worker, area->memory + first * PAGE, end - first);
    forget(area, first, end);
}

static void resize(struct worker *worker, struct area *area) {
    uint64_t before = area->pages, after = area->pages_max / 3 + draw(worker, area->pages_max * 2 / 3);
    if (before == 0 || after == before) {
        return;
    }

    if (!memory_resize(&area->memory, before, after)) {
        worker->counts.refused++;
        return;
    }

    *(after > before ? &worker->counts.grows : &worker->counts.shrinks) += 1;
    area->pages = after;
    forget(area, after < before ? after : before, area->pages_max);
}

static void renew(struct worker *worker, struct area *area) {
    if (area->pages > 0) {
        memory_free(area->memory, area->pages);
    }

    worker->counts.renewals++;
    worker->counts.refused += !make(area, area->pages_max / 3 + draw(worker, area->pages_max * 2 / 3));
}

static void change(struct worker *worker, struct area *area, unsigned kind) {
    if (kind < 120) {
        discard(worker, area);
    } else if (kind < 180) {
        resize(worker, area);
    } else if (kind < 270) {
        memory_stir(worker, area);
    } else {
        renew(worker, area);
    }
}

/* ------------------------------------------------------------------------------------------------ workers */

static void step(struct worker *worker) {
    /* All that decides what is done is drawn here, whatever comes of it. */
    struct area *area = &areas[draw(worker, settings.areas)];
    unsigned kind = (unsigned)draw(worker, 10000);
    pthread_rwlock_rdlock(&world);
    bool changes = kind < 280;
    if (changes) {
        worker->doing = "a change";
        pthread_rwlock_wrlock(&area->lock);
        change(worker, area, kind);
    } else {
        worker->doing = "a page";
        pthread_rwlock_rdlock(&area->lock);
        use_some(worker, area, kind % 100);
    }

    pthread_rwlock_unlock(&area->lock);
    pthread_rwlock_unlock(&world);
    worker->doing = "nothing";
    __atomic_add_fetch(&worker->counts.operations, 1, __ATOMIC_RELAXED);
    if (kind >= 9997) {
        worker->doing = "a fork";
        memory_fork(worker);
    }
}

/* All pages that are the worker's; all there are where they are 1 apart. */
static void use_own(struct worker *worker, unsigned apart, bool writes) {
    for (unsigned i = 0; i < settings.areas; i++) {
        struct area *area = &areas[i];
        pthread_rwlock_rdlock(&area->lock);
        for (uint64_t page = worker->number; page < area->pages; page += apart) {
            use_page(worker, area, page, writes);
            __atomic_add_fetch(&worker->counts.operations, 1, __ATOMIC_RELAXED);
        }

        pthread_rwlock_unlock(&area->lock);
    }
}

void *work(void *argument) {
    struct worker *worker = argument;
    worker->doing = "filling all";
    pthread_rwlock_rdlock(&world);
    use_own(worker, settings.threads, true);
    pthread_rwlock_unlock(&world);
    while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
        step(worker);
    }

    worker->doing = "waiting for the others";
    pthread_barrier_wait(&all_over);
    worker->doing = "reading all";
    use_own(worker, settings.threads, false);
    return NULL;
}

void work_alone(struct worker *worker, uint64_t operations) {
    for (uint64_t i = 0; i < operations; i++) {
        worker->number = (unsigned)draw(worker, settings.threads);
        use_some(worker, &areas[draw(worker, settings.areas)], (unsigned)draw(worker, 100));
    }

    worker->number = 0;
    use_own(worker, 1, false);
}
