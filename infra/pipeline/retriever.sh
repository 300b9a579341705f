#!/usr/bin/env bash
# The GPU tier, before traffic shifts: the wire lets either side be the newer one. The token comes from
# Secret Manager, in the environment of this command alone. Without a tier there is nothing to do.
# $RETRIEVER_SETTINGS are words such as RETRIEVER_GPU=L40S: a deployment has those and no others.
set -euo pipefail
: "${PROJECT:?}" "${NAME:?}"

if [ -z "${RETRIEVER_MODEL:-}" ]; then
    echo "no GPU tier is configured: shared words rank"
    exit 0
fi
read -r -a settings <<<"${RETRIEVER_SETTINGS:-}"
for setting in ${settings[@]+"${settings[@]}"}; do
    if [[ ! $setting =~ ^[A-Z][A-Z0-9_]*=. ]]; then
        echo "RETRIEVER_SETTINGS has a word that is no NAME=value: $setting" >&2
        exit 2
    fi
done
secret() { gcloud secrets versions access latest --project="$PROJECT" --secret="$NAME-$1"; }

MODAL_TOKEN_ID=$(secret modal-token-id)
MODAL_TOKEN_SECRET=$(secret modal-token-secret)
if ! python3 -c 'import ensurepip' 2>/dev/null; then # Debian has it in a package of its own
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
fi
python3 -m venv "$HOME/modal"
"$HOME/modal/bin/pip" install --quiet "$(grep -o '^modal==[^ ]*' gpu/requirements.txt)"
export MODAL_TOKEN_ID MODAL_TOKEN_SECRET MODEL_NAME="$RETRIEVER_MODEL"
env ${settings[@]+"${settings[@]}"} "$HOME/modal/bin/modal" deploy gpu/app.py
