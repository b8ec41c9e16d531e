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

# Checks the English of Go comments and log messages.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mapfile -t sources < <(files '\.go$')
go run ./hack/tools/language "${sources[@]}" ||
  refuse "the comments or log messages above are not in the field's English" "write components as things and say what happened first, then run hack/verify-language.sh again"
