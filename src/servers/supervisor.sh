# Minds one private database server, and cleans up after whoever asked for it.
#
# $1 is the server's directory; orders come in on standard input, one a line, and each is answered
# with one line. The other end of standard input is held by the process that wants the server: when
# it closes, because that process asked, ended, panicked or was killed, the server is ended and the
# directory removed. Nothing here depends on that process saying goodbye.
dir=$1

running() { [ -e "$dir/pid" ]; }

# Tells the server, and the worker processes it forked, the same thing.
signal_all() {
    running || return 0
    main=$(cat "$dir/pid")
    before=$(cat "/proc/$main/task/$main/children" 2>/dev/null)
    kill -s "$1" "$main" 2>/dev/null
    after=$(cat "/proc/$main/task/$main/children" 2>/dev/null)
    for worker in $before $after; do kill -s "$1" "$worker" 2>/dev/null; done
}

await_end() { while running; do sleep 0.02; done; }

# Runs the script $dir/$1; `pid` exists while it runs, `status` once it has ended.
run() {
    rm -f "$dir/pid" "$dir/status"
    (
        sh "$dir/$1" </dev/null >>"$dir/server.log" 2>&1 &
        echo $! >"$dir/pid.new"
        mv "$dir/pid.new" "$dir/pid"
        wait $!
        echo $? >"$dir/status"
        rm -f "$dir/pid"
    ) >/dev/null 2>&1 &
    until [ -e "$dir/pid" ] || [ -e "$dir/status" ]; do sleep 0.02; done
}

# Asks with the signal $1; after ten seconds no longer asks. A stopped process could not even hear it.
halt() {
    running || return 0
    signal_all CONT
    kill -s "$1" "$(cat "$dir/pid")" 2>/dev/null
    left=500
    while running && [ $left -gt 0 ]; do
        sleep 0.02
        left=$((left - 1))
    done
    signal_all KILL
    await_end
}

finish() {
    trap '' TERM INT HUP
    halt "$(cat "$dir/stop-signal" 2>/dev/null || echo TERM)"
    wait
    # A PostgreSQL that was killed leaves its tiny shared memory segment behind; line 7 names it.
    segment=$(sed -n '7s/.*[[:space:]]//p' "$dir/data/postmaster.pid" 2>/dev/null)
    [ -z "$segment" ] || ipcrm -m "$segment" 2>/dev/null
    for _ in 1 2 3 4 5; do
        rm -rf "$dir" && break
        sleep 0.2
    done
    exit 0
}

# An answer nobody reads any more must not end this shell before it has cleaned up.
trap '' PIPE
trap finish TERM INT HUP

while read -r order word; do
    case $order in
    run) run "$word" && echo ok ;;
    halt) halt "$word" && echo ok ;;
    signal) signal_all "$word"; [ "$word" != KILL ] || await_end; echo ok ;;
    state) if running; then echo running; else echo "ended $(cat "$dir/status" 2>/dev/null)"; fi ;;
    esac
done
finish
