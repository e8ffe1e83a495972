#!/usr/bin/env bash
# Audits a repository's manifests in CI: writes sidestep.sarif for code scanning and, with a base to compare with,
# sidestep.md for a comment. Its exit code is the audit's: 0 nothing new, 1 not audited, 2 findings.
#
#   SIDESTEP_PATH      what to audit (default: the current folder)
#   SIDESTEP_BASE      a folder that holds the state to compare with; none by default
#   SIDESTEP_BASELINE  a file of known findings; none by default
#   SIDESTEP_FAIL_ON   error (default), today, warning, info or none
#   SIDESTEP_OUT       where the reports go (default: the current folder)
set -euo pipefail
audit=(sidestep audit -f "${SIDESTEP_PATH:-.}" --fail-on "${SIDESTEP_FAIL_ON:-error}")
[ -z "${SIDESTEP_BASELINE:-}" ] || audit+=(--baseline "$SIDESTEP_BASELINE")
out=${SIDESTEP_OUT:-.}
code=0
"${audit[@]}" -o sarif >"$out/sidestep.sarif" || code=$?
[ "$code" != 1 ] || exit 1
if [ -n "${SIDESTEP_BASE:-}" ]; then
  "${audit[@]}" --diff "$SIDESTEP_BASE" -o markdown >"$out/sidestep.md" || code=$?
  cat "$out/sidestep.md"
else
  "${audit[@]}" || code=$?
fi
exit "$code"
