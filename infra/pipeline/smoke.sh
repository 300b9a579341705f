#!/usr/bin/env bash
# smoke.sh SERVICE: the smoke test against the candidate, signed in as the pipeline's own account by an
# ID token for the gateway's client id.
set -euo pipefail
: "${PROJECT:?}" "${REGION:?}" "${DEPLOYER:?}" "${CLIENT_ID:?}" "${1:?the service}"

url=$(gcloud run services describe "$1" --project="$PROJECT" --region="$REGION" --format=json |
    python3 -c 'import json, sys
print(next(t["url"] for t in json.load(sys.stdin)["status"]["traffic"] if t.get("tag") == "candidate"))')
SMOKE_CREDENTIAL=$(gcloud auth print-identity-token --impersonate-service-account="$DEPLOYER" \
    --audiences="$CLIENT_ID" --quiet)
export SMOKE_CREDENTIAL
PYTHONPATH=infra python3 -m pipeline.smoke "$url" --model "${MODEL:-preview}"
