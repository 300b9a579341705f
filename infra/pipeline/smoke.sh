#!/usr/bin/env bash
# smoke.sh SERVICE: the smoke test against the candidate, signed in as the pipeline's own account by an
# ID token for the gateway's client id; without $CLIENT_ID by the API key in the secret NAME-smoke-key.
set -euo pipefail
: "${PROJECT:?}" "${REGION:?}" "${NAME:?}" "${1:?the service}"

url=$(gcloud run services describe "$1" --project="$PROJECT" --region="$REGION" --format=json |
    python3 -c 'import json, sys
print(next(t["url"] for t in json.load(sys.stdin)["status"]["traffic"] if t.get("tag") == "candidate"))')
if [ -n "${CLIENT_ID:-}" ]; then
    SMOKE_CREDENTIAL=$(gcloud auth print-identity-token --quiet \
        --impersonate-service-account="${DEPLOYER:?}" --audiences="$CLIENT_ID")
else
    SMOKE_CREDENTIAL=$(gcloud secrets versions access latest --project="$PROJECT" --secret="$NAME-smoke-key")
fi
export SMOKE_CREDENTIAL
PYTHONPATH=infra python3 -m pipeline.smoke "$url" --model "${MODEL:-preview}"
