/*
 * queue.c: regions, queue pairs, requests and completions.
 */
#include "heca_rdma.h"

#include <errno.h>
#include <fcntl.h>
#include <rdma/rdma_cma.h>
#include <stdlib.h>
#include <string.h>

/* Requests of one chain; more are posted in several. */
#define CHAIN_MAX 64

static int32_t failed(void) {
    return errno != 0 ? -errno : -EIO;
}

int32_t heca_rdma_domain_open(void *id, void **domain) {
    struct ibv_context *context = ((struct rdma_cm_id *)id)->verbs;
    struct ibv_pd *opened = context == NULL ? NULL : ibv_alloc_pd(context);
    if (opened == NULL) {
        return context == NULL ? -ENODEV : failed();
    }

    *domain = opened;
    return 0;
}

int32_t heca_rdma_domain_close(void *domain) {
    return -ibv_dealloc_pd(domain);
}

int32_t heca_rdma_queue_open(void *id, void *domain, const struct heca_rdma_queue_options *options,
                             struct heca_rdma_queue *queue) {
    struct rdma_cm_id *connection = id;
    struct ibv_comp_channel *channel = ibv_create_comp_channel(connection->verbs);
    if (channel == NULL) {
        return failed();
    }

    int32_t status = 0;
    int32_t *beyond_use = calloc(1, sizeof *beyond_use);
    int flags = fcntl(channel->fd, F_GETFL);
    struct ibv_cq *completions =
        ibv_create_cq(connection->verbs, (int)(options->requests + options->receives), NULL, channel, 0);
    if (flags < 0 || fcntl(channel->fd, F_SETFL, flags | O_NONBLOCK) != 0 || completions == NULL ||
        beyond_use == NULL) {
        status = failed();
    } else {
        struct ibv_qp_init_attr attributes = {
            .qp_context = beyond_use,
            .send_cq = completions,
            .recv_cq = completions,
            .cap = {.max_send_wr = options->requests,
                    .max_recv_wr = options->receives,
                    .max_send_sge = 1,
                    .max_recv_sge = 1},
            .qp_type = IBV_QPT_RC,
        };
        status = rdma_create_qp(connection, domain, &attributes) != 0 ? failed() : 0;
    }

    if (status != 0) {
        if (completions != NULL) {
            ibv_destroy_cq(completions);
        }

        ibv_destroy_comp_channel(channel);
        free(beyond_use);
        return status;
    }

    *queue = (struct heca_rdma_queue){
        .pair = connection->qp,
        .completions = completions,
        .channel = channel,
        .descriptor = channel->fd,
        .number = connection->qp->qp_num,
        .failed = beyond_use,
    };
    return 0;
}

int32_t heca_rdma_queue_fail(const struct heca_rdma_queue *queue) {
    struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_ERR};
    return -ibv_modify_qp(queue->pair, &attributes, IBV_QP_STATE);
}

void heca_rdma_queue_close(void *id, struct heca_rdma_queue *queue) {
    rdma_destroy_qp(id);
    ibv_destroy_cq(queue->completions);
    ibv_destroy_comp_channel(queue->channel);
    free(queue->failed);
    memset(queue, 0, sizeof *queue);
}

int32_t heca_rdma_async_descriptor(void *id) {
    struct ibv_context *context = ((struct rdma_cm_id *)id)->verbs;
    if (context == NULL) {
        return -ENODEV;
    }

    int flags = fcntl(context->async_fd, F_GETFL);
    return flags < 0 || fcntl(context->async_fd, F_SETFL, flags | O_NONBLOCK) != 0 ? failed() : context->async_fd;
}

int32_t heca_rdma_take_async(void *id) {
    struct ibv_context *context = ((struct rdma_cm_id *)id)->verbs;
    struct ibv_async_event event;
    int32_t lost = 0;
    while (ibv_get_async_event(context, &event) == 0) {
        switch (event.event_type) {
        case IBV_EVENT_QP_FATAL:
        case IBV_EVENT_QP_REQ_ERR:
        case IBV_EVENT_QP_ACCESS_ERR:
        case IBV_EVENT_PATH_MIG_ERR:
            *(volatile int32_t *)event.element.qp->qp_context = 1;
            break;
        case IBV_EVENT_DEVICE_FATAL:
            lost = 1;
            break;
        default:
            break;
        }

        ibv_ack_async_event(&event);
    }

    return lost;
}

uint64_t heca_rdma_context_of(void *id) {
    return (uintptr_t)((struct rdma_cm_id *)id)->verbs;
}

int32_t heca_rdma_register(void *domain, void *memory, uint64_t bytes, int32_t remote, void **region,
                           uint32_t *local_key, uint32_t *remote_key) {
    int access = IBV_ACCESS_LOCAL_WRITE | (remote != 0 ? IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE : 0);
    struct ibv_mr *registered = ibv_reg_mr(domain, memory, bytes, access);
    if (registered == NULL) {
        return failed();
    }

    *region = registered;
    *local_key = registered->lkey;
    *remote_key = registered->rkey;
    return 0;
}

int32_t heca_rdma_deregister(void *region) {
    return -ibv_dereg_mr(region);
}

int32_t heca_rdma_post(const struct heca_rdma_queue *queue, const struct heca_rdma_request *requests, int32_t count,
                       int32_t *status) {
    struct ibv_send_wr chain[CHAIN_MAX];
    struct ibv_sge pieces[CHAIN_MAX];
    *status = 0;
    for (int32_t posted = 0; posted < count;) {
        int32_t now = count - posted < CHAIN_MAX ? count - posted : CHAIN_MAX;
        for (int32_t i = 0; i < now; i++) {
            const struct heca_rdma_request *request = &requests[posted + i];
            pieces[i] = (struct ibv_sge){request->local, request->bytes, request->local_key};
            chain[i] = (struct ibv_send_wr){
                .wr_id = request->cookie,
                .next = i + 1 < now ? &chain[i + 1] : NULL,
                .sg_list = &pieces[i],
                /* A piece of 0 bytes means 2 GiB to some devices; a request without one means nothing. */
                .num_sge = request->bytes > 0 ? 1 : 0,
                .opcode = request->op == HECA_RDMA_READ ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE,
                .send_flags = (request->flags & HECA_RDMA_UNSIGNALLED) == 0 ? IBV_SEND_SIGNALED : 0u,
                .wr.rdma = {.remote_addr = request->remote, .rkey = request->remote_key},
            };
        }

        struct ibv_send_wr *bad = NULL;
        int error = ibv_post_send(queue->pair, chain, &bad);
        if (error != 0) {
            *status = -error;
            return posted + (bad != NULL ? (int32_t)(bad - chain) : 0);
        }

        posted += now;
    }

    return count;
}

int32_t heca_rdma_poll(const struct heca_rdma_queue *queue, struct heca_rdma_completion *completions,
                       int32_t capacity) {
    struct ibv_wc taken[CHAIN_MAX];
    int count = ibv_poll_cq(queue->completions, capacity < CHAIN_MAX ? capacity : CHAIN_MAX, taken);
    for (int i = 0; i < count; i++) {
        completions[i] = (struct heca_rdma_completion){taken[i].wr_id, (int32_t)taken[i].status, taken[i].byte_len};
    }

    return count < 0 ? -EIO : count;
}

int32_t heca_rdma_arm(const struct heca_rdma_queue *queue) {
    return -ibv_req_notify_cq(queue->completions, 0);
}

void heca_rdma_disarm(const struct heca_rdma_queue *queue) {
    struct ibv_cq *completions;
    void *context;
    while (ibv_get_cq_event(queue->channel, &completions, &context) == 0) {
        ibv_ack_cq_events(completions, 1);
    }
}

const char *heca_rdma_status_text(int32_t status) {
    return ibv_wc_status_str((enum ibv_wc_status)status);
}
