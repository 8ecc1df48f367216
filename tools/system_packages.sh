#!/usr/bin/env bash
# Installs the Debian packages named as arguments that are missing, where that is possible;
# says so and goes on where it is not. Usage: tools/system_packages.sh chromium ...
set -euo pipefail

missing=()
for package in "$@"; do
    command -v "$package" >/dev/null || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed: ${missing[*]} (needs root and apt-get); the tests that use it will be skipped"
    exit 0
fi

echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } \
    </dev/null >"$log" 2>&1; then
    tail -n 5 "$log"
    echo "Could not install ${missing[*]}; the tests that use it will be skipped"
fi
