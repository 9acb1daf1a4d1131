/*
 * floor.c: the bare pager that everything is measured against. The same work as `heca bench` with nothing around it: a
 * faulting program, a pager and a sponsor, three processes; a userfaultfd passed from the first to the second; one TCP
 * connection over loopback from the second to the third. No page table, no eviction, no write-back, no second fault in
 * flight. What the real pager needs more than this is what its features cost.
 *
 *   heca-floor fault [--size BYTES] [--count N] [--seed S] [--pin yes|no]
 *       random hard faults, one page each, no page twice: the latency as the touching thread sees it
 *   heca-floor scan [--size BYTES] [--window PAGES] [--depth 1|2] [--pin yes|no]
 *       one touch per page in order; depth 1 fetches a window when the reader has come to it, depth 2 keeps two windows
 * in flight ahead of it
 *
 * Waiting and placement are what measured best: program and pager on one core, where a wake-up costs 3 us instead of 20
 * to 30, the pager blocking on the userfaultfd and spinning on the socket, the sponsor spinning on another core. With
 * --pin no all spin where the scheduler puts them; with one CPU all block.
 *
 * One JSON object on standard output. Exit status: 0, 1 failed, 2 usage, 3 no permission for userfaultfd.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ull
#define WORDS (PAGE / sizeof(uint64_t))
#define WINDOW_PAGES_MAX 1024
#define AHEAD_MAX 2
#define WARM_UP_FAULTS 200 /* TCP, caches and the branch predictor settle; not measured */
#define SIZE_MAX_BYTES (1ull << 40)

struct options {
    bool scan;
    uint64_t pages;
    uint64_t count;
    uint64_t seed;
    uint32_t window; /* pages per request */
    uint32_t ahead;  /* windows in flight beyond the one the reader waits for */
    bool pin;
};

struct request {
    uint32_t first_page;
    uint32_t pages;
};

static struct options options = {.pages = (64ull << 20) / PAGE, .count = 10000, .seed = 1, .window = 64, .pin = true};
static bool spinning; /* false: one CPU, all wait by blocking */
static int cores[2];

static void fail(const char *what) {
    fprintf(stderr, "heca-floor: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint64_t pattern(uint64_t page, uint64_t word) {
    return ((page + 1) * 0x9E3779B97F4A7C15ull) ^ (word << 8 | 1);
}

static void *map(uint64_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        fail("mmap");
    }

    return memory;
}

static void place(int core) {
    if (options.pin) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(core, &set);
        if (sched_setaffinity(0, sizeof set, &set) != 0) {
            fail("sched_setaffinity");
        }
    }
}

/* Of a child: ends when the parent does, even if that is killed. */
static void die_with(pid_t parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(1);
    }
}

static void send_all(int connection, const void *data, size_t bytes) {
    for (size_t sent = 0; sent < bytes;) {
        ssize_t now = send(connection, (const char *)data + sent, bytes - sent, MSG_NOSIGNAL);
        if (now < 0 && errno != EINTR) {
            fail("send");
        }

        sent += now > 0 ? (size_t)now : 0;
    }
}

/* Bytes that are there, at most `bytes`; waits for the first unless `flags` has MSG_DONTWAIT, then 0 means none. */
static size_t receive_some(int connection, void *data, size_t bytes, int flags) {
    for (;;) {
        ssize_t now = recv(connection, data, bytes, spinning ? MSG_DONTWAIT : flags);
        if (now > 0) {
            return (size_t)now;
        }

        if (now == 0) {
            _exit(0); /* the other end is being stopped */
        }

        if (errno == EAGAIN && (flags & MSG_DONTWAIT) != 0) {
            return 0;
        }

        if (errno != EAGAIN && errno != EINTR) {
            fail("recv");
        }

        relax();
    }
}

/* ------------------------------------------------------------------------------------------------ sponsor */

static void run_sponsor(int listener, int ready) {
    place(cores[1]);
    uint64_t *memory = map(options.pages * PAGE);
    madvise(memory, options.pages * PAGE, MADV_HUGEPAGE);
    for (uint64_t i = 0; i < options.pages * WORDS; i++) {
        memory[i] = pattern(i / WORDS, i % WORDS);
    }

    int connection = accept(listener, NULL, NULL), on = 1;
    if (connection < 0 || setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        write(ready, "r", 1) != 1) {
        fail("accept");
    }

    for (;;) {
        struct request request;
        for (size_t got = 0; got < sizeof request;) {
            got += receive_some(connection, (char *)&request + got, sizeof request - got, 0);
        }

        send_all(connection, memory + request.first_page * WORDS, request.pages * PAGE);
    }
}

/* ------------------------------------------------------------------------------------------------ pager */

struct pager {
    int userfault;
    int connection;
    char *region;
    char *buffers; /* ahead + 1 windows, a ring */
    uint64_t windows;
    uint64_t requested; /* windows asked for so far, from the start of the region */
    uint64_t received;  /* bytes so far, of all windows */
};

static uint64_t window_pages(uint64_t window) {
    uint64_t left = options.pages - window * options.window;
    return left < options.window ? left : options.window;
}

static void install(const struct pager *pager, uint64_t first_page, uint64_t pages, const char *content) {
    struct uffdio_copy copy = {
        .dst = (uintptr_t)pager->region + first_page * PAGE, .src = (uintptr_t)content, .len = pages * PAGE};
    while (ioctl(pager->userfault, UFFDIO_COPY, &copy) != 0) {
        if (errno != EAGAIN) {
            fail("UFFDIO_COPY");
        }

        uint64_t done = copy.copy > 0 ? (uint64_t)copy.copy : 0;
        copy.dst += done;
        copy.src += done;
        copy.len -= done;
        copy.copy = 0;
    }
}

static uint64_t wait_for_fault(const struct pager *pager) {
    struct uffd_msg event;
    for (;;) {
        ssize_t bytes = read(pager->userfault, &event, sizeof event);
        if (bytes == sizeof event && event.event == UFFD_EVENT_PAGEFAULT) {
            return (event.arg.pagefault.address - (uintptr_t)pager->region) / PAGE;
        }

        if (bytes < 0 && errno != EAGAIN && errno != EINTR) {
            fail("read of the userfaultfd");
        }

        relax();
    }
}

static void serve_faults(struct pager *pager) {
    for (;;) {
        struct request request = {(uint32_t)wait_for_fault(pager), 1};
        send_all(pager->connection, &request, sizeof request);
        for (size_t got = 0; got < PAGE;) {
            got += receive_some(pager->connection, pager->buffers + got, PAGE - got, 0);
        }

        install(pager, request.first_page, 1, pager->buffers);
    }
}

static void request_windows(struct pager *pager, uint64_t end) {
    for (; pager->requested < end && pager->requested < pager->windows; pager->requested++) {
        struct request request = {(uint32_t)(pager->requested * options.window),
                                  (uint32_t)window_pages(pager->requested)};
        send_all(pager->connection, &request, sizeof request);
    }
}

/* Takes what has come, up to `bytes` in all; with `wait`, until that much has. */
static void receive_until(struct pager *pager, uint64_t bytes, bool wait) {
    uint64_t ring = (options.ahead + 1) * options.window * PAGE;
    while (pager->received < bytes) {
        uint64_t at = pager->received % ring;
        uint64_t room = ring - at < bytes - pager->received ? ring - at : bytes - pager->received;
        size_t now = receive_some(pager->connection, pager->buffers + at, room, wait ? 0 : MSG_DONTWAIT);
        if (now == 0) {
            return;
        }

        pager->received += now;
    }
}

static void serve_scan(struct pager *pager) {
    for (uint64_t window = 0; window < pager->windows; window++) {
        uint64_t page = wait_for_fault(pager);
        if (page != window * options.window) {
            errno = EINVAL;
            fail("a fault out of order");
        }

        uint64_t start = window * options.window * PAGE;
        uint64_t ring = (options.ahead + 1) * options.window * PAGE;
        request_windows(pager, window + 1);
        receive_until(pager, start + window_pages(window) * PAGE, true);

        /* The sponsor works on the next ones during the copy, and they are taken in before the reader gets the core. */
        request_windows(pager, window + 1 + options.ahead);
        install(pager, page, window_pages(window), pager->buffers + start % ring);
        uint64_t asked = pager->requested * options.window;
        receive_until(pager, (asked < options.pages ? asked : options.pages) * PAGE, false);
    }

    for (;;) {
        pause();
    }
}

static void run_pager(int userfault, char *region, const struct sockaddr_in *sponsor) {
    place(cores[0]);
    int on = 1;
    struct pager pager = {
        .userfault = userfault,
        .connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
        .region = region,
        .buffers = map((AHEAD_MAX + 1) * WINDOW_PAGES_MAX * PAGE),
        .windows = (options.pages + options.window - 1) / options.window,
    };
    if (pager.connection < 0 || connect(pager.connection, (const struct sockaddr *)sponsor, sizeof *sponsor) != 0 ||
        setsockopt(pager.connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        fail("connect");
    }

    if (options.scan) {
        serve_scan(&pager);
    } else {
        serve_faults(&pager);
    }
}

/* ------------------------------------------------------------------------------------------------ program */

static int open_userfault(void) {
    int descriptor = -1;
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device >= 0) {
        descriptor = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC);
        close(device);
    }

    if (descriptor < 0) {
        descriptor = (int)syscall(__NR_userfaultfd, O_CLOEXEC);
    }

    struct uffdio_api api = {.api = UFFD_API};
    if (descriptor < 0 || ioctl(descriptor, UFFDIO_API, &api) != 0) {
        fprintf(stderr, "heca-floor: userfaultfd: %s; run as root or see `heca check`\n", strerror(errno));
        exit(3);
    }

    /* Unplaced, the pager spins on it; placed, spinning would keep the program from its core. */
    if (!options.pin && spinning) {
        fcntl(descriptor, F_SETFL, O_NONBLOCK);
    }

    return descriptor;
}

/* A child ends before the program only if something went wrong, and has said so. */
static void child_ended(int signal) {
    _exit(1);
}

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15ull); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static bool verify(const uint64_t *region, uint64_t page) {
    for (uint64_t word = 0; word < WORDS; word++) {
        if (region[page * WORDS + word] != pattern(page, word)) {
            return false;
        }
    }

    return true;
}

static int compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double percentile(const double *sorted, uint64_t count, double share) {
    return sorted[(uint64_t)((double)(count - 1) * share + 0.5)];
}

static bool run_faults(const uint64_t *region) {
    uint64_t spare = options.pages - options.count;
    uint64_t warm_up = spare < WARM_UP_FAULTS ? spare : WARM_UP_FAULTS;
    uint64_t total = warm_up + options.count, state = options.seed;
    uint32_t *order = map(options.pages * sizeof *order);
    double *latencies = map(total * sizeof *latencies);
    memset(latencies, 0, total * sizeof *latencies);
    for (uint64_t i = 0; i < options.pages; i++) {
        order[i] = (uint32_t)i;
    }

    for (uint64_t i = 0; i < total; i++) {
        uint64_t other = i + next_random(&state) % (options.pages - i);
        uint32_t page = order[other];
        order[other] = order[i];
        order[i] = page;
    }

    double sum = 0;
    for (uint64_t i = 0; i < total; i++) {
        double start = now_us();
        (void)*(volatile const uint64_t *)&region[order[i] * WORDS];
        latencies[i] = now_us() - start;
        sum += i < warm_up ? 0 : latencies[i];
    }

    bool verified = true;
    for (uint64_t i = 0; i < total; i++) {
        verified &= verify(region, order[i]);
    }

    double *sorted = latencies + warm_up;
    uint64_t count = options.count;
    qsort(sorted, count, sizeof *sorted, compare);
    printf("{\"mode\":\"fault\",\"count\":%llu,\"p50_us\":%.2f,\"p90_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,"
           "\"max_us\":%.2f,\"mean_us\":%.2f,\"pages_per_s\":%.0f,",
           (unsigned long long)count, percentile(sorted, count, 0.5), percentile(sorted, count, 0.9),
           percentile(sorted, count, 0.99), percentile(sorted, count, 0.999), sorted[count - 1], sum / (double)count,
           (double)count / sum * 1e6);
    return verified;
}

static bool run_scan(const uint64_t *region) {
    double start = now_us();
    for (uint64_t page = 0; page < options.pages; page++) {
        (void)*(volatile const uint64_t *)&region[page * WORDS];
    }

    double elapsed = now_us() - start;
    bool verified = true;
    for (uint64_t page = 0; page < options.pages; page++) {
        verified &= verify(region, page);
    }

    printf("{\"mode\":\"scan\",\"count\":%llu,\"window\":%u,\"depth\":%u,\"elapsed_s\":%.6f,\"pages_per_s\":%.0f,",
           (unsigned long long)options.pages, options.window, options.ahead == 0 ? 1 : options.ahead, elapsed / 1e6,
           (double)options.pages / elapsed * 1e6);
    return verified;
}

/* ------------------------------------------------------------------------------------------------ start */

static void usage(const char *problem) {
    fprintf(stderr,
            "heca-floor: %s; usage: heca-floor fault [--size BYTES] [--count N] [--seed S] [--pin yes|no] | "
            "scan [--size BYTES] [--window PAGES] [--depth 1|2] [--pin yes|no]\n",
            problem);
    exit(2);
}

static uint64_t parse(const char *text, uint64_t min, uint64_t max) {
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < min || value > max) {
        fprintf(stderr, "heca-floor: '%s' is not an integer from %llu to %llu\n", text, (unsigned long long)min,
                (unsigned long long)max);
        exit(2);
    }

    return value;
}

static void read_options(int argc, char **argv) {
    if (argc < 2 || argc % 2 != 0 || (strcmp(argv[1], "fault") != 0 && strcmp(argv[1], "scan") != 0)) {
        usage("a mode and options with a value each are needed");
    }

    options.scan = strcmp(argv[1], "scan") == 0;
    for (int i = 2; i < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--size") == 0) {
            options.pages = parse(value, PAGE, SIZE_MAX_BYTES) / PAGE;
        } else if (strcmp(argv[i], "--pin") == 0 && (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)) {
            options.pin = *value == 'y';
        } else if (strcmp(argv[i], "--count") == 0 && !options.scan) {
            options.count = parse(value, 1, SIZE_MAX_BYTES / PAGE);
        } else if (strcmp(argv[i], "--seed") == 0 && !options.scan) {
            options.seed = parse(value, 0, UINT64_MAX);
        } else if (strcmp(argv[i], "--window") == 0 && options.scan) {
            options.window = (uint32_t)parse(value, 1, WINDOW_PAGES_MAX);
        } else if (strcmp(argv[i], "--depth") == 0 && options.scan) {
            options.ahead = parse(value, 1, AHEAD_MAX) == 1 ? 0 : AHEAD_MAX;
        } else {
            usage(argv[i]);
        }
    }

    if (!options.scan && options.count > options.pages) {
        usage("--count exceeds the pages of --size, and no page is fetched twice");
    }
}

static void find_cores(void) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        fail("sched_getaffinity");
    }

    int found = 0;
    for (int core = 0; core < CPU_SETSIZE && found < 2; core++) {
        if (CPU_ISSET(core, &allowed)) {
            cores[found++] = core;
        }
    }

    spinning = found == 2;
    options.pin &= spinning;
}

/* The host of a virtual machine may have taken what is free here: the first use of a page then takes the host 20 to
 * 100 us, which is neither the pager's work nor the kernel's. Asked for before, it stays for a second or two. */
static void back_free_memory(uint64_t bytes) {
    uint64_t half = (uint64_t)sysconf(_SC_AVPHYS_PAGES) / 2 * PAGE;
    bytes = bytes < half ? bytes : half;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory != MAP_FAILED) {
        munmap(memory, bytes);
    }
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    find_cores();
    back_free_memory((options.pages + (options.scan ? options.pages : options.count)) * PAGE);
    int userfault = open_userfault();
    char *region = map(options.pages * PAGE);
    struct uffdio_register range = {.range = {(uintptr_t)region, options.pages * PAGE},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ready[2];
    if (madvise(region, options.pages * PAGE, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) {
        fail("madvise");
    }

    if (ioctl(userfault, UFFDIO_REGISTER, &range) != 0 || pipe(ready) != 0 || listener < 0 ||
        bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        fail("set-up");
    }

    pid_t self = getpid(), children[2] = {0};
    signal(SIGCHLD, child_ended);
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            signal(SIGCHLD, SIG_DFL);
            die_with(self);
            if (i == 0) {
                run_sponsor(listener, ready[1]);
            } else {
                run_pager(userfault, region, &address);
            }
        } else if (children[i] < 0) {
            fail("fork");
        }
    }

    close(listener);
    place(cores[0]);
    char byte;
    if (read(ready[0], &byte, 1) != 1) {
        fail("the sponsor did not start");
    }

    bool verified = options.scan ? run_scan((uint64_t *)region) : run_faults((uint64_t *)region);
    printf("\"verified\":%s,\"pinned\":%s}\n", verified ? "true" : "false", options.pin ? "true" : "false");
    signal(SIGCHLD, SIG_DFL);
    for (int i = 0; i < 2; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }

    return verified ? 0 : 1;
}
