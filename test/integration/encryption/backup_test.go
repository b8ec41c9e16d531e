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

package encryption

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup"
	"github.com/gatehouse-dev/gatehouse/test/binary"
)

func TestEveryStoredKindIsDecodedInABackup(t *testing.T) {
	dataDir := binary.DataDir(t)
	config := filepath.Join(t.TempDir(), "config.yaml")
	mustRun(t, "init", config)
	server := binary.Start(t, dataDir, flag+config)
	all := storedKinds(t, server.Config)
	for _, k := range all {
		k.createMarked(t, server.Config)
	}
	if output, err := exec.CommandContext(t.Context(), binary.Path(t), "backup", "now", "--data-dir", dataDir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	made, err := filepath.Glob(filepath.Join(dataDir, "backups", "*.tar.zst"))
	if err != nil || len(made) != 1 {
		t.Fatalf("made %q, %v", made, err)
	}
	manifest, err := backup.ReadManifest(made[0])
	if err != nil || len(manifest.Damaged) > 0 {
		t.Fatalf("%v, %v", manifest, err)
	}
	for _, k := range all {
		// Kubernetes' own groups are no part of the keys of etcd.
		if manifest.Objects[k.resource.Resource] == 0 && manifest.Objects[k.resource.GroupResource().String()] == 0 {
			t.Errorf("the backup has no object of %s: %v", k.resource, manifest.Objects)
		}
	}
}
