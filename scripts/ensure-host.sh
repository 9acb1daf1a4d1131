#!/bin/bash
# Makes sure that this host has what `make` needs: ensure-host.sh build|demo|test|test-vm|compare-vm|check. Installs the Debian packages that are
# missing, and only those. What it cannot mend it says in one line, with how to get it, and exits 3.
set -euo pipefail

purpose=${1:-build}

lacking() {
    echo "heca: $*" >&2
    exit 3
}

has_header() { [ -e "/usr/include/$1" ] || [ -e "/usr/include/$(uname -m)-linux-gnu/$1" ]; }
has_library() { ldconfig=$(command -v ldconfig || echo /sbin/ldconfig); "$ldconfig" -p 2>/dev/null | grep -F "$1" >/dev/null; }
has_python() { /usr/bin/python3 -c "import $1" 2>/dev/null; }

[ "$(uname -s)" = Linux ] || lacking "this is $(uname -s); Hecatonchire runs on Linux"

if ! command -v dotnet >/dev/null || ! dotnet --list-sdks | grep '^10\.' >/dev/null; then
    lacking "no .NET 10 SDK: install it with: curl -fsSL https://dot.net/v1/dotnet-install.sh | bash -s -- --channel 10.0 && export PATH=\$HOME/.dotnet:\$PATH"
fi

missing=()
command -v cmake >/dev/null || missing+=(cmake)
command -v gcc >/dev/null || command -v cc >/dev/null || missing+=(gcc)
has_header stdio.h || missing+=(libc6-dev)
has_library libzmq.so.5 || missing+=(libzmq5)
# RDMA is a part that a build can do without.
wished=()
has_header infiniband/verbs.h || wished+=(libibverbs-dev)
has_header rdma/rdma_cma.h || wished+=(librdmacm-dev)
has_library libibverbs.so.1 && [ -d /etc/libibverbs.d ] || wished+=(ibverbs-providers)
if [ "$purpose" = test ]; then
    has_python zmq || missing+=(python3-zmq)
    has_python msgpack || missing+=(python3-msgpack)
    has_python numpy || missing+=(python3-numpy)
    command -v redis-server >/dev/null || missing+=(redis-server)
    command -v memcached >/dev/null || missing+=(memcached)
    command -v stress-ng >/dev/null || missing+=(stress-ng)
    command -v promtool >/dev/null || missing+=(prometheus)
    command -v etcd >/dev/null || missing+=(etcd-server)
    { command -v ip || [ -x /usr/sbin/ip ]; } >/dev/null || missing+=(iproute2)
    { command -v mkfs.ext4 || [ -x /sbin/mkfs.ext4 ]; } >/dev/null || missing+=(e2fsprogs)
    { command -v losetup || [ -x /sbin/losetup ]; } >/dev/null || missing+=(mount)
    command -v man >/dev/null || missing+=(man-db)
    command -v mandoc >/dev/null || missing+=(mandoc)
    command -v systemd-analyze >/dev/null || missing+=(systemd)
elif [ "$purpose" = test-vm ]; then
    command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
    command -v busybox >/dev/null || missing+=(busybox-static)
    command -v cpio >/dev/null || missing+=(cpio)
    { command -v depmod || [ -x /sbin/depmod ]; } >/dev/null || missing+=(kmod)
    { command -v rdma || [ -x /sbin/rdma ]; } >/dev/null || missing+=(iproute2)
    has_header infiniband/verbs.h || missing+=(libibverbs-dev)
    has_header rdma/rdma_cma.h || missing+=(librdmacm-dev)
    [ -d /etc/libibverbs.d ] || missing+=(ibverbs-providers)
    command -v ib_read_lat >/dev/null || missing+=(perftest)
    command -v jq >/dev/null || missing+=(jq)
    command -v xz >/dev/null || missing+=(xz-utils)
    command -v pgrep >/dev/null || missing+=(procps)
elif [ "$purpose" = compare-vm ]; then
    "$0" test-vm
    command -v nbdkit >/dev/null || missing+=(nbdkit)
    { command -v nbd-client || [ -x /sbin/nbd-client ]; } >/dev/null || missing+=(nbd-client)
    { command -v mkfs.ext4 || [ -x /sbin/mkfs.ext4 ]; } >/dev/null || missing+=(e2fsprogs)
elif [ "$purpose" = check ]; then
    command -v clang-format >/dev/null || missing+=(clang-format)
fi

# For promtool, redis-server, memcached and etcd as programs: the daemons of the packages are neither started now nor at the next boot.
policy=/usr/sbin/policy-rc.d
policy_is_ours=no
forget_policy() { [ "$policy_is_ours" = no ] || rm -f "$policy"; }
trap forget_policy EXIT

forbid_services() {
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && policy_is_ours=yes; }
}

# The lock is often held for a moment by a host's own timers.
apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" </dev/null; }

if [ ${#missing[@]} -gt 0 ]; then
    install="apt-get install --no-install-recommends ${missing[*]}"
    command -v apt-get >/dev/null || lacking "missing: ${missing[*]} (names of Debian's packages); install them with this host's package manager"
    [ "$(id -u)" = 0 ] || lacking "missing: ${missing[*]}; install them with: sudo $install"
    echo "heca: installing ${missing[*]}" >&2
    log=$(mktemp)
    forbid_services
    if ! apt install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
        # The lists may be absent, as in fresh containers, or out of date.
        if ! { apt update && apt install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
            reason=$(grep -m1 '^E:' "$log" || tail -n1 "$log")
            rm -f "$log"
            lacking "cannot install ${missing[*]}: ${reason#E: }; try: $install"
        fi
    fi
    rm -f "$log"
    case " ${missing[*]} " in
    *' prometheus '*) command -v systemctl >/dev/null && systemctl disable --quiet prometheus.service 2>/dev/null || true ;;
    esac
    case " ${missing[*]} " in
    *' redis-server '*) command -v systemctl >/dev/null && systemctl disable --quiet redis-server.service 2>/dev/null || true ;;
    esac
    case " ${missing[*]} " in
    *' etcd-server '*) command -v systemctl >/dev/null && systemctl disable --quiet etcd.service 2>/dev/null || true ;;
    esac
    case " ${missing[*]} " in
    *' memcached '*) command -v systemctl >/dev/null && systemctl disable --quiet memcached.service 2>/dev/null || true ;;
    esac
fi

if [ ${#wished[@]} -gt 0 ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "heca: installing ${wished[*]}" >&2
    apt install -y --no-install-recommends "${wished[@]}" >/dev/null 2>&1 ||
        { apt update && apt install -y --no-install-recommends "${wished[@]}"; } >/dev/null 2>&1 ||
        echo "heca: ${wished[*]} cannot be installed: this build will have no RDMA" >&2
fi

# A pager wants a userfaultfd that sees faults inside system calls too. `heca check` says more; this spares a build in vain.
if [ "$purpose" = demo ] && [ "$(id -u)" != 0 ] && ! { [ -r /dev/userfaultfd ] && [ -w /dev/userfaultfd ]; } &&
    [ "$(cat /proc/sys/vm/unprivileged_userfaultfd 2>/dev/null || echo 0)" != 1 ]; then
    lacking "this user may not make a userfaultfd: run as root, or: sudo sysctl vm.unprivileged_userfaultfd=1"
fi
