/*
 * heca_rdma.h: what of libibverbs and librdmacm C# cannot call itself (inline functions, macros, structures with
 * unions), in flat functions. No policy: who waits, retries, and decides is C# (src/Common/Transport/Rdma). Every
 * function returns 0 or a count, or -errno. Handles are pointers to the libraries' own objects. Nothing blocks but
 * heca_rdma_id_close and heca_rdma_deregister, which wait for the kernel.
 */
#ifndef HECA_RDMA_H
#define HECA_RDMA_H

#include <stddef.h>
#include <stdint.h>

#define HECA_RDMA_API __attribute__((visibility("default")))
#define HECA_RDMA_VERSION 3
#define HECA_RDMA_PRIVATE_BYTES 224

struct heca_rdma_device {
    char name[64];
    uint32_t ports;
    uint32_t ports_active;
    uint32_t reads_in_flight; /* max_qp_rd_atom: as the target of READs */
    uint32_t reads_to_start;  /* max_qp_init_rd_atom: as their source */
    uint32_t requests_max;    /* max_qp_wr */
    uint32_t completions_max; /* max_cqe */
};

enum heca_rdma_event_kind {
    HECA_RDMA_ADDRESS_RESOLVED = 1,
    HECA_RDMA_ROUTE_RESOLVED = 2,
    HECA_RDMA_CONNECT_REQUEST = 3,
    HECA_RDMA_ESTABLISHED = 4,
    HECA_RDMA_DISCONNECTED = 5,
    HECA_RDMA_REJECTED = 6,
    HECA_RDMA_FAILED = 7, /* address, route, connection or peer: `status` is -errno */
    HECA_RDMA_DEVICE_REMOVED = 8,
    HECA_RDMA_OTHER = 9,
};

struct heca_rdma_event {
    void *id;
    uint32_t kind;
    int32_t status;
    uint32_t reads_to_start;  /* what the peer will have in flight (initiator_depth) */
    uint32_t reads_in_flight; /* what it takes (responder_resources) */
    uint32_t private_bytes;
    uint32_t reserved;
    uint8_t private_data[HECA_RDMA_PRIVATE_BYTES];
};

struct heca_rdma_queue_options {
    uint32_t requests; /* WRITEs and READs in flight */
    uint32_t receives;
};

/* The queue pair of an id, with one completion queue for both directions. */
struct heca_rdma_queue {
    void *pair;
    void *completions;
    void *channel;
    int32_t descriptor; /* of the channel: readable when armed and completions have come */
    uint32_t number;
    int32_t *failed; /* set by heca_rdma_take_async where the device says that this queue is beyond use */
};

enum heca_rdma_op {
    HECA_RDMA_READ = 1,
    HECA_RDMA_WRITE = 2,
};

#define HECA_RDMA_UNSIGNALLED 1u /* no completion where it succeeds */

struct heca_rdma_request {
    uint64_t cookie;
    uint64_t local;
    uint64_t remote;
    uint32_t bytes;
    uint32_t local_key;
    uint32_t remote_key;
    uint16_t op;
    uint16_t flags;
};

struct heca_rdma_completion {
    uint64_t cookie;
    int32_t status; /* enum ibv_wc_status: 0 is success */
    uint32_t bytes; /* of a receive */
};

HECA_RDMA_API int32_t heca_rdma_version(void);

/* Devices with at least one port, up to `capacity`; returns how many there are. */
HECA_RDMA_API int32_t heca_rdma_devices(struct heca_rdma_device *devices, int32_t capacity);

/* Connection manager: events of all ids of a channel come on its descriptor, which does not block. */
HECA_RDMA_API int32_t heca_rdma_channel_open(void **channel, int32_t *descriptor);
HECA_RDMA_API void heca_rdma_channel_close(void *channel);
HECA_RDMA_API int32_t heca_rdma_id_open(void *channel, void **id);
HECA_RDMA_API int32_t heca_rdma_listen(void *id, const void *address, int32_t backlog);
HECA_RDMA_API int32_t heca_rdma_port(void *id);
HECA_RDMA_API int32_t heca_rdma_resolve_address(void *id, const void *address, int32_t timeout_ms);
HECA_RDMA_API int32_t heca_rdma_resolve_route(void *id, int32_t timeout_ms);
HECA_RDMA_API int32_t heca_rdma_connect(void *id, const void *private_data, uint8_t bytes, uint8_t reads_to_start);
HECA_RDMA_API int32_t heca_rdma_accept(void *id, const void *private_data, uint8_t bytes, uint8_t reads_in_flight);
HECA_RDMA_API int32_t heca_rdma_reject(void *id, const void *private_data, uint8_t bytes);
HECA_RDMA_API int32_t heca_rdma_disconnect(void *id);

/* Destroys the id, and its queue before it where it has one (else NULL, or one that was closed). Events of it that are
 * not taken yet must have been. */
HECA_RDMA_API void heca_rdma_id_close(void *id, struct heca_rdma_queue *queue);

/* 1 with an event, 0 when none has come. */
HECA_RDMA_API int32_t heca_rdma_next_event(void *channel, struct heca_rdma_event *event);

/* The device of an id whose address is resolved, or that a CONNECT_REQUEST brought. */
HECA_RDMA_API int32_t heca_rdma_device_of(void *id, struct heca_rdma_device *device);

/* What the device of an id tells outside of completions: the descriptor is readable, does not block and is the device's
 * own, the same for all its ids. Taking marks the queues concerned; returns 1 where the device itself is lost. */
HECA_RDMA_API int32_t heca_rdma_async_descriptor(void *id);
HECA_RDMA_API int32_t heca_rdma_take_async(void *id);

/* The name of the context that an id's objects belong to: equal for ids that can share a domain. */
HECA_RDMA_API uint64_t heca_rdma_context_of(void *id);

/* What is allowed to work together: regions and queues of one domain. */
HECA_RDMA_API int32_t heca_rdma_domain_open(void *id, void **domain);
HECA_RDMA_API int32_t heca_rdma_domain_close(void *domain);
HECA_RDMA_API int32_t heca_rdma_queue_open(void *id, void *domain, const struct heca_rdma_queue_options *options,
                                           struct heca_rdma_queue *queue);
HECA_RDMA_API void heca_rdma_queue_close(void *id, struct heca_rdma_queue *queue);

/* Puts the queue into error, which gives back what is in flight. The peer is not told, as heca_rdma_disconnect does. */
HECA_RDMA_API int32_t heca_rdma_queue_fail(const struct heca_rdma_queue *queue);

/* `remote`: 0 for buffers of one's own, 1 for memory that the peer reads and writes. */
HECA_RDMA_API int32_t heca_rdma_register(void *domain, void *memory, uint64_t bytes, int32_t remote, void **region,
                                         uint32_t *local_key, uint32_t *remote_key);
HECA_RDMA_API int32_t heca_rdma_deregister(void *region);

/* Requests in one chain, with one doorbell; returns how many were taken, fewer than asked with the reason in *status.
 */
HECA_RDMA_API int32_t heca_rdma_post(const struct heca_rdma_queue *queue, const struct heca_rdma_request *requests,
                                     int32_t count, int32_t *status);
HECA_RDMA_API int32_t heca_rdma_poll(const struct heca_rdma_queue *queue, struct heca_rdma_completion *completions,
                                     int32_t capacity);

/* The next completion makes the descriptor readable. Poll once more afterwards, or one that came before is missed. */
HECA_RDMA_API int32_t heca_rdma_arm(const struct heca_rdma_queue *queue);

/* Takes what made the descriptor readable. */
HECA_RDMA_API void heca_rdma_disarm(const struct heca_rdma_queue *queue);

/* A completion's status in words. */
HECA_RDMA_API const char *heca_rdma_status_text(int32_t status);

_Static_assert(sizeof(struct heca_rdma_device) == 88, "mirrored in RdmaAbi.cs");
_Static_assert(sizeof(struct heca_rdma_event) == 256, "mirrored in RdmaAbi.cs");
_Static_assert(sizeof(struct heca_rdma_queue) == 40, "mirrored in RdmaAbi.cs");
_Static_assert(sizeof(struct heca_rdma_request) == 40, "mirrored in RdmaAbi.cs");
_Static_assert(sizeof(struct heca_rdma_completion) == 16, "mirrored in RdmaAbi.cs");

#endif
