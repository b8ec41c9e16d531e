#!/usr/bin/env bash
#
# Copyright The Gatehouse Authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

# Builds everything of a release into _output/release:
#   hack/release.sh [DIRECTORY]
# The same commit gives the same bytes, in any directory: hack/release-check.sh compares two builds.
#
#   PLATFORMS    what to build for: the programs for Linux, the plugin of kubectl for all
#   RELEASE_URL  where the archives will be, for the manifest of krew; VERSION is replaced
#   IMAGE        the name of the image, without its tag

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out=${1:-_output/release}
platforms=${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64}
version=$(hack/version.sh product)
debian_version=$(hack/version.sh debian)
url=${RELEASE_URL:-https://github.com/gatehouse-dev/gatehouse/releases/download/VERSION}
image=${IMAGE:-gatehouse}
SOURCE_DATE_EPOCH=$(hack/version.sh epoch)
export SOURCE_DATE_EPOCH
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
revision=$(git rev-parse HEAD 2>/dev/null || true)
# Nothing of the builder's environment may change a program.
unset GOAMD64 GOARM64 GOEXPERIMENT GOOS GOARCH TAR_OPTIONS GZIP XZ_OPT
umask 022

for tool in dpkg-deb gzip tar; do
  command -v "$tool" >/dev/null || refuse "$tool is missing" "install it; dpkg-deb is of the package dpkg, also on systems that are not Debian"
done
mkdir -p "$out"
out=$(cd "$out" && pwd -P)
rm -rf "${out:?}"/*
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# build PLATFORM PROGRAM: a static program without symbols, in $work/PLATFORM.
build() {
  local os=${1%/*} arch=${1#*/} suffix=
  if [ "$os" = windows ]; then suffix=.exe; fi
  echo "building $2 for $1"
  GOOS=$os GOARCH=$arch go build -ldflags "-s -w $(hack/version.sh gatehouse)" -o "$work/$1/$2$suffix" "./cmd/$2"
  go run ./hack/tools/sbom -name "$2" -version "$version" -created "$created" "$work/$1/$2$suffix" >"$out/$2_${version}_${os}_$arch.cdx.json"
}

# pack NAME DIRECTORY: an archive without anything that differs between builds.
pack() {
  tar --create --directory "$2" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" . |
    gzip -n -6 >"$out/$1.tar.gz"
}

# share ROOT PROGRAM...: man pages and completions, where Debian has them.
share() {
  local root=$1 program page
  shift
  for program in "$@"; do
    for page in "$work/manual/man1/$program.1" "$work/manual/man1/$program"-*.1; do
      # gatehouse-agent*.1 is of another program than gatehouse-*.1.
      if [ "$program" = gatehouse ] && [[ $page == */gatehouse-agent* ]]; then continue; fi
      install -D -m 644 "$page" "$root/share/man/man1/$(basename "$page")"
    done
    if [ ! -e "$work/manual/bash/$program" ]; then continue; fi
    install -D -m 644 "$work/manual/bash/$program" "$root/share/bash-completion/completions/$program"
    install -D -m 644 "$work/manual/zsh/_$program" "$root/share/zsh/vendor-completions/_$program"
    install -D -m 644 "$work/manual/fish/$program.fish" "$root/share/fish/vendor_completions.d/$program.fish"
  done
}

# archive PLATFORM NAME PROGRAM...: programs with their licence and manual.
archive() {
  local platform=$1 name=$2 root=$work/$1/archive program
  shift 2
  rm -rf "$root"
  for program in "$@"; do install -D -m 755 "$work/$platform/$program" "$root/bin/$program"; done
  share "$root" "$@"
  install -D -m 644 artifacts/systemd/*.service -t "$root/lib/systemd/system"
  install -m 644 LICENSE CHANGELOG.md "$root"
  pack "${name}_${version}_${platform/\//_}" "$root"
}

# plugin PLATFORM: the archive for krew, with all files at its top.
plugin() {
  local root=$work/$1/plugin
  mkdir -p "$root"
  install -m 755 "$work/$1"/kubectl-gatehouse* "$root"
  # A script for a shell.
  case $1 in windows/*) ;; *) install -m 755 cmd/kubectl-gatehouse/kubectl_complete-gatehouse "$root" ;; esac
  install -m 644 LICENSE "$root"
  pack "kubectl-gatehouse_${version}_${1/\//_}" "$root"
}

# package PLATFORM NAME PROGRAM...: a package of Debian with a unit of systemd.
package() {
  local arch=${1#*/} name=$2 root=$work/$1/$2.deb from=artifacts/debian/$2 program size
  local platform=$1
  shift 2
  for program in "$@"; do install -D -m 755 "$work/$platform/$program" "$root/usr/bin/$program"; done
  share "$root/usr" "$@"
  find "$root/usr/share/man" -type f -exec gzip -9 -n {} +
  install -D -m 644 "artifacts/systemd/$name.service" -t "$root/lib/systemd/system"
  install -D -m 644 "$from/default" "$root/etc/default/$name"
  install -D -m 644 artifacts/debian/copyright -t "$root/usr/share/doc/$name"
  gzip -9 -n <CHANGELOG.md >"$root/usr/share/doc/$name/changelog.gz"
  if [ "$name" = gatehouse ]; then install -m 755 cmd/kubectl-gatehouse/kubectl_complete-gatehouse "$root/usr/bin"; fi

  mkdir "$root/DEBIAN"
  (cd "$root" && find usr lib -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
  echo "/etc/default/$name" >"$root/DEBIAN/conffiles"
  install -m 755 "$from"/post* "$from"/pre* "$root/DEBIAN"
  # Sums of files, because a directory is of another size on another file system.
  size=$(find "$root" -type f -printf '%s\n' | awk '{ sum += int(($1 + 1023) / 1024) } END { print sum }')
  sed -e "s/@VERSION@/$debian_version/" -e "s/@ARCHITECTURE@/$arch/" -e "s/@SIZE@/$size/" "$from/control" >"$root/DEBIAN/control"
  find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  # Every dpkg reads gzip, and its bytes do not depend on the number of processors as those of xz do.
  dpkg-deb --root-owner-group -Zgzip -z6 --build "$root" "$out/${name}_${debian_version}_$arch.deb"
}

echo "release $version in $out"
(cd hack/tools/manual && go run . -version "$version" -date "$SOURCE_DATE_EPOCH" "$work/manual")

images=() archives=()
for platform in $platforms; do
  build "$platform" kubectl-gatehouse
  plugin "$platform"
  archives+=("$out/kubectl-gatehouse_${version}_${platform/\//_}.tar.gz")
  case $platform in linux/*) ;; *) continue ;; esac
  build "$platform" gatehouse
  build "$platform" gatehouse-agent
  archive "$platform" gatehouse gatehouse gatehouse-agent
  package "$platform" gatehouse gatehouse kubectl-gatehouse
  package "$platform" gatehouse-agent gatehouse-agent
  images+=("$platform=$work/$platform/gatehouse")
done
if [ "${#images[@]}" -gt 0 ]; then
  go run ./hack/tools/oci-image -release -name "$image:$version" -version "$version" -revision "$revision" -created "$created" \
    "$out/gatehouse_${version}_image.tar" "${images[@]}"
fi
go run ./hack/tools/krew -version "$version" -url "${url//VERSION/$version}" "${archives[@]}" >"$out/gatehouse.yaml"
(cd "$out" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%f\n' | sort | xargs sha256sum >SHA256SUMS)
echo "built $(wc -l <"$out/SHA256SUMS") files; their checksums are in $out/SHA256SUMS"
