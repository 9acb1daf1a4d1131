/*
 * XXH3's long-input construction (Y. Collet) over one page: eight 64-bit lanes, each adding the product of the two
 * halves of (data xor key) and, to its neighbour, the data itself; scrambled every 1 KiB; merged to 64 bits.
 *
 * It runs here, in the evictor, because the page is in this process: hashing it in place costs a third of what
 * copying it to the pager and hashing it there does, and an unchanged page then never leaves.
 */
#include "page_hash.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define LANES 8
#define STRIPES 16 /* of 64 bytes, to a block of 1 KiB */
#define BLOCKS 4
#define PRIME_MIX 0x9E3779B185EBCA87u
#define PRIME_SCRAMBLE 0x9E3779B1u

static uint64_t merge(const uint64_t *lanes, const uint64_t *key) {
    uint64_t hash = 4096 * PRIME_MIX;
    for (int i = 0; i < LANES; i += 2) {
        unsigned __int128 product = (unsigned __int128)(lanes[i] ^ key[i + 1]) * (lanes[i + 1] ^ key[i + 2]);
        hash += (uint64_t)product ^ (uint64_t)(product >> 64);
    }

    hash ^= hash >> 37;
    hash *= 0x165667919E3779F9u;
    return hash ^ (hash >> 32);
}

static uint64_t hash_scalar(const uint64_t *words, const uint64_t *key) {
    uint64_t lanes[LANES];
    for (int i = 0; i < LANES; i++) {
        lanes[i] = key[i];
    }

    for (int block = 0; block < BLOCKS; block++) {
        for (int stripe = 0; stripe < STRIPES; stripe++, words += LANES) {
            for (int i = 0; i < LANES; i++) {
                uint64_t keyed = words[i] ^ key[stripe + i];
                lanes[i] += (keyed & 0xFFFFFFFF) * (keyed >> 32);
                lanes[i ^ 1] += words[i];
            }
        }

        for (int i = 0; i < LANES; i++) {
            lanes[i] = (lanes[i] ^ (lanes[i] >> 47) ^ key[STRIPES + i]) * PRIME_SCRAMBLE;
        }
    }

    return merge(lanes, key);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static inline __m256i load(const uint64_t *words) {
    return _mm256_loadu_si256((const __m256i *)words);
}

__attribute__((target("avx2"))) static inline __m256i accumulate(__m256i sum, __m256i data, __m256i key) {
    __m256i keyed = _mm256_xor_si256(data, key);
    __m256i product = _mm256_mul_epu32(keyed, _mm256_srli_epi64(keyed, 32));
    return _mm256_add_epi64(sum, _mm256_add_epi64(product, _mm256_shuffle_epi32(data, 0x4E)));
}

__attribute__((target("avx2"))) static inline __m256i scramble(__m256i sum, __m256i key) {
    __m256i prime = _mm256_set1_epi64x(PRIME_SCRAMBLE);
    __m256i mixed = _mm256_xor_si256(_mm256_xor_si256(sum, _mm256_srli_epi64(sum, 47)), key);
    __m256i high = _mm256_mul_epu32(_mm256_srli_epi64(mixed, 32), prime);
    return _mm256_add_epi64(_mm256_mul_epu32(mixed, prime), _mm256_slli_epi64(high, 32));
}

__attribute__((target("avx2"))) static uint64_t hash_avx2(const uint64_t *words, const uint64_t *key) {
    __m256i low = load(key), high = load(key + 4);
    for (int block = 0; block < BLOCKS; block++) {
        for (int stripe = 0; stripe < STRIPES; stripe++, words += LANES) {
            low = accumulate(low, load(words), load(key + stripe));
            high = accumulate(high, load(words + 4), load(key + stripe + 4));
        }

        low = scramble(low, load(key + STRIPES));
        high = scramble(high, load(key + STRIPES + 4));
    }

    uint64_t lanes[LANES];
    _mm256_storeu_si256((__m256i *)lanes, low);
    _mm256_storeu_si256((__m256i *)(lanes + 4), high);
    return merge(lanes, key);
}
#endif

uint64_t heca_page_hash(const void *page, const uint64_t *key) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        return hash_avx2(page, key);
    }
#endif
    return hash_scalar(page, key);
}
