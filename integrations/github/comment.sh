#!/usr/bin/env bash
# Posts a file as a comment on pull request $NUMBER, or updates the comment posted before if its text changed. The
# file's first line marks the comment as ours. Needs gh, which GitHub's runners have.
set -euo pipefail
file=$1
marker=$(head -n 1 "$file")
comments="repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments"
old=$(gh api --paginate "$comments" --jq ".[] | select(.body | startswith(\"$marker\")) | .id" | head -n 1)
if [ -z "$old" ]; then
  gh api "$comments" --method POST --field "body=@$file" >/dev/null
  echo "commented"
elif [ "$(gh api "repos/$GITHUB_REPOSITORY/issues/comments/$old" --jq .body)" != "$(cat "$file")" ]; then
  gh api "repos/$GITHUB_REPOSITORY/issues/comments/$old" --method PATCH --field "body=@$file" >/dev/null
  echo "updated"
else
  echo "unchanged"
fi
