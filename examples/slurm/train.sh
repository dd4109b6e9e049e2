#!/bin/bash
# Trains on several nodes, one process for each GPU; settings of the training are its arguments:
#   sbatch examples/slurm/train.sh experiment=small data.store=store data.split=split.json data.batch_size=64
#SBATCH --job-name=charge3net
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --output=%x-%j.log
set -u
srun charge3net train runtime.nodes="$SLURM_NNODES" runtime.devices="$SLURM_NTASKS_PER_NODE" resume=true "$@"
status=$?
# 130: told to stop, five minutes before the end. resume.ckpt is written; queued again, the job continues from it.
if [ "$status" -eq 130 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$status"
