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

# Checks that links in Markdown files lead to files and headings that exist, and that files and
# declarations in code spans and in Go comments exist.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mapfile -t paths < <(files '\.md$' '\.go$')
if [ "${#paths[@]}" -eq 0 ]; then exit 0; fi
go run ./hack/tools/doclinks "${paths[@]}" ||
  refuse "the names above do not exist" "correct them, then run hack/verify-doc-links.sh again"
