#!/usr/bin/env bash
# What the scan found in $IMAGE_FILE's image, and whether it may go on; then its bill of materials, which
# Artifact Analysis keeps in a bucket of the project.
set -euo pipefail
: "${PROJECT:?}" "${IMAGE_FILE:?}"

PYTHONPATH=infra python3 -m pipeline.gate "$(cat "$IMAGE_FILE")" --project "$PROJECT"
gcloud artifacts sbom export --uri="$(cat "$IMAGE_FILE")" --project="$PROJECT" --quiet
