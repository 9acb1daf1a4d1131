#include "minipager.h"
#include "handover.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define PAGE 4096ull
#define WORDS (PAGE / sizeof(uint64_t))
#define SEGMENTS_MAX 64
#define RUN_PAGES 64
#define CHUNKS (HECA_STAGING_PAGES / RUN_PAGES)
#define RETRIES_MAX 1000000

#define FAIL(...)                                                                                                      \
    do {                                                                                                               \
        fprintf(stderr, "minipager: " __VA_ARGS__);                                                                    \
        fprintf(stderr, "\n");                                                                                         \
        exit(1);                                                                                                       \
    } while (0)

enum page_state {
    UNTOUCHED = 0,
    RESIDENT,
    TAKING,        /* a TAKE is under way */
    TAKING_WANTED, /* and a thread waits for the page */
    STORED,
};

struct segment {
    uint64_t address; /* 0: free */
    uint64_t bytes;
    uint64_t capacity; /* pages that `states` and `store` hold */
    uint8_t *states;
    char *store;
    uint64_t hand; /* the next victim is looked for from here */
};

/* What a command was for; its cookie is the index. One per ring entry, so the ring bound holds by itself. */
struct command_note {
    bool used;
    uint32_t op;
    uint32_t pages;
    struct segment *segment;
    uint64_t first_page;
    uint32_t chunk;
};

static struct minipager_options options;
static struct minipager_counts counts;
static struct segment segments[SEGMENTS_MAX];
static struct command_note notes[HECA_RING_ENTRIES];
static bool chunk_used[CHUNKS];
static char scratch[RUN_PAGES * PAGE];
static struct heca_ring *ring;
static uint64_t staging;
static uint64_t resident;
static uint32_t unanswered;
static int connection, userfault, commands_event, completions_event;
static pid_t program;

uint64_t minipager_pattern(uint64_t page, uint64_t word) {
    return (page + 1) * 0x9E3779B97F4A7C15ull ^ (word << 7 | 1);
}

int minipager_listen(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4) != 0) {
        FAIL("%s: %s", path, strerror(errno));
    }

    return listener;
}

static void install(uint64_t address, const char *content) {
    struct uffdio_copy copy = {.dst = address, .src = (uintptr_t)content, .len = PAGE};
    for (int retries = 0; ioctl(userfault, UFFDIO_COPY, &copy) != 0; copy.copy = 0) {
        if (errno != EAGAIN || ++retries == RETRIES_MAX) {
            FAIL("UFFDIO_COPY to %llx: %s", (unsigned long long)address, strerror(errno));
        }
    }

    resident++;
}

static void wake(uint64_t address) {
    struct uffdio_range range = {address, PAGE};
    if (ioctl(userfault, UFFDIO_WAKE, &range) != 0) {
        FAIL("UFFDIO_WAKE: %s", strerror(errno));
    }
}

static bool push(uint32_t op, struct segment *segment, uint64_t first_page, uint32_t pages, uint32_t chunk) {
    if (unanswered == HECA_RING_ENTRIES) {
        return false;
    }

    uint32_t cookie = 0;
    while (notes[cookie].used) {
        cookie++;
    }

    notes[cookie] = (struct command_note){true, op, pages, segment, first_page, chunk};
    uint32_t head = ring->commands_head;
    ring->commands[head % HECA_RING_ENTRIES] = (struct heca_command){
        .op = op,
        .pages = pages,
        .source = segment == NULL ? 0 : segment->address + first_page * PAGE,
        .target = staging + (uint64_t)chunk * RUN_PAGES * PAGE,
        .cookie = cookie,
    };
    unanswered++;
    __atomic_store_n(&ring->commands_head, head + 1, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&ring->evictor_sleeping, 0, __ATOMIC_SEQ_CST) != 0) {
        uint64_t one = 1;
        (void)!write(commands_event, &one, sizeof one);
    }

    return true;
}

/* Orders the next run of resident pages of `segment` out; false if there is none or no place for it. */
static bool take_run(struct segment *segment, uint64_t from, uint64_t end) {
    uint32_t chunk = 0;
    while (chunk < CHUNKS && chunk_used[chunk]) {
        chunk++;
    }

    uint64_t first = from;
    while (first < end && segment->states[first] != RESIDENT) {
        first++;
    }

    uint32_t pages = 0;
    while (pages < RUN_PAGES && first + pages < end && segment->states[first + pages] == RESIDENT) {
        pages++;
    }

    if (chunk == CHUNKS || pages == 0 || !push(HECA_COMMAND_TAKE, segment, first, pages, chunk)) {
        return false;
    }

    chunk_used[chunk] = true;
    memset(segment->states + first, TAKING, pages);
    segment->hand = first + pages;
    return true;
}

static uint64_t leaving(void) {
    uint64_t pages = 0;
    for (uint32_t i = 0; i < HECA_RING_ENTRIES; i++) {
        pages += notes[i].used && notes[i].op == HECA_COMMAND_TAKE ? notes[i].pages : 0;
    }

    return pages;
}

static void evict(void) {
    if (options.resident_pages_max == 0) {
        return;
    }

    while (resident > options.resident_pages_max + leaving()) {
        bool found = false;
        for (uint32_t i = 0; i < SEGMENTS_MAX && !found; i++) {
            struct segment *segment = &segments[i];
            uint64_t pages = segment->bytes / PAGE;
            if (segment->address != 0) {
                found = take_run(segment, segment->hand, pages) || take_run(segment, 0, pages);
            }
        }

        if (!found) {
            return;
        }
    }
}

static void taken(struct command_note *note, const struct heca_completion *completion) {
    struct segment *segment = note->segment;
    if (completion->pages > note->pages || (completion->pages < note->pages) != (completion->status < 0)) {
        FAIL("TAKE of %u pages: %u moved, status %d", note->pages, completion->pages, completion->status);
    }

    if (completion->pages != 0) {
        struct iovec local = {scratch, completion->pages * PAGE};
        struct iovec remote = {(void *)(uintptr_t)(staging + (uint64_t)note->chunk * RUN_PAGES * PAGE), local.iov_len};
        if (process_vm_readv(program, &local, 1, &remote, 1, 0) != (ssize_t)local.iov_len) {
            if (errno == ESRCH) {
                /* The program has done its work and ended between its evictor's answer and here. */
                exit(0);
            }
            FAIL("process_vm_readv: %s", strerror(errno));
        }

        memcpy(segment->store + note->first_page * PAGE, scratch, local.iov_len);
    }

    resident -= completion->pages;
    counts.pages_taken += completion->pages;
    for (uint32_t i = 0; i < note->pages; i++) {
        uint64_t page = note->first_page + i;
        uint64_t address = segment->address + page * PAGE;
        bool wanted = segment->states[page] == TAKING_WANTED;
        counts.faults_on_leaving += wanted;
        segment->states[page] = i < completion->pages && !wanted ? STORED : RESIDENT;
        if (i < completion->pages && wanted) {
            install(address, segment->store + page * PAGE);
        } else if (wanted) {
            wake(address);
        }
    }

    if (completion->pages != 0) {
        push(HECA_COMMAND_RECYCLE, NULL, 0, note->pages, note->chunk);
    } else {
        chunk_used[note->chunk] = false;
    }
}

static void dropped(struct command_note *note, const struct heca_completion *completion) {
    if (completion->status != 0 || completion->pages != note->pages) {
        FAIL("DROP of %u pages: %u dropped, status %d", note->pages, completion->pages, completion->status);
    }

    resident -= note->pages;
    counts.pages_dropped += note->pages;
    for (uint32_t i = 0; i < note->pages; i++) {
        uint64_t page = note->first_page + i;
        bool wanted = note->segment->states[page] == TAKING_WANTED;
        note->segment->states[page] = UNTOUCHED;
        memset(note->segment->store + page * PAGE, 0, PAGE);
        if (wanted) {
            wake(note->segment->address + page * PAGE); /* it faults again and finds zeros */
        }
    }
}

static void drain_completions(void) {
    uint32_t tail = ring->completions_tail;
    while (tail != __atomic_load_n(&ring->completions_head, __ATOMIC_ACQUIRE)) {
        struct heca_completion completion = ring->completions[tail % HECA_RING_ENTRIES];
        __atomic_store_n(&ring->completions_tail, ++tail, __ATOMIC_RELEASE);
        if (completion.cookie >= HECA_RING_ENTRIES || !notes[completion.cookie].used) {
            FAIL("a completion nobody asked for, cookie %llu", (unsigned long long)completion.cookie);
        }

        struct command_note note = notes[completion.cookie];
        notes[completion.cookie].used = false;
        unanswered--;
        if (note.op == HECA_COMMAND_TAKE) {
            taken(&note, &completion);
        } else if (note.op == HECA_COMMAND_DROP) {
            dropped(&note, &completion);
        } else if (completion.status != 0 || completion.pages != note.pages) {
            FAIL("RECYCLE: status %d", completion.status);
        } else {
            counts.pages_recycled += note.pages;
            chunk_used[note.chunk] = false;
        }
    }
}

static struct segment *segment_at(uint64_t address) {
    for (uint32_t i = 0; i < SEGMENTS_MAX; i++) {
        if (segments[i].address != 0 && address >= segments[i].address &&
            address < segments[i].address + segments[i].bytes) {
            return &segments[i];
        }
    }

    return NULL;
}

static void answer_fault(const struct uffd_msg *event) {
    uint64_t address = event->arg.pagefault.address & ~(PAGE - 1);
    struct segment *segment = segment_at(address);
    if (event->event != UFFD_EVENT_PAGEFAULT || segment == NULL) {
        FAIL("event %u at %llx, outside every segment", event->event, (unsigned long long)address);
    }

    if (event->arg.pagefault.feat.ptid == 0) {
        FAIL("a fault without its thread");
    }

    if (++counts.faults == options.die_after_faults) {
        kill(getpid(), SIGKILL);
    }

    uint64_t page = (address - segment->address) / PAGE;
    char *content = segment->store + page * PAGE;
    switch (segment->states[page]) {
    case UNTOUCHED:
        for (uint64_t word = 0; options.pattern && word < WORDS; word++) {
            ((uint64_t *)content)[word] = minipager_pattern(page, word);
        }
        /* fall through */
    case STORED:
        segment->states[page] = RESIDENT;
        install(address, content);
        break;
    case TAKING:
        segment->states[page] = TAKING_WANTED;
        break;
    case RESIDENT:
        wake(address); /* answered already for another thread */
        break;
    }
}

static void read_faults(void) {
    struct uffd_msg events[16];
    ssize_t bytes = read(userfault, events, sizeof events);
    for (ssize_t i = 0; bytes > 0 && i < bytes / (ssize_t)sizeof events[0]; i++) {
        answer_fault(&events[i]);
    }
}

/* Waits, from inside a request, until all commands are answered; faults go on being answered. */
static void settle(void);

/* Takes or drops all resident pages of [from, end). */
static void clear(struct segment *segment, uint64_t from, uint64_t end, uint32_t op) {
    settle();
    for (uint64_t page = from; page < end;) {
        if (segment->states[page] != RESIDENT) {
            page++;
        } else if (op == HECA_COMMAND_TAKE && take_run(segment, page, end)) {
            page = segment->hand;
        } else if (op == HECA_COMMAND_DROP) {
            uint32_t pages = 0;
            while (page + pages < end && segment->states[page + pages] == RESIDENT) {
                segment->states[page + pages++] = TAKING;
            }

            if (!push(op, segment, page, pages, 0)) {
                FAIL("the ring is full");
            }

            page += pages;
        } else {
            settle();
        }
    }

    settle();
}

static void forget(struct segment *segment, uint64_t from, uint64_t end) {
    clear(segment, from, end, HECA_COMMAND_DROP);
    for (uint64_t page = from; page < end; page++) {
        if (segment->states[page] == STORED) {
            segment->states[page] = UNTOUCHED;
        }
    }

    madvise(segment->store + from * PAGE, (end - from) * PAGE, MADV_DONTNEED);
}

static uint64_t allocated(void) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < SEGMENTS_MAX; i++) {
        bytes += segments[i].address != 0 ? segments[i].bytes : 0;
    }

    return bytes;
}

static bool too_much(uint64_t more) {
    return options.segment_bytes_max != 0 && allocated() + more > options.segment_bytes_max;
}

static void *map_lazily(uint64_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        FAIL("mmap: %s", strerror(errno));
    }

    return memory;
}

static int32_t allocate(const struct heca_message *request) {
    struct segment *segment = segments;
    while (segment < segments + SEGMENTS_MAX && segment->address != 0) {
        segment++;
    }

    if (segment == segments + SEGMENTS_MAX || too_much(request->bytes)) {
        return -ENOSPC;
    }

    uint64_t pages = request->bytes / PAGE;
    *segment = (struct segment){.address = request->address, .bytes = request->bytes, .capacity = 4 * pages + 1024};
    segment->states = map_lazily(segment->capacity);
    segment->store = map_lazily(segment->capacity * PAGE);
    return 0;
}

static int32_t resize(struct segment *segment, uint64_t bytes) {
    if (bytes > segment->bytes) {
        if (too_much(bytes - segment->bytes) || bytes / PAGE > segment->capacity) {
            return -ENOSPC;
        }
    } else {
        forget(segment, bytes / PAGE, segment->bytes / PAGE);
        segment->hand = 0;
    }

    segment->bytes = bytes;
    return 0;
}

static void release(struct segment *segment) {
    forget(segment, 0, segment->bytes / PAGE);
    munmap(segment->states, segment->capacity);
    munmap(segment->store, segment->capacity * PAGE);
    segment->address = 0;
}

static void advise(struct segment *segment, const struct heca_message *request) {
    uint64_t first = (request->address - segment->address) / PAGE;
    uint64_t end = first + request->bytes / PAGE;
    if (request->address % PAGE != 0 || request->bytes % PAGE != 0 || end > segment->bytes / PAGE) {
        FAIL("advice for a range that is not whole pages of one segment");
    }

    if (request->value0 == HECA_ADVICE_DONT_NEED) {
        forget(segment, first, end);
    } else if (request->value0 == HECA_ADVICE_PAGE_OUT) {
        clear(segment, first, end, HECA_COMMAND_TAKE);
    }
}

static void fill_statistics(struct heca_message *answer) {
    struct heca_statistics statistics = {
        .segment_bytes = allocated(),
        .resident_bytes = resident * PAGE,
        .budget_bytes = options.resident_pages_max * PAGE,
        .faults = counts.faults,
        .pages_out = counts.pages_taken,
        .pages_dropped = counts.pages_dropped,
    };
    memcpy(answer->payload, &statistics, sizeof statistics);
}

static void answer(const struct heca_message *message) {
    (void)!send(connection, message, sizeof *message, MSG_NOSIGNAL);
}

/* False when the program has gone. */
static bool serve_request(void) {
    struct heca_message message;
    ssize_t bytes = recv(connection, &message, sizeof message, 0);
    if (bytes <= 0) {
        return false;
    }

    if (bytes != sizeof message || message.magic != HECA_HANDOVER_MAGIC || message.version != HECA_HANDOVER_VERSION) {
        FAIL("a malformed request of %zd bytes", bytes);
    }

    struct segment *segment = message.kind == HECA_MESSAGE_ALLOCATE ? NULL : segment_at(message.address);
    message.status = 0;
    switch (message.kind) {
    case HECA_MESSAGE_ALLOCATE:
        message.status = allocate(&message);
        break;
    case HECA_MESSAGE_STATISTICS:
        fill_statistics(&message);
        break;
    case HECA_MESSAGE_FREE:
    case HECA_MESSAGE_RESIZE:
    case HECA_MESSAGE_ADVISE:
        if (segment == NULL) {
            FAIL("request %u for an unknown segment", message.kind);
        } else if (message.kind == HECA_MESSAGE_FREE) {
            release(segment);
        } else if (message.kind == HECA_MESSAGE_RESIZE) {
            message.status = resize(segment, message.bytes);
        } else {
            advise(segment, &message);
        }
        break;
    default:
        FAIL("unknown request %u", message.kind);
    }

    answer(&message);
    return true;
}

/* Sleeps until something happened; false when the program has gone. `inside` a request no further one is served. */
static bool step(bool inside) {
    struct pollfd sources[3] = {{.fd = completions_event, .events = POLLIN},
                                {.fd = userfault, .events = POLLIN},
                                {.fd = connection, .events = inside ? 0 : POLLIN}};
    __atomic_store_n(&ring->pager_sleeping, 1, __ATOMIC_SEQ_CST);
    if (ring->completions_tail == __atomic_load_n(&ring->completions_head, __ATOMIC_SEQ_CST)) {
        poll(sources, 3, -1);
    }

    __atomic_store_n(&ring->pager_sleeping, 0, __ATOMIC_SEQ_CST);
    uint64_t count;
    (void)!read(completions_event, &count, sizeof count);
    if ((sources[2].revents & (POLLHUP | POLLERR)) != 0 && (sources[2].revents & POLLIN) == 0) {
        return false;
    }

    read_faults();
    drain_completions();
    return inside || (sources[2].revents & POLLIN) == 0 || serve_request();
}

static void settle(void) {
    while (unanswered != 0) {
        if (!step(true)) {
            exit(0); /* the program was killed meanwhile */
        }
    }
}

static void say_hello(int listener) {
    connection = accept(listener, NULL, NULL);
    struct heca_message hello;
    union {
        char bytes[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr aligned;
    } control;
    struct iovec vector = {&hello, sizeof hello};
    struct msghdr header = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    if (recvmsg(connection, &header, MSG_CMSG_CLOEXEC) != sizeof hello || hello.kind != HECA_MESSAGE_HELLO) {
        FAIL("no HELLO");
    }

    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    if (rights == NULL || rights->cmsg_len != CMSG_LEN(4 * sizeof(int))) {
        FAIL("HELLO without its four descriptors");
    }

    int descriptors[4];
    memcpy(descriptors, CMSG_DATA(rights), sizeof descriptors);
    userfault = descriptors[0];
    ring = mmap(NULL, sizeof *ring, PROT_READ | PROT_WRITE, MAP_SHARED, descriptors[1], 0);
    commands_event = descriptors[2];
    completions_event = descriptors[3];
    staging = hello.address;
    counts.can = (uint32_t)hello.value2;
    if (ring == MAP_FAILED || staging % PAGE != 0 || hello.bytes != HECA_STAGING_PAGES * PAGE) {
        FAIL("HELLO with an unusable ring or staging area");
    }

    struct ucred peer;
    socklen_t length = sizeof peer;
    getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &length);
    program = peer.pid;
    hello.value0 = options.stop_after_ms;
    hello.version = options.wrong_version ? HECA_HANDOVER_VERSION + 1 : HECA_HANDOVER_VERSION;
    answer(&hello);
}

struct minipager_counts minipager_serve(int listener, const struct minipager_options *with) {
    options = *with;
    say_hello(listener);
    while (step(false)) {
        evict();
    }

    return counts;
}

void minipager_require_userfaultfd(void) {
    if (access("/dev/userfaultfd", R_OK | W_OK) == 0) {
        return;
    }

    int descriptor = (int)syscall(__NR_userfaultfd, O_CLOEXEC);
    if (descriptor >= 0) {
        close(descriptor);
        return;
    }

    const char *required = getenv("HECA_REQUIRE");
    bool fail = required != NULL && strstr(required, "userfaultfd") != NULL;
    fprintf(stderr, "%s: this user may not make a userfaultfd (%s)\n", fail ? "failed" : "skipped", strerror(errno));
    exit(fail ? 1 : MINIPAGER_SKIPPED);
}
