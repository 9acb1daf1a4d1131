/* The hash by which the pager knows a page that comes back unchanged. src/Demander/WriteBack/PageHash.cs is the same
 * function. */
#ifndef HECA_PAGE_HASH_H
#define HECA_PAGE_HASH_H

#include "handover.h"

/* Hashes one page of 4096 bytes with a key of HECA_HASH_KEY_WORDS. */
uint64_t heca_page_hash(const void *page, const uint64_t *key);

#endif
