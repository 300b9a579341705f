#!/usr/bin/env bash
# The GPU tier, before traffic shifts: the wire lets either side be the newer one. The token comes from
# Secret Manager, in the environment of this command alone. Without a tier there is nothing to do.
set -euo pipefail
: "${PROJECT:?}" "${NAME:?}"

if [ -z "${RETRIEVER_MODEL:-}" ]; then
    echo "no GPU tier is configured: shared words rank"
    exit 0
fi
secret() { gcloud secrets versions access latest --project="$PROJECT" --secret="$NAME-$1"; }

MODAL_TOKEN_ID=$(secret modal-token-id)
MODAL_TOKEN_SECRET=$(secret modal-token-secret)
python3 -m venv "$HOME/modal"
"$HOME/modal/bin/pip" install --quiet "$(grep -o '^modal==[^ ]*' gpu/requirements.txt)"
export MODAL_TOKEN_ID MODAL_TOKEN_SECRET MODEL_NAME="$RETRIEVER_MODEL"
"$HOME/modal/bin/modal" deploy gpu/app.py
