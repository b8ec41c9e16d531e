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

# Checks that relative links in Markdown files lead to files and headings that exist.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mapfile -t docs < <(files '\.md$')
if [ "${#docs[@]}" -eq 0 ]; then exit 0; fi
go run ./hack/tools/doclinks "${docs[@]}" ||
  refuse "the links above lead nowhere" "mend them, then run hack/verify-doc-links.sh again"
