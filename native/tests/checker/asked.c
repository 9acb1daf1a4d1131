/* asked.c: memory that the program asks for, by heca.h. */
#include "checker.h"

#include <errno.h>
#include <heca.h>
#include <stddef.h>
#include <string.h>

const char *const memory_kind = "asked";

/* ENOSPC is documented to happen, others to be a mistake of the program's, or that no other pager comes for one that
 * dies. */
static bool is_done(int32_t status, const char *what) {
    if (status != 0 && status != -ENOSPC) {
        wrong("%s: %s", what, strerror(-status));
    }

    return status == 0;
}

bool memory_make(char **memory, uint64_t pages, uint64_t pages_max) {
    return is_done(heca_segment_allocate(pages * PAGE, pages_max * PAGE, (void **)memory), "heca_segment_allocate");
}

void memory_free(char *memory, uint64_t pages) {
    (void)pages;
    (void)is_done(heca_segment_free(memory), "heca_segment_free");
}

bool memory_resize(char **memory, uint64_t before, uint64_t after) {
    (void)before;
    return is_done(heca_segment_resize(*memory, after * PAGE), "heca_segment_resize");
}

void memory_discard(struct worker *worker, char *memory, uint64_t pages) {
    (void)worker;
    (void)is_done(heca_segment_advise(memory, pages * PAGE, HECA_ADVICE_DONT_NEED), "HECA_ADVICE_DONT_NEED");
}

void memory_stir(struct worker *worker, struct area *area) {
    static const int32_t advices[] = {HECA_ADVICE_NORMAL,    HECA_ADVICE_RANDOM,   HECA_ADVICE_SEQUENTIAL,
                                      HECA_ADVICE_WILL_NEED, HECA_ADVICE_PAGE_OUT, HECA_ADVICE_PAGE_OUT};
    if (area->pages == 0) {
        return;
    }

    uint64_t first = draw(worker, area->pages), pages = 1 + draw(worker, area->pages - first);
    int32_t advice = advices[draw(worker, sizeof advices / sizeof advices[0])];
    worker->counts.advices++;
    int32_t status = heca_segment_advise(area->memory + first * PAGE, pages * PAGE, advice);

    /* Where all sponsors are lost nothing can be moved out. */
    if (status != -EIO || !settings.may_lose) {
        (void)is_done(status, "heca_segment_advise");
    }
}

/* What was asked for stays with the parent. */
void memory_fork(struct worker *worker) {
    (void)worker;
}

void memory_await_children(bool all) {
    (void)all;
}
