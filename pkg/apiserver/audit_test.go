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

package apiserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
)

func TestAnAuditPolicyThatCannotBeReadIsRefusedWithItsFlag(t *testing.T) {
	dir := t.TempDir()
	invalid := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(invalid, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Everything}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"a file that does not exist": filepath.Join(dir, "absent.yaml"), "an invalid policy": invalid} {
		t.Run(name, func(t *testing.T) {
			options := genericoptions.NewAuditOptions()
			options.PolicyFile = file
			err := ApplyAudit(options, dir, &genericapiserver.Config{})
			if err == nil || !strings.HasPrefix(err.Error(), "--audit-policy-file: ") || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v", err)
			}
		})
	}
}
