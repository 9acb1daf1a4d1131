/* clang-format off */
/*
 * handover.h: what libheca and the pager say to each other. The pager's mirror is src/Demander/Handover/HandoverAbi.cs;
 * the assertions at the end and a layout test on the other side keep the two the same.
 *
 * Two channels join a program to its pager.
 *
 * 1. A SOCK_SEQPACKET Unix socket (path in HECA_SOCKET). One packet is one message of `struct heca_message`. The
 *    program asks, the pager answers each request with one packet of the same `kind` and `sequence`, `status` 0 or
 *    -errno. Requests are serial: the library sends the next one when the last is answered. The connection lives as
 *    long as the session; its end tells either side that the other is gone.
 *
 *    ENABLE      before HELLO, with one descriptor: a userfaultfd without the features that the program may not ask
 *                for; value0 = those that it is to have. A pager with the privilege asks in its place.
 *    HELLO       with four descriptors (SCM_RIGHTS): userfaultfd, ring memfd, eventfd "commands", eventfd
 *                "completions". address/bytes = staging area; value1 = the process as it knows itself, which in a
 *                namespace is not how the pager knows it; value2 = HECA_CAN_* bits. With HECA_CAN_CAPTURE value3 = a
 *                page that only a forked child touches, and the payload holds up to eight pairs of address and bytes,
 *                0 after the last: memory that must stay out of the pager's hands.
 *                Answer: value0 = milliseconds after which a program whose pager died is stopped (0: never); a
 *                descriptor: what the pager knows of the program's pages, for the next pager if this one dies.
 *                When it has, the same is said to another pager (HECA_IS_RESUMED), with that descriptor as the fifth
 *                and the ring as new. The answer brings another descriptor in its place. A forked child is answered
 *                with its userfaultfd before that descriptor; to another pager it gives both, as any program.
 *    RESUMED     the program has that descriptor: only now the pager begins. No answer.
 *    ALLOCATE    address/bytes = the new, already registered range; value0 = the bytes it can grow to.
 *    FREE        address = start of a segment. The answer comes when no page of it is resident or in flight; the
 *                library then unregisters and unmaps.
 *    RESIZE      address, bytes = new length. Growing: the range is registered already. Shrinking: the answer comes
 *                when the pages at the end are gone; the library then unregisters them.
 *    ADVISE      address, bytes, value0 = enum heca_advice.
 *    STATISTICS  the answer's payload is struct heca_statistics.
 *
 * 2. The ring: shared memory with two single-producer, single-consumer queues of fixed size.
 *    commands: pager -> evictor thread of the library, the only one that may move pages of this address space.
 *    completions: evictor -> pager, one per command, in order of the commands.
 *    Indices are free-running 32-bit counters; entry i lives in slot i % HECA_RING_ENTRIES. The producer writes the
 *    entry, then publishes the index with release order; the consumer reads it with acquire order. The pager never
 *    has more than HECA_RING_ENTRIES commands unanswered, so neither queue can overflow. A side that is about to
 *    sleep sets its *_sleeping word (seq_cst), looks at the queue once more, then reads its eventfd; the producer
 *    writes the eventfd only where it finds the word set, and clears it by exchange.
 */
/* clang-format on */
#ifndef HECA_HANDOVER_H
#define HECA_HANDOVER_H

#include "heca.h"

#include <stddef.h>
#include <stdint.h>

#define HECA_HANDOVER_MAGIC 0x41434548u /* "HECA" in memory */
#define HECA_HANDOVER_VERSION 4
#define HECA_RING_ENTRIES 512
#define HECA_ANSWER_DESCRIPTORS 2
#define HECA_STAGING_PAGES 4096 /* 16 MiB: bounds the write-backs in flight */

enum heca_message_kind {
    HECA_MESSAGE_HELLO = 1,
    HECA_MESSAGE_ALLOCATE = 2,
    HECA_MESSAGE_FREE = 3,
    HECA_MESSAGE_RESIZE = 4,
    HECA_MESSAGE_ADVISE = 5,
    HECA_MESSAGE_STATISTICS = 6,
    HECA_MESSAGE_ENABLE = 7,
    HECA_MESSAGE_RESUMED = 8,
};

/* What the kernel lets the library do; the pager adapts. */
#define HECA_CAN_MOVE 1u     /* UFFDIO_MOVE works (tried, not just announced) */
#define HECA_CAN_POISON 2u   /* UFFDIO_POISON is announced */
#define HECA_CAN_WP 4u       /* segments are registered for write-protection too */
#define HECA_CAN_CHANGE 8u   /* the userfaultfd tells of munmap, mremap and madvise in segments; then without WP */
#define HECA_CAN_CAPTURE 16u /* with CAN_CHANGE: the pager may register memory itself, but what is kept out */
/* Of a child that was forked with captured memory: the pager has its userfaultfd, told with the fork, knows it by the
 * thread that touched the page of value3, and answers with the descriptor. The HELLO has the other three. With
 * HECA_IS_RESUMED it is only said that this was one. */
#define HECA_IS_FORKED 32u
/* Its pager has died; what that one knew comes with the HELLO. */
#define HECA_IS_RESUMED 64u
#define HECA_CAN_RESIZE 128u /* the evictor knows the command RESIZE */

struct heca_message {
    uint32_t magic;
    uint16_t version;
    uint16_t kind;
    uint32_t sequence;
    int32_t status;
    uint64_t address;
    uint64_t bytes;
    uint64_t value0;
    uint64_t value1;
    uint64_t value2;
    uint64_t value3;
    uint64_t payload[16]; /* struct heca_statistics in a STATISTICS answer; what is kept out in a HELLO; else 0 */
};

enum heca_command_op {
    /* Move `pages` from `source` (segment) to `target` (staging): afterwards the source pages are missing and a touch
     * is a fault. With UFFDIO_MOVE where it is there; else write-protect, copy, MADV_DONTNEED. The completion's `pages`
     * says how many leading pages moved; fewer than asked: `status` is the -errno that stopped it. */
    HECA_COMMAND_TAKE = 1,
    /* Return staging pages to the kernel: `pages` from `target`. */
    HECA_COMMAND_RECYCLE = 2,
    /* Drop `pages` of the segment from `source` on: MADV_DONTNEED. */
    HECA_COMMAND_DROP = 3,
    /* The segment at `source` has `target` bytes from now on, by order from outside. What is new is registered and made
     * accessible; what is beyond loses access first, then its registration, which wakes who waits there, then its
     * pages. All of it or nothing; again is nothing. `pages` is 1. EAGAIN: the program is in a call of its own. */
    HECA_COMMAND_RESIZE = 4,
};

struct heca_command {
    uint32_t op;
    uint32_t pages;
    uint64_t source;
    uint64_t target;
    uint64_t cookie;
    uint32_t generation; /* of the ring when the command was posted */
    uint32_t reserved;
};

struct heca_completion {
    uint64_t cookie;
    int32_t status;
    uint32_t pages;
};

/* A random key that the pager writes before it answers the HELLO. */
#define HECA_HASH_KEY_WORDS 24

/* Threads whose stacks the pager can be told of; those of more are memory like any other. */
#define HECA_STACKS_MAX 512

struct heca_range {
    uint64_t address; /* 0: no range. Written last */
    uint64_t bytes;
};

struct heca_ring {
    _Alignas(64) uint32_t commands_head; /* written by the pager */
    _Alignas(64) uint32_t commands_tail; /* written by the evictor */
    _Alignas(64) uint32_t evictor_sleeping;
    uint32_t evictor_thread;                /* its thread id, once it runs: the pager places it beside itself */
    _Alignas(64) uint32_t completions_head; /* written by the evictor */
    _Alignas(64) uint32_t completions_tail; /* written by the pager */
    _Alignas(64) uint32_t pager_sleeping;
    /* Only with HECA_CAN_CHANGE. What was munmapped or mremapped may have something else in its place once the pager
     * has read of it. So the pager reads events only while no page is being moved, adds 1 to `generation` where one of
     * them concerns a place, and a TAKE of an earlier generation is answered with EAGAIN. Until the pager has read of a
     * change, it is the kernel that refuses the move. */
    _Alignas(64) uint32_t pager_reading; /* written by the pager */
    uint32_t generation;
    uint32_t has_captured; /* written by the pager, once and before it registers the first range itself */
    /* What of changes the pager reads from its acknowledgement on may be after a fork. Odd while the program forks; it
     * goes on into the fork, and out of it, when the pager has said the same. Between the two has_captured stays. */
    uint32_t fork_acknowledged;           /* written by the pager */
    _Alignas(64) uint32_t evictor_moving; /* written by the evictor */
    uint32_t fork_asked;                  /* written by the thread that forks */
    _Alignas(64) struct heca_command commands[HECA_RING_ENTRIES];
    struct heca_completion completions[HECA_RING_ENTRIES];
    uint64_t hash_key[HECA_HASH_KEY_WORDS];
    /* By page of the staging area: the hash of what a TAKE moved there (page_hash.h), written before its completion. */
    uint64_t staged_hashes[HECA_STAGING_PAGES];
    /* Of the threads that live, in a captured program: kept out of the pager's hands. */
    struct heca_range stacks[HECA_STACKS_MAX];
};

_Static_assert(sizeof(struct heca_statistics) == 128, "mirrored in Statistics.cs");
_Static_assert(sizeof(struct heca_message) == 192, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_message, address) == 16, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_message, payload) == 64, "mirrored in HandoverAbi.cs");
_Static_assert(sizeof(struct heca_command) == 40, "mirrored in HandoverAbi.cs");
_Static_assert(sizeof(struct heca_completion) == 16, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_ring, evictor_sleeping) == 128, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_ring, pager_sleeping) == 320, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_ring, pager_reading) == 384, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_ring, generation) == 388, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_ring, has_captured) == 392, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_ring, fork_acknowledged) == 396, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_ring, evictor_moving) == 448, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_ring, fork_asked) == 452, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_ring, commands) == 512, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_ring, completions) == 512 + 40 * HECA_RING_ENTRIES, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_ring, hash_key) == 512 + 56 * HECA_RING_ENTRIES, "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_ring, staged_hashes) == 512 + 56 * HECA_RING_ENTRIES + 8 * HECA_HASH_KEY_WORDS,
               "mirrored in HandoverAbi.cs");
_Static_assert(offsetof(struct heca_ring, stacks) ==
                   512 + 56 * HECA_RING_ENTRIES + 8 * HECA_HASH_KEY_WORDS + 8 * HECA_STAGING_PAGES,
               "mirrored in HandoverAbi.cs");

#endif
