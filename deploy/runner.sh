#!/bin/sh
# The runner of the container. Where races are to run on a Ray cluster, this container is its head: the runner must be on a node.
set -eu
case "${SSAM_ENGINE:-local}" in
ray://auto) ray start --head --port=6379 --num-cpus="${RAY_HEAD_CPUS:-0}" --include-dashboard=false --disable-usage-stats ;;
esac
exec python -m ssam.jobs.runner
