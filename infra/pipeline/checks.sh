#!/usr/bin/env bash
# Lint, types and all tests, Firestore's emulator included, in an image that brings it.
set -euo pipefail
apt-get update -qq
apt-get install -qq -y --no-install-recommends make python3-venv >/dev/null
unset ENVIRONMENT # the build's; the service under test has a setting of that name
.ci/run
