/* asked.c: memory that the program asks for, by heca.h. */
#include "checker.h"

#include <errno.h>
#include <heca.h>
#include <stddef.h>
#include <string.h>

const char *const memory_kind = "asked";

/* ENOSPC and ENOTCONN are documented to happen, the others to be a mistake of the program's. */
static enum outcome outcome_of(int32_t status, const char *what) {
    switch (status) {
    case 0:
        return OUTCOME_DONE;
    case -ENOSPC:
        return OUTCOME_REFUSED;
    case -ENOTCONN:
        return OUTCOME_CUT_OFF;
    default:
        wrong("%s: %s", what, strerror(-status));
    }
}

enum outcome memory_make(char **memory, uint64_t pages, uint64_t pages_max) {
    return outcome_of(heca_segment_allocate(pages * PAGE, pages_max * PAGE, (void **)memory), "heca_segment_allocate");
}

enum outcome memory_free(char *memory, uint64_t pages) {
    (void)pages;
    return outcome_of(heca_segment_free(memory), "heca_segment_free");
}

enum outcome memory_resize(char **memory, uint64_t before, uint64_t after) {
    (void)before;
    return outcome_of(heca_segment_resize(*memory, after * PAGE), "heca_segment_resize");
}

enum outcome memory_discard(struct worker *worker, char *memory, uint64_t pages) {
    (void)worker;
    return outcome_of(heca_segment_advise(memory, pages * PAGE, HECA_ADVICE_DONT_NEED), "HECA_ADVICE_DONT_NEED");
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
        worker->counts.cut_off += outcome_of(status, "heca_segment_advise") == OUTCOME_CUT_OFF;
    }
}

/* What was asked for stays with the parent. */
void memory_fork(struct worker *worker) {
    (void)worker;
}

void memory_await_children(bool all) {
    (void)all;
}
