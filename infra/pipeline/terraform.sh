#!/usr/bin/env bash
# terraform.sh plan|apply: what would change, kept in the state's bucket under the commit, so that what
# is applied is what was read and approved. A plan that the world has overtaken is refused by Terraform.
set -euo pipefail
: "${STATE_BUCKET:?}" "${ENVIRONMENT:?}" "${COMMIT:?}" "${IMAGE_FILE:?}"
kept="gs://$STATE_BUCKET/plans/$ENVIRONMENT/$COMMIT"

cd "${TERRAFORM_FOLDER:-infra/terraform}"
terraform init -input=false -no-color -backend-config="bucket=$STATE_BUCKET"

case "${1:-}" in
plan)
    terraform plan -input=false -no-color -lock-timeout=5m -out=plan.bin \
        -var-file="environments/$ENVIRONMENT.tfvars" -var="image=$(cat "$IMAGE_FILE")"
    terraform show -no-color plan.bin >plan.txt
    gcloud storage cp plan.bin plan.txt "$kept/"
    ;;
apply)
    gcloud storage cp "$kept/plan.bin" plan.bin
    terraform apply -input=false -no-color -lock-timeout=5m plan.bin
    ;;
*)
    echo "terraform.sh plan|apply" >&2
    exit 2
    ;;
esac
