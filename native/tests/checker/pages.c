/* pages.c: what a page is, and that it is nothing else. */
#include "checker.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static __thread sigjmp_buf landing;
static __thread const char *volatile accessed; /* the page that may be lost; NULL: none */
static __thread int through[2];                /* a pipe, to have the kernel read and write pages */
static __thread bool has_pipe;

static const struct page zeros;

uint64_t last_version;

static void on_sigbus(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)context;
    const char *page = accessed;
    const char *at = info->si_addr;
    if (page != NULL && at >= page && at < page + PAGE) {
        siglongjmp(landing, 1);
    }

    wrong("SIGBUS at %p, where nothing was looked at", info->si_addr);
}

void watch_losses(void) {
    has_pipe = false; /* a child's would be its parent's, and what is in it too */
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGBUS, &action, NULL);
}

static void copy_words(char *to, const char *from) {
    /* Word by word, so that a page can be taken out in the midst of it. */
    volatile uint64_t *target = (volatile uint64_t *)to;
    const volatile uint64_t *source = (const volatile uint64_t *)from;
    for (int i = 0; i < WORDS; i++) {
        target[i] = source[i];
    }
}

/* False where the page raises SIGBUS. */
static bool copy(char *to, const char *from, const char *page) {
    if (sigsetjmp(landing, 0) != 0) {
        accessed = NULL;
        return false;
    }

    accessed = page;
    copy_words(to, from);
    accessed = NULL;
    return true;
}

/* The same, but by the kernel: it cannot raise SIGBUS, and says EFAULT. */
static bool copy_through_kernel(char *to, const char *from) {
    if (!has_pipe && pipe(through) != 0) {
        wrong("pipe: %s", strerror(errno));
    }

    has_pipe = true;
    ssize_t written = write(through[1], from, PAGE);
    if (written < 0 && errno == EFAULT) {
        return false;
    }

    if (written != (ssize_t)PAGE) {
        wrong("write to a pipe: %zd, %s", written, strerror(errno));
    }

    ssize_t got = read(through[0], to, PAGE);
    if (got < 0 && errno == EFAULT) {
        static __thread char drained[PAGE];
        (void)!read(through[0], drained, PAGE);
        return false;
    }

    if (got != (ssize_t)PAGE) {
        wrong("read from a pipe: %zd, %s", got, strerror(errno));
    }

    return true;
}

static uint64_t checksum(const struct page *page) {
    uint64_t sum = mix(page->id ^ mix(page->version));
    for (int i = 0; i < WORDS - 3; i++) {
        sum = (sum ^ page->contents[i]) * 0x9E3779B97F4A7C15u;
        sum ^= sum >> 29;
    }

    return sum;
}

static void compose(struct page *page, uint64_t id, uint64_t version) {
    page->id = id;
    page->version = version;
    uint64_t state = mix(id * 1000003 + version);
    for (int i = 0; i < WORDS - 3; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        page->contents[i] = state ^ (state >> 32);
    }

    page->checksum = checksum(page);
}

static bool is(const struct page *found, uint64_t id, uint64_t version) {
    if (version == 0) {
        return memcmp(found, &zeros, PAGE) == 0;
    }

    struct page expected;
    compose(&expected, id, version);
    return memcmp(found, &expected, PAGE) == 0;
}

#define NAME_OF(id) (unsigned)((id) >> 32), (unsigned long)((id)&UINT32_MAX)

/* Says what it is instead, as well as can be told. */
__attribute__((noreturn)) static void tell(const struct page *found, uint64_t id, uint64_t state, const char *memory) {
    uint64_t version = state / STATE_VERSION;
    if (memcmp(found, &zeros, PAGE) == 0) {
        wrong("area %u page %lu at %p: expected version %lu, found zeros", NAME_OF(id), memory, version);
    }

    if (checksum(found) == found->checksum) {
        wrong("area %u page %lu at %p: expected version %lu, found area %u page %lu version %lu, whole", NAME_OF(id),
              memory, version, NAME_OF(found->id), found->version);
    }

    struct page expected = zeros;
    if (version != 0) {
        compose(&expected, id, version);
    }

    int first = -1, last = -1, words = 0;
    for (int i = 0; i < WORDS; i++) {
        if (((const uint64_t *)found)[i] != ((const uint64_t *)&expected)[i]) {
            first = first < 0 ? i : first;
            last = i;
            words++;
        }
    }

    wrong("area %u page %lu at %p: expected version %lu, found (area %u page %lu version %lu) damaged: %d words "
          "differ, from word %d (%016lx, not %016lx) to %d",
          NAME_OF(id), memory, version, NAME_OF(found->id), found->version, words, first,
          ((const uint64_t *)found)[first], ((const uint64_t *)&expected)[first], last);
}

__attribute__((noreturn)) static void tell_returned(const struct page *found, uint64_t id, const char *memory) {
    wrong("area %u page %lu at %p: was lost, and is back as version %lu%s", NAME_OF(id), memory, found->version,
          checksum(found) == found->checksum ? ", whole" : "");
}

static void note_loss(struct worker *worker, const char *memory, uint64_t id, uint64_t state) {
    if (!settings.may_lose) {
        wrong("area %u page %lu at %p: expected version %lu, found SIGBUS", NAME_OF(id), (void *)memory,
              state / STATE_VERSION);
    }

    worker->counts.lost++;
}

void read_page(struct worker *worker, char *memory, uint64_t id, uint64_t *state, bool through_kernel) {
    struct page found;
    uint64_t before = *state;
    if (!(through_kernel ? copy_through_kernel((char *)&found, memory) : copy((char *)&found, memory, memory))) {
        note_loss(worker, memory, id, before);
        __atomic_store_n(state, before | STATE_LOST, __ATOMIC_RELEASE);
        return;
    }

    worker->counts.reads++;
    if ((before & STATE_LOST) != 0) {
        tell_returned(&found, id, memory);
    } else if (!is(&found, id, before / STATE_VERSION)) {
        tell(&found, id, before, memory);
    }
}

void write_page(struct worker *worker, char *memory, uint64_t id, uint64_t *state, bool through_kernel) {
    uint64_t before = *state, version = __atomic_add_fetch(&last_version, 1, __ATOMIC_RELAXED);
    struct page page;
    compose(&page, id, version);
    __atomic_store_n(state, before | STATE_BUSY, __ATOMIC_SEQ_CST);
    bool is_there =
        through_kernel ? copy_through_kernel(memory, (const char *)&page) : copy(memory, (const char *)&page, memory);
    if (is_there && (before & STATE_LOST) != 0) {
        wrong("area %u page %lu at %p: was lost, and could be written", NAME_OF(id), memory);
    }

    if (!is_there) {
        note_loss(worker, memory, id, before);
    }

    worker->counts.writes += is_there;
    __atomic_store_n(state, is_there ? version * STATE_VERSION : before | STATE_LOST, __ATOMIC_SEQ_CST);
}

void glance_at_page(struct worker *worker, char *memory, uint64_t id, uint64_t *state) {
    struct page found;
    uint64_t before = __atomic_load_n(state, __ATOMIC_SEQ_CST);
    if ((before & STATE_BUSY) != 0) {
        return;
    }

    bool is_there = copy((char *)&found, memory, memory);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(state, __ATOMIC_SEQ_CST) != before) {
        return;
    }

    if (!is_there) {
        note_loss(worker, memory, id, before);
    } else if ((before & STATE_LOST) != 0) {
        tell_returned(&found, id, memory);
    } else if (!is(&found, id, before / STATE_VERSION)) {
        tell(&found, id, before, memory);
    } else {
        worker->counts.reads++;
    }
}
