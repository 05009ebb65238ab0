#!/usr/bin/env bash
# glot batch as a plain job array, without Ray: every task of the array runs its share of the clips.
#
#     sbatch --array=1-50 examples/cluster/slurm_array.sh MANIFEST RESULTS [options of glot batch]
#     glot batch --status RESULTS
#
# Simple, and it needs nothing but SLURM; but tasks do not help each other, so the last one decides when all is done.
# Many small shares (--array=1-500%50) even that out. A task whose machine fails, or that has to make room, is started
# again and goes on where it was. Others, out of time or memory, are given again: SHARES=50 sbatch --array=7,9 ...
#SBATCH --job-name=glot
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: sbatch --array=1-N $0 MANIFEST RESULTS [options of glot batch]" >&2
    exit 2
fi
if [ -z "${SHARES:-}" ] && { [ "${SLURM_ARRAY_TASK_MIN:-}" != 1 ] || [ "${SLURM_ARRAY_TASK_STEP:-1}" != 1 ] ||
    [ "${SLURM_ARRAY_TASK_COUNT:-$SLURM_ARRAY_TASK_MAX}" != "$SLURM_ARRAY_TASK_MAX" ]; }; then
    echo "$0: the array has to count from 1, as in sbatch --array=1-50; to repeat some of its tasks, set SHARES=50" >&2
    exit 2
fi
manifest=$1 results=$2
shift 2
if [ -n "${GLOT_ENV:-}" ]; then
    # shellcheck source=/dev/null
    . "$GLOT_ENV/bin/activate"
fi
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1} # some SLURMs show a task all cores of its machine
exec glot batch "$manifest" --out "$results" --shard "$SLURM_ARRAY_TASK_ID/${SHARES:-$SLURM_ARRAY_TASK_MAX}" "$@"
