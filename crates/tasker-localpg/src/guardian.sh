# The life of a private server, as one of its users sees it: bring it up, wait for that user to
# leave or die, and stop the server if nobody else needs it. It runs in a process group of its own.
#
# arguments  role (start, attach), kind (shared, alone), program folder, cluster directory,
#            text of the settings file (start only), connection string of the cluster to copy (start
#            only, empty for a new one)
# stdin      a socket that the user holds. We write "up" to it, or "create" or "start" for the step
#            that failed. We read "stop" or "leave"; its end means that the user has died
# stdout     start.lock, locked; the gate stays shut until we let go of it as well
# stderr     users.lock, locked; the user's share, ours once the user has died
PATH=$PATH:/usr/bin:/bin
role=$1 kind=$2 bin=$3 dir=$4 settings=$5 primary=$6

create() {
    [ -f "$dir/data/PG_VERSION" ] && return
    sync=
    [ "$kind" = alone ] && sync=--no-sync
    # In a folder beside, so that a creation cut short is not taken for a cluster.
    rm -rf "$dir/data.new"
    if [ -n "$primary" ]; then
        # The folder may hold links to some of the programs only.
        backup=$bin/pg_basebackup
        [ -x "$backup" ] || backup=$(dirname "$(readlink -f "$bin/initdb")")/pg_basebackup
        # Its postgresql.conf includes our settings already: it is the copy of one that did.
        "$backup" -R -X stream -c fast $sync -d "$primary" -D "$dir/data.new" &&
            mv "$dir/data.new" "$dir/data"
        return
    fi
    "$bin/initdb" -U postgres -A trust -E UTF8 --locale=C $sync -D "$dir/data.new" &&
        echo "include '../tasker.conf'" >>"$dir/data.new/postgresql.conf" &&
        mv "$dir/data.new" "$dir/data"
}

# In a subshell with relative names: pg_ctl puts them into a shell command, in double quotes only.
start() (
    cd "$dir" && printf '%s' "$settings" >tasker.conf || exit 1
    [ -f log ] && mv -f log log.old
    "$bin/pg_ctl" start -s -w -t 60 -D data -l log
)

stop() {
    mode=fast
    [ "$kind" = alone ] && mode=immediate
    "$bin/pg_ctl" stop -s -w -t 60 -m "$mode" -D "$dir/data" ||
        "$bin/pg_ctl" stop -s -w -t 60 -m immediate -D "$dir/data"
}

# Locks an open descriptor, exclusively; with "now" it fails rather than wait.
lock() {
    if command -v flock; then
        flock ${2:+-n} "$1"
    elif command -v perl; then
        perl -e 'open F, "<&=$ARGV[0]" and flock F, @ARGV > 1 ? 6 : 2 or exit 1' "$@"
    else
        python3 -c 'import fcntl, sys; fcntl.flock(int(sys.argv[1]), 6 if sys.argv[2:] else 2)' "$@"
    fi
}

# Names the step that failed and lets the user, if still there, read why before all is removed.
fail() {
    trap '' PIPE
    echo "$1" >&0
    read -r wish
    [ "$kind" = alone ] && rm -rf "$dir"
    exit 1
}

if [ "$role" = start ]; then
    create >"$dir/start.log" 2>&1 </dev/null || fail create
    # A server that was too slow to be ready is up all the same.
    start >"$dir/start.log" 2>&1 </dev/null || { stop >/dev/null 2>&1; fail start; }
fi
# Not before, or the server would inherit it. PIPE: the user may have died while it was started.
trap '' HUP INT TERM PIPE
echo up >&0
exec 9<&2 >/dev/null 2>&1

wish=
read -r wish
if [ "$wish" = leave ]; then
    exit 0
elif [ "$kind" = shared ] && [ "$wish" != stop ]; then
    exec 8<"$dir/start.lock"
    # The share goes before the gate opens, so that the next one to leave does not count it.
    lock 8 && lock 9 now || { exec 9<&-; exit 0; }
fi
stop
status=$?
[ "$kind" = alone ] && rm -rf "$dir"
exit "$status"
