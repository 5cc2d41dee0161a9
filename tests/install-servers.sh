#!/bin/sh
# Installs what tests run for real: PostgreSQL, Redis, Chromium, the reader of text in pictures (tesseract) and a Japanese font
# (IPAex Mincho, IPA Font License 1.0). Without apt, or without rights, the tests that need them skip and say so.
set -eu
missing=""
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
command -v redis-server >/dev/null 2>&1 || missing="$missing redis-server"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v tesseract >/dev/null 2>&1 || missing="$missing tesseract-ocr"
[ -e /usr/share/fonts/opentype/ipaexfont-mincho/ipaexm.ttf ] || missing="$missing fonts-ipaexfont-mincho"
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
  echo "NOT INSTALLED:$missing (needs apt and root); the tests that need them will be skipped" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
  echo "NOT INSTALLED:$missing (apt failed); the tests that need them will be skipped" >&2
