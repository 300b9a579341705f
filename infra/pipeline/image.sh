#!/usr/bin/env bash
# The image of $TAGGED (REGISTRY/NAME:COMMIT) by digest, into the file $1. A commit is built once: what
# was scanned and planned is what a release deploys, which therefore builds nothing itself.
set -euo pipefail
: "${TAGGED:?the image with its tag}" "${STAGE:?}" "${1:?the file that gets the digest}"

if docker pull --quiet "$TAGGED"; then
    echo "there already: $TAGGED"
elif [ "$STAGE" = release ]; then
    echo "no image of this commit: a build of stage plan comes first" >&2
    exit 1
else
    docker build --pull --tag "$TAGGED" functions
    docker push --quiet "$TAGGED"
fi
docker inspect --format '{{index .RepoDigests 0}}' "$TAGGED" | tee "$1"
grep -q '@sha256:' "$1"
