#!/usr/bin/env bash
# The image of $TAGGED (REGISTRY/NAME:COMMIT) by digest, into the file $1. A commit is built once: what
# was scanned and planned is what a release deploys.
set -euo pipefail
: "${TAGGED:?the image with its tag}" "${1:?the file that gets the digest}"

if docker pull --quiet "$TAGGED" >/dev/null 2>&1; then
    echo "there already: $TAGGED"
else
    docker build --pull --tag "$TAGGED" functions
    docker push --quiet "$TAGGED"
fi
docker inspect --format '{{index .RepoDigests 0}}' "$TAGGED" | tee "$1"
grep -q '@sha256:' "$1"
