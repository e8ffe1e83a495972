#!/bin/sh
# Installs a release of sidestep: install.sh [VERSION]. It needs curl, tar and sha256sum (or shasum), no compiler.
#
#   SIDESTEP_DIR   where the program goes (default: /usr/local/bin if that can be written, else ~/.local/bin)
#   SIDESTEP_FROM  where releases are (default: the project's releases; a folder works too)
set -eu
fail() { echo "install.sh: $*" >&2; exit 1; }
from=${SIDESTEP_FROM:-https://github.com/sidestep-mesh/sidestep/releases/download}
version=${1:-}
[ -n "$version" ] || fail "say which version, such as: install.sh 0.1.0"
version=${version#v}
os=$(uname -s | tr '[:upper:]' '[:lower:]')
case "$os" in linux | darwin) ;; *) fail "$os has no archive for this script; see the releases page" ;; esac
case "$(uname -m)" in
x86_64 | amd64) arch=amd64 ;;
aarch64 | arm64) arch=arm64 ;;
*) fail "$(uname -m) is not built; amd64 and arm64 are" ;;
esac
dir=${SIDESTEP_DIR:-}
if [ -z "$dir" ]; then
  if [ -w /usr/local/bin ]; then dir=/usr/local/bin; else dir=$HOME/.local/bin; fi
fi
archive=sidestep_${version}_${os}_${arch}.tar.gz
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
get() {
  case "$from" in
  http*) curl -fsSL -o "$tmp/$1" "$from/v$version/$1" || fail "cannot fetch $from/v$version/$1" ;;
  *) cp "$from/$1" "$tmp/$1" || fail "no $1 in $from" ;;
  esac
}
get "$archive"
get checksums.txt
want=$(awk -v f="$archive" '$2 == f {print $1}' "$tmp/checksums.txt")
[ -n "$want" ] || fail "checksums.txt does not name $archive"
if command -v sha256sum >/dev/null; then got=$(sha256sum "$tmp/$archive"); else got=$(shasum -a 256 "$tmp/$archive"); fi
[ "${got%% *}" = "$want" ] || fail "$archive is damaged: its checksum is ${got%% *}, checksums.txt says $want"
tar -xzf "$tmp/$archive" -C "$tmp" sidestep
mkdir -p "$dir"
mv "$tmp/sidestep" "$dir/sidestep"
ln -sf sidestep "$dir/kubectl-sidestep"
echo "installed $dir/sidestep; kubectl sidestep works too when $dir is on your PATH"
