/*
 * rdma_tests.c: libheca_rdma on a real device (soft RoCE will do): one process is both ends, over the address it is
 * given. Usage: rdma_tests [ADDRESS]. Exit status 77, skipped, without an address or a device.
 */
#include "heca_rdma.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096ull
#define PAGES 64ull
#define WAIT_MS 5000
#define SKIPPED 77

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                              \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

struct key {
    uint64_t address;
    uint32_t remote_key;
    uint32_t magic;
};

struct side {
    void *channel;
    int32_t descriptor;
    void *id;
    void *domain;
    void *region;
    uint8_t *memory;
    uint32_t local_key, remote_key;
    struct heca_rdma_queue queue;
};

static void *pages(uint64_t count) {
    void *memory = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

static struct heca_rdma_event next_event(struct side *side, uint32_t kind) {
    struct heca_rdma_event event;
    for (;;) {
        int32_t got = heca_rdma_next_event(side->channel, &event);
        CHECK(got >= 0);
        if (got == 1) {
            if (event.kind != kind) {
                fprintf(stderr, "event %u with status %d, not %u\n", event.kind, event.status, kind);
            }

            CHECK(event.kind == kind);
            return event;
        }

        struct pollfd wait = {.fd = side->descriptor, .events = POLLIN};
        CHECK(poll(&wait, 1, WAIT_MS) == 1);
    }
}

static struct heca_rdma_completion next_completion(struct side *side) {
    struct heca_rdma_completion completion;
    for (;;) {
        CHECK(heca_rdma_arm(&side->queue) == 0);
        int32_t got = heca_rdma_poll(&side->queue, &completion, 1);
        CHECK(got >= 0);
        if (got == 1) {
            return completion;
        }

        struct pollfd wait = {.fd = side->queue.descriptor, .events = POLLIN};
        CHECK(poll(&wait, 1, WAIT_MS) == 1);
        heca_rdma_disarm(&side->queue);
    }
}

static void prepare(struct side *side, bool remote) {
    struct heca_rdma_queue_options options = {.requests = 64, .receives = 16};
    side->memory = pages(PAGES);
    CHECK(heca_rdma_domain_open(side->id, &side->domain) == 0);
    CHECK(heca_rdma_register(side->domain, side->memory, PAGES * PAGE, remote, &side->region, &side->local_key,
                             &side->remote_key) == 0);
    CHECK(heca_rdma_queue_open(side->id, side->domain, &options, &side->queue) == 0);
    CHECK(side->queue.descriptor >= 0);
}

static struct key join(struct side *listener, struct side *server, struct side *client,
                       const struct sockaddr_in *address) {
    CHECK(heca_rdma_channel_open(&client->channel, &client->descriptor) == 0);
    CHECK(heca_rdma_id_open(client->channel, &client->id) == 0);
    CHECK(heca_rdma_resolve_address(client->id, address, WAIT_MS) == 0);
    next_event(client, HECA_RDMA_ADDRESS_RESOLVED);
    CHECK(heca_rdma_resolve_route(client->id, WAIT_MS) == 0);
    next_event(client, HECA_RDMA_ROUTE_RESOLVED);
    prepare(client, false);
    CHECK(heca_rdma_connect(client->id, "hello", 5, 4) == 0);

    struct heca_rdma_event request = next_event(listener, HECA_RDMA_CONNECT_REQUEST);
    CHECK(request.private_bytes >= 5 && memcmp(request.private_data, "hello", 5) == 0);
    CHECK(request.reads_to_start == 4);
    server->id = request.id;
    server->channel = listener->channel;
    server->descriptor = listener->descriptor;
    prepare(server, true);
    struct key key = {(uintptr_t)server->memory, server->remote_key, 0x48454341};
    CHECK(heca_rdma_accept(server->id, &key, sizeof key, 4) == 0);
    struct heca_rdma_event established = next_event(client, HECA_RDMA_ESTABLISHED);
    next_event(listener, HECA_RDMA_ESTABLISHED);
    CHECK(established.private_bytes >= sizeof key);
    memcpy(&key, established.private_data, sizeof key);
    CHECK(key.magic == 0x48454341);
    return key;
}

static void leave(struct side *side) {
    heca_rdma_id_close(side->id, &side->queue);
    CHECK(heca_rdma_deregister(side->region) == 0);
    CHECK(heca_rdma_domain_close(side->domain) == 0);
    munmap(side->memory, PAGES * PAGE);
}

static struct heca_rdma_request request_of(const struct side *side, struct key key, uint16_t op, uint64_t page,
                                           uint64_t count) {
    return (struct heca_rdma_request){
        .cookie = page + 1,
        .local = (uintptr_t)side->memory + page * PAGE,
        .remote = key.address + page * PAGE,
        .bytes = (uint32_t)(count * PAGE),
        .local_key = side->local_key,
        .remote_key = key.remote_key,
        .op = op,
    };
}

/* A chain of WRITEs of which only the last is signalled, then READs of the same pages into a cleared buffer. */
static void pages_go_there_and_back(struct side *server, struct side *client, struct key key) {
    struct heca_rdma_request requests[PAGES / 2];
    int32_t status, count = PAGES / 2;
    for (uint64_t i = 0; i < PAGES * PAGE; i++) {
        client->memory[i] = (uint8_t)(i * 31 >> 5);
    }

    for (int32_t i = 0; i < count; i++) {
        requests[i] = request_of(client, key, HECA_RDMA_WRITE, 2 * (uint64_t)i, 2);
        requests[i].flags = i + 1 < count ? HECA_RDMA_UNSIGNALLED : 0;
    }

    CHECK(heca_rdma_post(&client->queue, requests, count, &status) == count && status == 0);
    struct heca_rdma_completion completion = next_completion(client);
    CHECK(completion.status == 0 && completion.cookie == requests[count - 1].cookie);
    CHECK(memcmp(client->memory, server->memory, PAGES * PAGE) == 0);

    memset(client->memory, 0, PAGES * PAGE);
    for (int32_t i = 0; i < count; i++) {
        requests[i] = request_of(client, key, HECA_RDMA_READ, 2 * (uint64_t)i, 2);
    }

    CHECK(heca_rdma_post(&client->queue, requests, count, &status) == count && status == 0);
    for (int32_t i = 0; i < count; i++) {
        completion = next_completion(client);
        CHECK(completion.status == 0 && completion.cookie == requests[i].cookie);
    }

    CHECK(memcmp(client->memory, server->memory, PAGES * PAGE) == 0);
}

/* Beyond the region, and after its key is gone: an error that ends the queue, and nothing else of the peer's is
 * touched. */
static void a_wrong_place_ends_the_queue(struct side *client, struct key key) {
    struct heca_rdma_request request = request_of(client, key, HECA_RDMA_READ, 0, 1);
    int32_t status;
    request.remote += PAGES * PAGE;
    CHECK(heca_rdma_post(&client->queue, &request, 1, &status) == 1);
    struct heca_rdma_completion completion = next_completion(client);
    CHECK(completion.status != 0);
    CHECK(strlen(heca_rdma_status_text(completion.status)) > 0);
    request.remote = key.address;
    if (heca_rdma_post(&client->queue, &request, 1, &status) == 1) {
        CHECK(next_completion(client).status != 0);
    }
}

static void a_refusal_says_why(struct side *listener, const struct sockaddr_in *address) {
    struct side client = {0};
    CHECK(heca_rdma_channel_open(&client.channel, &client.descriptor) == 0);
    CHECK(heca_rdma_id_open(client.channel, &client.id) == 0);
    CHECK(heca_rdma_resolve_address(client.id, address, WAIT_MS) == 0);
    next_event(&client, HECA_RDMA_ADDRESS_RESOLVED);
    CHECK(heca_rdma_resolve_route(client.id, WAIT_MS) == 0);
    next_event(&client, HECA_RDMA_ROUTE_RESOLVED);
    prepare(&client, false);
    CHECK(heca_rdma_connect(client.id, "x", 1, 1) == 0);
    struct heca_rdma_event request = next_event(listener, HECA_RDMA_CONNECT_REQUEST);
    CHECK(heca_rdma_reject(request.id, "no", 2) == 0);
    heca_rdma_id_close(request.id, NULL);
    struct heca_rdma_event refused = next_event(&client, HECA_RDMA_REJECTED);
    CHECK(refused.private_bytes >= 2 && memcmp(refused.private_data, "no", 2) == 0);
    leave(&client);
    heca_rdma_channel_close(client.channel);
}

int main(int argc, char **argv) {
    struct heca_rdma_device devices[4];
    int32_t found = heca_rdma_devices(devices, 4);
    CHECK(heca_rdma_version() == HECA_RDMA_VERSION);
    CHECK(found >= 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (found == 0 || argc < 2 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
        fprintf(stderr, "skipped: %s\n", found == 0 ? "no RDMA device" : "no address given");
        return SKIPPED;
    }

    CHECK(devices[0].requests_max > 0 && devices[0].reads_in_flight > 0 && devices[0].ports > 0);
    struct side listener = {0}, server = {0}, client = {0};
    CHECK(heca_rdma_channel_open(&listener.channel, &listener.descriptor) == 0);
    CHECK(heca_rdma_id_open(listener.channel, &listener.id) == 0);
    CHECK(heca_rdma_listen(listener.id, &address, 8) == 0);
    address.sin_port = htons((uint16_t)heca_rdma_port(listener.id));
    CHECK(address.sin_port != 0);

    struct heca_rdma_event none;
    CHECK(heca_rdma_next_event(listener.channel, &none) == 0);
    struct key key = join(&listener, &server, &client, &address);
    pages_go_there_and_back(&server, &client, key);
    a_wrong_place_ends_the_queue(&client, key);
    CHECK(heca_rdma_queue_fail(&client.queue) == 0);
    CHECK(heca_rdma_disconnect(server.id) == 0);
    next_event(&client, HECA_RDMA_DISCONNECTED);
    leave(&client);
    heca_rdma_channel_close(client.channel);
    next_event(&listener, HECA_RDMA_DISCONNECTED);
    leave(&server);

    a_refusal_says_why(&listener, &address);
    heca_rdma_id_close(listener.id, NULL);
    heca_rdma_channel_close(listener.channel);
    printf("%s: all passed\n", devices[0].name);
    return 0;
}
