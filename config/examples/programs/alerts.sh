#!/bin/sh
# Writes a line to a file for every row that comes, for `!io.exec.write` with `acknowledge: true`.
#
#   alerts.sh FILE
file=${1:?a file}
while read -r line; do
  case $line in
    '{"insert":'*) printf '%s\n' "$line" >> "$file" ;;
    '{"commit":'*)
      sync "$file" 2>/dev/null
      time=${line#*:}
      printf '{"committed": %s\n' "$time"
      ;;
  esac
done
