#include "handover.h"

int32_t heca_abi_version(void) {
    return HECA_ABI_VERSION;
}
