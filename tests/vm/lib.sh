# Sourced by tests/vm/checks/*: what they have in common. Commands of a check start in the repository's top.
# shellcheck shell=bash
set -uo pipefail

# Where pages travel, in every check: a veth end with soft RoCE on it. What the program sends there stays in the machine.
address=10.77.0.1

# How pages travel; a check does its work once with each. RDMA comes here.
# shellcheck disable=SC2034  # checks read it
read -ra transports <<<"${HECA_VM_TRANSPORTS:-tcp}"

# The programs ask for everything to be compiled at full optimization at once, which under emulation is half of a short run. What is
# measured (compare) is measured as users have it.
[ "$(basename "$0")" = compare ] || export DOTNET_TC_QuickJit=1

# How long to wait for what has to come, in seconds: a program takes long to start under emulation on a busy host.
patience=150

work=$(mktemp -d)
started=()
finish() {
    local status=$?
    [ ${#started[@]} -eq 0 ] || kill -9 "${started[@]}" 2>/dev/null
    exit $status
}
trap finish EXIT

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# expect WHAT FILTER FILE: a jq filter that must be true of the JSON in FILE.
expect() {
    jq -e "$2" "$3" >/dev/null || fail "$1: expected $2 of $(cat "$3")"
}

# until_true SECONDS COMMAND...: waits for a state; 1 when it does not come.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

# A network address of the machine's own, and soft RoCE on it; once in a machine.
network() {
    ip link show heca0 >/dev/null 2>&1 && return
    ip link add heca0 type veth peer name heca1 || fail "no veth"
    # Jumbo frames, as RDMA networks have: a page in one packet.
    { ip link set heca0 mtu 9000 && ip link set heca1 mtu 9000; } || fail "no jumbo frames"
    { ip addr add $address/24 dev heca0 && ip link set heca0 up && ip link set heca1 up; } || fail "no address"
    rdma link add rxe0 type rxe netdev heca0 || fail "no soft RoCE"
}

# sponsor MEMORY: starts one on $address; $sponsor is its process, and "${lent[@]}" what heca needs to borrow from it.
sponsor() {
    network
    : >"$work/announced"
    bin/heca-sponsor --listen $address --port 0 --data-port 0 --memory "$1" --keys "$work/keys" --metrics 127.0.0.1:9400 --announce \
        --log-level error >"$work/announced" 2>"$work/sponsor.errors" &
    sponsor=$!
    started+=("$sponsor")
    until_true $patience test -s "$work/announced" || fail "no sponsor: $(cat "$work/sponsor.errors")"
    # shellcheck disable=SC2034
    lent=(--sponsor "$address:$(jq .control_port "$work/announced")" --sponsor-key "$work/keys/sponsor.public")
}

# A figure of the sponsor: sponsor_metric heca_sponsor_pages_read_total
sponsor_metric() {
    local line
    exec 5<>/dev/tcp/127.0.0.1/9400 || return 1
    printf 'GET /metrics HTTP/1.1\r\nHost: heca\r\nConnection: close\r\n\r\n' >&5
    line=$(tr -d '\r' <&5 | grep "^$1 ")
    exec 5>&-
    echo "${line##* }"
}

# A memory cgroup of its own (v2, without swap); $group is its folder.
cgroup() {
    local setting
    group=/sys/fs/cgroup/heca-$1
    echo +memory >/sys/fs/cgroup/cgroup.subtree_control || fail "no memory controller"
    mkdir "$group" || fail "no cgroup"
    echo 0 >"$group/memory.swap.max"
    shift
    for setting in "$@"; do
        echo "${setting#*=}" >"$group/memory.${setting%%=*}" || fail "memory.${setting%%=*} was refused"
    done
}

# A line of the group's memory.events: group_event oom_kill
group_event() { sed -n "s/^$1 //p" "$group/memory.events"; }
