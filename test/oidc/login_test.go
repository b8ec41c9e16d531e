/*
Copyright The Gatehouse Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package oidc

import (
	"testing"
)

func TestKubectlLogsInByTheCodeFlowAndRolesFollowTheGroups(t *testing.T) {
	p := startProvider(t)
	s := startServer(t, p.entry("oidc:", ""))
	ada := s.seat(t, p, "ada")
	if got := ada.whoami(); got != `oidc:ada ["oidc:developers","oidc:staff","system:authenticated"]` {
		t.Fatalf("ada is %s\n%v", got, ada.user.Visits(t))
	}
	if got := ada.kubectl("get", "configmaps"); got.err != nil {
		t.Errorf("a developer gets config maps: %v: %s", got.err, got.stderr)
	}
	if got := ada.kubectl("get", "secrets"); got.err == nil {
		t.Errorf("a developer gets secrets: %s", got.stdout)
	}
	if visits := ada.user.Visits(t); len(visits) != 1 {
		t.Errorf("three commands logged in %d times: %q", len(visits), visits)
	}
}
