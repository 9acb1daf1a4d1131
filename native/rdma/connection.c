/*
 * connection.c: devices, and what the connection manager does.
 */
#include "heca_rdma.h"

#include <errno.h>
#include <fcntl.h>
#include <rdma/rdma_cma.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* rdma_cm: a connection whose peer is gone ends after so many silent retries; 7 means for ever only for "receiver not
 * ready", which cannot happen here because nothing is ever sent to a receive. */
#define RETRIES 6

int32_t heca_rdma_version(void) {
    return HECA_RDMA_VERSION;
}

static int32_t failed(void) {
    return errno != 0 ? -errno : -EIO;
}

static int32_t describe(struct ibv_context *context, struct heca_rdma_device *device) {
    struct ibv_device_attr attributes;
    int status = ibv_query_device(context, &attributes);
    if (status != 0) {
        return -status;
    }

    *device = (struct heca_rdma_device){
        .ports = attributes.phys_port_cnt,
        .reads_in_flight = (uint32_t)attributes.max_qp_rd_atom,
        .reads_to_start = (uint32_t)attributes.max_qp_init_rd_atom,
        .requests_max = (uint32_t)attributes.max_qp_wr,
        .completions_max = (uint32_t)attributes.max_cqe,
    };
    snprintf(device->name, sizeof device->name, "%s", ibv_get_device_name(context->device));
    for (uint8_t port = 1; port <= attributes.phys_port_cnt; port++) {
        struct ibv_port_attr state;
        if (ibv_query_port(context, port, &state) == 0 && state.state == IBV_PORT_ACTIVE) {
            device->ports_active++;
        }
    }

    return 0;
}

int32_t heca_rdma_devices(struct heca_rdma_device *devices, int32_t capacity) {
    int count = 0, found = 0;
    struct ibv_device **list = ibv_get_device_list(&count);
    if (list == NULL) {
        /* ENOSYS: the kernel has no verbs at all, which is no device. */
        return errno == ENOSYS ? 0 : failed();
    }

    for (int i = 0; i < count; i++) {
        struct ibv_context *context = ibv_open_device(list[i]);
        struct heca_rdma_device device;
        if (context != NULL && describe(context, &device) == 0 && device.ports > 0) {
            if (found < capacity) {
                devices[found] = device;
            }

            found++;
        }

        if (context != NULL) {
            ibv_close_device(context);
        }
    }

    ibv_free_device_list(list);
    return found;
}

int32_t heca_rdma_channel_open(void **channel, int32_t *descriptor) {
    struct rdma_event_channel *opened = rdma_create_event_channel();
    if (opened == NULL) {
        return failed();
    }

    int flags = fcntl(opened->fd, F_GETFL);
    if (flags < 0 || fcntl(opened->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        int32_t status = failed();
        rdma_destroy_event_channel(opened);
        return status;
    }

    *channel = opened;
    *descriptor = opened->fd;
    return 0;
}

void heca_rdma_channel_close(void *channel) {
    rdma_destroy_event_channel(channel);
}

int32_t heca_rdma_id_open(void *channel, void **id) {
    struct rdma_cm_id *opened;
    if (rdma_create_id(channel, &opened, NULL, RDMA_PS_TCP) != 0) {
        return failed();
    }

    *id = opened;
    return 0;
}

int32_t heca_rdma_listen(void *id, const void *address, int32_t backlog) {
    return rdma_bind_addr(id, (struct sockaddr *)(uintptr_t)address) != 0 || rdma_listen(id, backlog) != 0 ? failed()
                                                                                                           : 0;
}

int32_t heca_rdma_port(void *id) {
    return be16toh(rdma_get_src_port(id));
}

int32_t heca_rdma_resolve_address(void *id, const void *address, int32_t timeout_ms) {
    return rdma_resolve_addr(id, NULL, (struct sockaddr *)(uintptr_t)address, timeout_ms) != 0 ? failed() : 0;
}

int32_t heca_rdma_resolve_route(void *id, int32_t timeout_ms) {
    return rdma_resolve_route(id, timeout_ms) != 0 ? failed() : 0;
}

int32_t heca_rdma_connect(void *id, const void *private_data, uint8_t bytes, uint8_t reads_to_start) {
    struct rdma_conn_param parameters = {
        .private_data = private_data,
        .private_data_len = bytes,
        .initiator_depth = reads_to_start,
        .retry_count = RETRIES,
        .rnr_retry_count = RETRIES,
    };
    return rdma_connect(id, &parameters) != 0 ? failed() : 0;
}

int32_t heca_rdma_accept(void *id, const void *private_data, uint8_t bytes, uint8_t reads_in_flight) {
    struct rdma_conn_param parameters = {
        .private_data = private_data,
        .private_data_len = bytes,
        .responder_resources = reads_in_flight,
        .rnr_retry_count = RETRIES,
    };
    return rdma_accept(id, &parameters) != 0 ? failed() : 0;
}

int32_t heca_rdma_reject(void *id, const void *private_data, uint8_t bytes) {
    return rdma_reject(id, private_data, bytes) != 0 ? failed() : 0;
}

int32_t heca_rdma_disconnect(void *id) {
    return rdma_disconnect(id) != 0 ? failed() : 0;
}

void heca_rdma_id_close(void *id, struct heca_rdma_queue *queue) {
    if (queue != NULL && queue->pair != NULL) {
        heca_rdma_queue_close(id, queue);
    }

    rdma_destroy_id(id);
}

static uint32_t kind_of(enum rdma_cm_event_type type) {
    switch (type) {
    case RDMA_CM_EVENT_ADDR_RESOLVED:
        return HECA_RDMA_ADDRESS_RESOLVED;
    case RDMA_CM_EVENT_ROUTE_RESOLVED:
        return HECA_RDMA_ROUTE_RESOLVED;
    case RDMA_CM_EVENT_CONNECT_REQUEST:
        return HECA_RDMA_CONNECT_REQUEST;
    case RDMA_CM_EVENT_ESTABLISHED:
        return HECA_RDMA_ESTABLISHED;
    case RDMA_CM_EVENT_DISCONNECTED:
        return HECA_RDMA_DISCONNECTED;
    case RDMA_CM_EVENT_REJECTED:
        return HECA_RDMA_REJECTED;
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
        return HECA_RDMA_DEVICE_REMOVED;
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_CONNECT_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
        return HECA_RDMA_FAILED;
    default:
        return HECA_RDMA_OTHER;
    }
}

int32_t heca_rdma_next_event(void *channel, struct heca_rdma_event *event) {
    struct rdma_cm_event *taken;
    if (rdma_get_cm_event(channel, &taken) != 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : failed();
    }

    const struct rdma_conn_param *parameters = &taken->param.conn;
    uint32_t kind = kind_of(taken->event);
    bool carries = kind == HECA_RDMA_CONNECT_REQUEST || kind == HECA_RDMA_ESTABLISHED || kind == HECA_RDMA_REJECTED;
    uint32_t bytes = carries && parameters->private_data != NULL ? parameters->private_data_len : 0;
    bytes = bytes < HECA_RDMA_PRIVATE_BYTES ? bytes : HECA_RDMA_PRIVATE_BYTES;
    *event = (struct heca_rdma_event){
        .id = taken->id,
        .kind = kind,
        .status = taken->status,
        /* rdma_cm turns them round for who receives the event. */
        .reads_to_start = carries ? parameters->responder_resources : 0,
        .reads_in_flight = carries ? parameters->initiator_depth : 0,
        .private_bytes = bytes,
    };
    if (bytes > 0) {
        memcpy(event->private_data, parameters->private_data, bytes);
    }

    rdma_ack_cm_event(taken);
    return 1;
}

int32_t heca_rdma_device_of(void *id, struct heca_rdma_device *device) {
    struct ibv_context *context = ((struct rdma_cm_id *)id)->verbs;
    return context == NULL ? -ENODEV : describe(context, device);
}
