#!/bin/bash
# Migrates one sharded model on many machines:
#   job=$(sbatch --parsable examples/slurm_migrate.sh v1_to_v2.rules /shared/old/ /shared/new/)
#   sbatch --dependency=afterok:$job --wrap 'migrate finish /shared/new/'
# Parts that failed are run again by themselves: sbatch --array=3,5 examples/slurm_migrate.sh ...
#SBATCH --job-name=migrate
#SBATCH --array=1-16
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --requeue
set -eu

# The number of parts stands here and is not SLURM_ARRAY_TASK_COUNT, which is another one where a few are run again.
parts=16

exec migrate --rules "$1" "$2" -o "$3" --shard "$SLURM_ARRAY_TASK_ID/$parts" --quiet
