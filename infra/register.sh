#!/bin/sh
# What a fresh Prefect server is told once, and again after each change: pools, limits, deployments, automations.
set -eu
cd "$(dirname "$0")"
prefect work-pool create cpu-pool --type process --overwrite
prefect work-pool create gpu-pool --type process --overwrite
prefect gcl create gpu --limit "$TAMIS_GPUS" || prefect gcl update gpu --limit "$TAMIS_GPUS"
prefect --no-prompt deploy --prefect-file prefect.yaml --all
prefect automation inspect lost-runs > /dev/null 2>&1 || prefect automation create --from-file automations.yaml
