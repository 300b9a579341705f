#!/usr/bin/env bash
# deploy.sh candidate SERVICE: a revision of $IMAGE_FILE's image that gets no traffic but at its own
# address. deploy.sh now SERVICE: one that serves at once.
#
# The tag is given in a call of its own: with `--tag` gcloud would name the revision in the service's
# template, and Terraform's next change of a setting would be refused as a revision of that name.
set -euo pipefail
: "${PROJECT:?}" "${REGION:?}" "${IMAGE_FILE:?}" "${2:?the service}"

run() { gcloud run services "$@" --project="$PROJECT" --region="$REGION" --quiet; }
image=$(cat "$IMAGE_FILE")

case "${1:-}" in
candidate)
    run update "$2" --image="$image" --no-traffic
    revision=$(run describe "$2" --format='value(status.latestCreatedRevisionName)')
    run update-traffic "$2" --update-tags="candidate=${revision:?gcloud named no revision}"
    ;;
now)
    run update "$2" --image="$image"
    run update-traffic "$2" --to-latest
    ;;
*)
    echo "deploy.sh candidate|now SERVICE" >&2
    exit 2
    ;;
esac
