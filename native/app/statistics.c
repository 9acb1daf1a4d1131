/* statistics.c: the pager's counters for this program. */
#include "internal.h"

#include <errno.h>
#include <string.h>

int32_t heca_statistics_read(struct heca_statistics *out) {
    if (out == NULL) {
        return -EINVAL;
    }

    int cancel_state;
    int32_t status = heca_session_enter(&cancel_state);
    if (status != 0) {
        return status;
    }

    struct heca_message message = {.kind = HECA_MESSAGE_STATISTICS};
    status = heca_session_request(&heca_session, &message);
    heca_session_leave(cancel_state);
    if (status == 0) {
        /* Outside the lock: `out` may lie in sponsored memory. */
        _Static_assert(sizeof message.payload == sizeof *out, "the payload is the structure");
        memcpy(out, message.payload, sizeof *out);
    }

    return status;
}
