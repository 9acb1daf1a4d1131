/* elastic.h: modes of heca-test-program in which a segment is far larger than memory, or changes its length. */
#ifndef HECA_TESTS_ELASTIC_H
#define HECA_TESTS_ELASTIC_H

#include <stdint.h>

int elastic(uint64_t mib, unsigned threads);
int sparse(uint64_t gib, uint64_t pages, uint64_t seed);

#endif
