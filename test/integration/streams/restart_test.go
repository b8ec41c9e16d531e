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

package streams

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
	"github.com/gatehouse-dev/gatehouse/pkg/simulation"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// runHosts runs one simulated host until the test ends.
func runHosts(t *testing.T, dataDir string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dataDir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := certificates.LoadCA(filepath.Join(dataDir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	options := simulation.DefaultOptions()
	options.Count, options.StartDelay, options.StopDelay = 1, 10*time.Millisecond, 10*time.Millisecond
	hosts, err := simulation.New(options, credentials.CertifiedHosts(config, nil, ca))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		hosts.Run(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

func TestAFollowedLogSurvivesTheDeathOfTheServer(t *testing.T) {
	dataDir := binary.DataDir(t)
	server := binary.Start(t, dataDir)
	kubeconfig := filepath.Join(dataDir, "kubeconfig")
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	runHosts(t, dataDir)
	client := harness.NewFleetClient(t, config)
	client.WaitReady(t, "sim-1")
	client.CreateInstance(t, "web")
	client.MustBind(t, "web", "sim-1")
	client.WaitInstance(t, "web", "runs", isRunning)
	reachable(t, kubeconfig, "web")
	out, code, _ := begin(t, kubeconfig, "logs web -f")
	kit.EventuallyState(t, "the first line is printed", func(context.Context) (bool, string) { return strings.Contains(out.String(), " starts, "), out.String() })
	server.Kill()
	<-server.Exited()
	before := strings.Count(out.String(), " has been running ")
	binary.Start(t, dataDir, "--listen="+strings.TrimPrefix(server.URL, "https://"))
	kit.EventuallyState(t, "a later line is printed", func(context.Context) (bool, string) {
		return strings.Count(out.String(), " has been running ") > before+1, out.String()
	})
	lines := map[string]bool{}
	for line := range strings.Lines(out.String()) {
		if lines[line] {
			t.Errorf("%q is printed twice", line)
		}
		lines[line] = true
	}
	client.Delete(t, "web", -1)
	if ended := <-code; ended != 0 || strings.Count(out.String(), " starts, ") != 1 || !strings.HasSuffix(out.String(), "container web ends with the exit code 0 (Completed)\n") {
		t.Errorf("it ended with %d: %s", ended, out)
	}
}
