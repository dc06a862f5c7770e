#!/bin/sh
# macOS: a double click on this file opens a terminal and starts the app
exec "$(dirname "$0")/start.sh" "$@"
