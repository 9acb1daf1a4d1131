/*
 * internal.h: the parts of libheca and what they ask of each other.
 *
 *   session.c    the connection to the pager, one request at a time
 *   userfault.c  making userfaultfds
 *   segment.c    address space: reserve, register, hand to the pager, give back
 *   staging.c    where pages wait until the pager has read them
 *   evictor.c    the thread that takes and drops pages as the pager orders
 *   capture.c    for programs that know nothing of it: preloaded, opens the session when they start
 *   fork.c       fork of a captured program
 *   interpose.c  functions of the C library that would take a captured program from under the pager
 *
 * Functions that can fail return 0 or a negative errno.
 */
#ifndef HECA_INTERNAL_H
#define HECA_INTERNAL_H

#include "handover.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#define HECA_PAGE_BYTES 4096ull

/* Segments at once. Each holds a descriptor, of which a process has 1,024 unless told otherwise. */
#define HECA_SEGMENTS_MAX 1024

struct userfault {
    int descriptor;
    uint64_t features; /* the ones that are on, not all the kernel knows */
};

/* Pages that are moved while the pager may not read: some microseconds. */
#define HECA_GATE_PAGES 16

#define HECA_EVICTOR_STACK_BYTES (256ull << 10)

struct staging {
    char *base; /* HECA_STAGING_PAGES pages */
    char *gate; /* HECA_GATE_PAGES pages that segments' pages pass on their way; NULL without HECA_CAN_CHANGE */
    struct userfault userfault; /* of its own, as the destination of UFFDIO_MOVE; -1 where pages are copied */
};

struct session {
    pthread_mutex_t lock; /* serializes requests; no code that a fault waits for takes it */
    pid_t process;
    bool ready;
    uint32_t sequence;
    uint32_t resumptions; /* how many pagers have gone on where one had died */
    bool awaits_pager;    /* who holds the lock waits for the next */
    bool is_abandoned;    /* none came in time */
    int socket;
    int ring_descriptor;
    int commands_event;
    int completions_event;
    struct heca_ring *ring;
    int tables; /* of the pager, for the next one; -1: there can be none */
    int self;   /* a pidfd of this process, for process_madvise; -1 where that is not to be had */
    struct userfault userfault;
    struct staging staging;
    uint32_t can;      /* HECA_CAN_* */
    char path[108];    /* of the pager's socket; as long as an address can have it */
    bool has_override; /* the environment says when to stop, not the pager */
    uint64_t override_ms;
    uint64_t stop_after_ms; /* 0: never */
    char *evictor_stack;    /* HECA_EVICTOR_STACK_BYTES: of its own, since a program's stacks can become the pager's */
    uint64_t variables[8];  /* pairs of address and bytes: what the evictor's code has; 0 after the last */
    char *touched;          /* a page that only a forked child touches: by that fault the pager knows it */
    char stop_message[256]; /* formatted ahead: the evictor allocates nothing */
    size_t stop_message_bytes;
};

/* The one session of this process. */
extern struct session heca_session;

/* Enters a call: the session is made if there is none, the lock is held and cancellation is off on success. */
int32_t heca_session_enter(int *cancel_state);
void heca_session_leave(int cancel_state);

/* Sends `message` and replaces it by the answer; returns the answer's status, -ENOTCONN when the pager is gone and no
 * other comes, or -EPROTO. The next pager is asked again. The caller is inside the session. */
int32_t heca_session_request(struct session *session, struct heca_message *message);

/* Opens a userfaultfd with those of `features` that the kernel has, to move pages with: whether it is told of faults in
 * the kernel is left open. */
int32_t heca_userfault_open(uint64_t features, struct userfault *out);
/* Its two steps: a descriptor that is of no use yet, with which of `features` the kernel has; and these on. */
int32_t heca_userfault_new(uint64_t *features, int *descriptor);
int32_t heca_userfault_enable(int descriptor, uint64_t features);
int32_t heca_userfault_register(int descriptor, const void *address, uint64_t bytes, uint64_t mode);
void heca_userfault_unregister(int descriptor, const void *address, uint64_t bytes);
/* UFFDIO_MOVE; returns bytes moved, fewer than asked with the reason in *status. */
uint64_t heca_userfault_move(int descriptor, void *target, const void *source, uint64_t bytes, int32_t *status);
/* The same, once: -EAGAIN is the caller's to deal with. */
uint64_t heca_userfault_try_move(int descriptor, void *target, const void *source, uint64_t bytes, int32_t *status);

/* In the evictor: has the rights that the program's one thread has taken or given up (rights.c). */
void heca_rights_follow(void);

/* Private memory of the library's own: never shared with a child, locked, or made of huge pages. NULL where there is
 * none. */
char *heca_map_private(uint64_t bytes, int more_flags);

/* Makes the staging area and finds out whether pages can be moved into it (HECA_CAN_MOVE). */
int32_t heca_staging_open(struct staging *staging, bool *can_move);
/* Makes the gate, and registers it with `descriptor`, which is the segments', where that is known (not -1). */
int32_t heca_staging_open_gate(struct staging *staging, int descriptor);
void heca_staging_close(struct staging *staging);
bool heca_staging_contains(const struct staging *staging, uint64_t address, uint64_t bytes);

/* Lock-free, for the evictor: is [address, address + bytes) inside one live segment? */
bool heca_segments_contain(uint64_t address, uint64_t bytes);
bool heca_segments_any(void);
/* By the evictor, for the pager: -EAGAIN while the program is in a call. */
int32_t heca_segment_resize_from_outside(struct session *session, uint64_t address, uint64_t bytes);
/* In a forked child, where segments are not mapped: keeps other mappings out of their places. */
void heca_segments_occupy_in_child(void);

int32_t heca_evictor_start(struct session *session);
bool heca_pager_is_gone(const struct session *session);

/* Handlers of fork (pthread_atfork) of a captured program; fork.c. */
void heca_fork_prepare(struct session *session);
void heca_fork_leave(struct session *session);
/* In the child; false when the program's memory is not captured, and nothing was done. */
bool heca_fork_resume(struct session *session);
/* In a child, when all handlers have run: what needs the C library whole. */
void heca_fork_finish(struct session *session);
/* Of a child's only thread: its stack in its ring's table. */
void heca_fork_publish_stack(const struct session *session);
/* Registers them, once, and before all others where it is called before others are registered. */
void heca_watch_forks(void);
int heca_register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object);

/* True in the evictor, for which a fork waits: it passes the gate. */
extern __thread bool heca_is_evictor __attribute__((tls_model("initial-exec")));

/* Lets no madvise run that drops pages, from close to open; in the child, where nobody else is, as new. */
void heca_gate_close(void);
void heca_gate_open(void);
void heca_gate_reset(void);

/* The calling thread's stack in the ring's table; NULL where it has none. */
struct heca_range *heca_own_stack(const struct session *session);

/* Parts of making a session, which a forked child makes again. */
int32_t heca_session_connect(struct session *session);
int32_t heca_session_make_ring(struct session *session);
int32_t heca_session_make_evictor_stack(struct session *session);
void heca_session_raise_descriptors(struct session *session);
/* Those that come with the answer are the caller's; -1 where there are fewer. */
int32_t heca_session_say_hello(struct session *session, int answered[HECA_ANSWER_DESCRIPTORS]);
void heca_session_close_all(struct session *session);
/* Has another pager go on where one has died; not 0 where there is none yet. By the evictor. */
int32_t heca_session_resume(struct session *session);

/* True when what captured programs fork and start is captured too. */
bool heca_capture_follows(void);
/* True when this program was started to have its memory captured. */
bool heca_capture_is_wanted(void);
/* Of a process once, for it waits for a lock that a fork leaves locked. */
void heca_capture_find_variables(uint64_t pairs[8]);
/* Pairs of address and bytes that no pager may touch: what the evictor stands on. */
void heca_capture_keep_out(const struct session *session, uint64_t pairs[16]);

void heca_close(int *descriptor);

#endif
