#!/usr/bin/env bash
# deploy.sh candidate SERVICE: a revision of $IMAGE_FILE's image that gets no traffic but at its own
# address. deploy.sh now SERVICE: one that serves at once.
set -euo pipefail
: "${PROJECT:?}" "${REGION:?}" "${IMAGE_FILE:?}" "${2:?the service}"

case "${1:-}" in
candidate) how=(--no-traffic --tag=candidate) ;;
now) how=() ;;
*)
    echo "deploy.sh candidate|now SERVICE" >&2
    exit 2
    ;;
esac
gcloud run services update "$2" --project="$PROJECT" --region="$REGION" \
    --image="$(cat "$IMAGE_FILE")" "${how[@]}" --quiet
if [ "$1" = now ]; then
    gcloud run services update-traffic "$2" --project="$PROJECT" --region="$REGION" --to-latest --quiet
fi
