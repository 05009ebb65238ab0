#!/usr/bin/env bash
# glot batch on this machine and another one that ssh reaches.
#
#     examples/cluster/two_machines.sh OTHER MANIFEST RESULTS [options of glot batch]
#
# Both have glot with its extra `cluster` on their PATH (the same versions of Python, Ray and glot), and see MANIFEST,
# the clips and RESULTS under the same paths, or as URLs. Ports between them are open. PORT (6379) and ADDRESS (of this
# machine, as the other one sees it) can be set. Stopped and started again it goes on where it was.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 OTHER MANIFEST RESULTS [options of glot batch]" >&2
    exit 2
fi
other=$1 manifest=$2 results=$3
shift 3
port=${PORT:-6379}
address=${ADDRESS:-$(hostname -I | awk '{print $1}')}

export RAY_USAGE_STATS_ENABLED=0 RAY_agent_register_timeout_ms=600000 RAY_memory_monitor_refresh_ms=0
# A token of this batch's own, so that nobody else on the network can use its Ray. It goes through ssh's standard input,
# not onto a command line, which everybody on the other machine could read.
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN

# Each Ray ends by its own process, so that others of this user on the same machines go on.
leave() {
    if [ -n "${OTHER_PID:-}" ]; then
        eval "exec ${OTHER[1]}>&-" # the other machine's Ray ends when its standard input does
        wait "$OTHER_PID" || true
    fi
    kill "$head" 2>/dev/null || true
    wait "$head" || true
}

ray start --head --node-ip-address="$address" --port="$port" --include-dashboard=false --disable-usage-stats \
    --block >&2 &
head=$!
trap leave EXIT
until ray health-check --address "$address:$port" 2>/dev/null; do
    kill -0 "$head" # else it has ended
    sleep 2
done

remote="IFS= read -r RAY_AUTH_TOKEN && export RAY_AUTH_MODE=token RAY_AUTH_TOKEN &&
    export RAY_USAGE_STATS_ENABLED=0 RAY_agent_register_timeout_ms=600000 RAY_memory_monitor_refresh_ms=0 || exit
    ray start --address='$address:$port' --disable-usage-stats --block </dev/null &
    cat >/dev/null; kill \$!; wait"
# shellcheck disable=SC2029  # what is expanded here is of this machine
coproc OTHER { exec ssh "$other" "$remote" >&2; }
echo "$RAY_AUTH_TOKEN" >&"${OTHER[1]}"

glot batch "$manifest" --out "$results" --ray "$address:$port" "$@"
