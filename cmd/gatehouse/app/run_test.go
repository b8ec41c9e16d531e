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

package app

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/files/filestest"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

// The listener and etcd's endpoints are values of a run: if options kept them, a second
// run would connect to a closed port.
func TestTheSameCompletedOptionsRunTwice(t *testing.T) {
	dir, err := os.MkdirTemp("", "gatehouse-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	o := options.NewOptions()
	o.Mode, o.DataDir, o.Controllers = options.ModeStandalone, filepath.Join(dir, "data"), manager.ClusterControllers()
	o.Serving.BindPort = 0
	completed, err := o.Complete()
	if err != nil {
		t.Fatal(err)
	}
	for run := range 2 {
		ctx, stop := context.WithCancel(t.Context())
		ready := false
		if err := Run(ctx, completed, Observer{Ready: func(Ready) { ready = true; stop() }}); err != nil || !ready {
			t.Fatalf("run %d: ready %t, %v", run, ready, err)
		}
		stop()
	}
	if completed.Serving.Listener != nil || len(completed.Etcd.StorageConfig.Transport.ServerList) != 0 {
		t.Errorf("the options changed: %v, %v", completed.Serving.Listener, completed.Etcd.StorageConfig.Transport.ServerList)
	}
}

func TestAPathThatIsNotTrustedIsNamedWithItsFlag(t *testing.T) {
	for _, below := range []string{".", "lock", "etcd", "pki", "pki/service-accounts.key"} {
		t.Run(below, func(t *testing.T) {
			o := options.NewOptions()
			o.Mode, o.DataDir, o.Serving.BindPort = options.ModeStandalone, filepath.Join(t.TempDir(), "data"), 0
			completed, err := o.Complete()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(o.DataDir, below)
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(o.DataDir, 0o700); err != nil {
				t.Fatal(err)
			}
			filestest.MoveBehindLink(t, path)
			err = Run(t.Context(), completed, Observer{})
			filestest.WantRefusal(t, err, path+" is a symbolic link")
			filestest.WantRefusal(t, err, "--data-dir: ")
		})
	}
}
