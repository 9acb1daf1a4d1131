/*
 * kernel.h: the userfaultfd calls that are newer than the headers of the oldest distribution we build on (Debian 12 has
 * those of Linux 6.1). Names of our own, so that newer headers do not collide. Source:
 * include/uapi/linux/userfaultfd.h.
 */
#ifndef HECA_KERNEL_H
#define HECA_KERNEL_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/userfaultfd.h>

#define HECA_UFFD_FEATURE_EXACT_ADDRESS (1ull << 11) /* 5.18 */
#define HECA_UFFD_FEATURE_POISON (1ull << 14)        /* 6.6 */
#define HECA_UFFD_FEATURE_MOVE (1ull << 16)          /* 6.8 */

struct heca_uffdio_move {
    __u64 dst;
    __u64 src;
    __u64 len;
    __u64 mode;
    __s64 move; /* out: bytes moved, or -errno where not one page was */
};
#define HECA_UFFDIO_MOVE _IOWR(UFFDIO, 0x05, struct heca_uffdio_move)

#ifndef USERFAULTFD_IOC_NEW /* 6.1 */
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

#endif
