/*
 * sum.c: a big array in sponsored memory. Run it as `heca run --local 16MiB -- heca-sample`.
 *
 * heca-sample [NUMBERS]: fills NUMBERS (default 16 Mi) 64-bit integers in a scattered order, sorts them, and checks the
 * order and the sum. Prints "ok".
 */
#include <heca.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static int fail(const char *call, int32_t status) {
    fprintf(stderr, "heca-sample: %s: %s%s\n", call, strerror(-status),
            status == -ENOTCONN ? "; start it with `heca run -- heca-sample`" : "");
    return 1;
}

/* Within chunks of 1 MiB qsort is kind to memory that is far away; merging then reads each chunk in order. */
static void sort_chunks(uint64_t *numbers, uint64_t count, uint64_t chunk) {
    for (uint64_t i = 0; i < count; i += chunk) {
        qsort(numbers + i, count - i < chunk ? count - i : chunk, sizeof *numbers, compare);
    }
}

static void merge(const uint64_t *from, uint64_t *to, uint64_t left, uint64_t middle, uint64_t end) {
    uint64_t right = middle;
    for (uint64_t i = left; i < end; i++) {
        to[i] = left < middle && (right == end || from[left] <= from[right]) ? from[left++] : from[right++];
    }
}

int main(int argc, char **argv) {
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 16ull << 20;
    uint64_t bytes = count * sizeof(uint64_t), chunk = 128 << 10;
    void *memory[2];
    for (int i = 0; i < 2; i++) {
        int32_t status = heca_segment_allocate(bytes, 0, &memory[i]);
        if (status != 0) {
            return fail("heca_segment_allocate", status);
        }
    }

    uint64_t *numbers = memory[0], *other = memory[1], sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        numbers[i] = (i + 1) * 0x9E3779B97F4A7C15ull;
        sum += numbers[i];
    }

    sort_chunks(numbers, count, chunk);
    for (uint64_t run = chunk; run < count; run *= 2) {
        for (uint64_t left = 0; left < count; left += 2 * run) {
            uint64_t middle = left + run < count ? left + run : count;
            uint64_t end = middle + run < count ? middle + run : count;
            merge(numbers, other, left, middle, end);
        }

        uint64_t *sorted = other;
        other = numbers;
        numbers = sorted;
    }

    for (uint64_t i = 0; i < count; i++) {
        sum -= numbers[i];
        if (i > 0 && numbers[i - 1] > numbers[i]) {
            fprintf(stderr, "heca-sample: out of order at %" PRIu64 "\n", i);
            return 1;
        }
    }

    for (int i = 0; i < 2; i++) {
        int32_t status = heca_segment_free(memory[i]);
        if (status != 0) {
            return fail("heca_segment_free", status);
        }
    }

    if (sum != 0) {
        fprintf(stderr, "heca-sample: the sum is off by %" PRIu64 "\n", sum);
        return 1;
    }

    printf("ok\n");
    return 0;
}
