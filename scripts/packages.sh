# What scripts/setup-servers and scripts/setup-clients share: where things go, and the system's packages.
# Sourced by them, with `set -euo pipefail`, in the repository's folder.

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
as_root() { [ "$(id -u)" = 0 ]; }

# The same rule as in src/servers/find.rs. Root's home is closed to the users that servers run as.
cache_root() {
    if [ -n "${PAWL_SERVERS:-}" ]; then
        printf '%s\n' "$PAWL_SERVERS"
    elif as_root; then
        printf '/var/cache/pawl/servers\n'
    else
        printf '%s/pawl/servers\n' "${XDG_CACHE_HOME:-$HOME/.cache}"
    fi
}
SERVERS=$(cache_root)

PAWL_TEST_WITHOUT=${PAWL_TEST_WITHOUT:-}

# Whether the person who runs the tests wants this one.
wanted() {
    local name
    for name in ${PAWL_TEST_WITHOUT//,/ }; do
        [ "$name" != "$1" ] || { say "$1: passed over, as PAWL_TEST_WITHOUT says"; return 1; }
    done
}

updated=
update_lists() {
    [ -z "$updated" ] || return 0
    # A third party's list that cannot be had is no reason to stop; a missing package is.
    apt-get -qq update >/dev/null 2>&1 || say "some package lists could not be refreshed"
    updated=yes
}

# Root, and no package of the system would have to go.
installable() {
    as_root || return 1
    update_lists
    local plan
    plan=$(apt-get -s -y install --no-install-recommends "$@" 2>/dev/null) || return 1
    ! grep -q '^Remv ' <<<"$plan"
}

# Installs packages without their services: not started now, and not at the next boot.
install_quietly() {
    local policy=/usr/sbin/policy-rc.d ours='' log unit
    log=$(mktemp)
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        ours=yes
    fi
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/pawl.conf
    fi
    local status=0
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "$@" >"$log" 2>&1 || status=$?
    [ -z "$ours" ] || rm -f "$policy"
    if [ -d /run/systemd/system ]; then
        for unit in "$@" "${@%-server}"; do systemctl --quiet disable "$unit" 2>/dev/null || true; done
    fi
    [ "$status" = 0 ] || tail -n 15 "$log" >&2
    rm -f "$log"
    return "$status"
}

need_apt() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
        die "$1 is missing, and this is neither Debian nor Ubuntu: please install it"
}
