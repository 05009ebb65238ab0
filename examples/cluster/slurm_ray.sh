#!/usr/bin/env bash
# glot batch on Ray, on the machines of one SLURM allocation.
#
#     sbatch --nodes=8 examples/cluster/slurm_ray.sh MANIFEST RESULTS [options of glot batch]
#
# glot with its extra `cluster` is installed where all machines see it; set GLOT_ENV to its environment. Submitted again
# after whatever stopped it, it goes on where it was. A machine that fails takes no clip with it; if it is the first one,
# where the driver runs, SLURM starts the job again (--requeue).
#SBATCH --job-name=glot
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=48G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --no-kill
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: sbatch $0 MANIFEST RESULTS [options of glot batch]" >&2
    exit 2
fi
manifest=$1 results=$2
shift 2
if [ -n "${GLOT_ENV:-}" ]; then
    # shellcheck source=/dev/null
    . "$GLOT_ENV/bin/activate"
fi

export RAY_USAGE_STATS_ENABLED=0           # nothing is reported to Ray's makers
export RAY_agent_register_timeout_ms=600000 # machines that are busy take their time
export RAY_memory_monitor_refresh_ms=0     # SLURM watches over memory
# A token of this job's own, so that nobody else on the network can use its Ray.
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN

cores=${SLURM_CPUS_PER_TASK:-1}
gpus=${SLURM_GPUS_ON_NODE:-0}
port=$((20000 + SLURM_JOB_ID % 20000))
head=${ADDRESS:-$(hostname -I | awk '{print $1}')} # as the other machines see this one
# Ray sees the memory of the whole machine; it lends what SLURM gives, less some for itself.
memory=$(((${SLURM_MEM_PER_NODE:-$((${SLURM_MEM_PER_CPU:-2048} * cores))} - 2048) * 1024 * 1024))
rays=/tmp/ray-$SLURM_JOB_ID # Rays of several users on one machine are not to meet

# One Ray a machine; the batch script itself runs on the first of them.
first=${SLURMD_NODENAME:-$(hostname)}
srun --nodes=1 --ntasks=1 --cpus-per-task="$cores" --nodelist="$first" --overlap --export=ALL \
    ray start --head --node-ip-address="$head" --port="$port" --num-cpus="$cores" --num-gpus="$gpus" \
    --memory="$memory" --object-store-memory=100000000 --temp-dir="$rays" --include-dashboard=false --disable-usage-stats --block &
until ray health-check --address "$head:$port" 2>/dev/null; do
    kill -0 $! # else it has ended
    sleep 2
done
others=$((${SLURM_JOB_NUM_NODES:-1} - 1))
if [ "$others" -gt 0 ]; then
    srun --nodes="$others" --ntasks="$others" --ntasks-per-node=1 --cpus-per-task="$cores" \
        --exclude="$first" --no-kill --overlap --export=ALL \
        ray start --address="$head:$port" --num-cpus="$cores" --num-gpus="$gpus" \
        --memory="$memory" --object-store-memory=100000000 --disable-usage-stats --block &
fi

# Machines that come later are put to work when they come.
status=0
glot batch "$manifest" --out "$results" --ray "$head:$port" "$@" || status=$?
jobs -p | xargs -r kill 2>/dev/null || true # srun ends what it started
wait || true
exit "$status"
