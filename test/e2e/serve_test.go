//go:build e2e

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

package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// serve is the flag of make up-aggregated. It starts the environment of the tests, and keeps it running
// for programs that read its kubeconfig.
var serve = flag.Bool("serve", false, "instead of running tests, keep the control plane up until SIGINT or SIGTERM")

// servedHosts is the number of simulated hosts, the same as that of make up.
const servedHosts = 3

// keepUp starts the controllers and the simulated hosts, prints the kubeconfig once the hosts are
// registered, and returns after SIGINT or SIGTERM.
func keepUp(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if _, err := env.gatehouse.StartControllers("controllers"); err != nil {
		return err
	}
	if _, err := env.gatehouse.StartSimulatedHosts(servedHosts); err != nil {
		return err
	}
	var said string
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		out, err := env.cluster.Kubectl("", "get", "hosts", "-o", "name")
		said = out + errText(err)
		return strings.Count(out, "\n") == servedHosts, nil
	})
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("%d simulated hosts are not registered: %w; last: %s", servedHosts, err, said)
	}
	fmt.Fprintf(os.Stderr, `Gatehouse is behind the kube-apiserver at %s, with %d simulated hosts: nothing really runs on them.
Certificates and tokens are valid for a day. Logs are in %s until SIGINT (^C).

Next:
  export PATH=%s:$PATH
  export KUBECONFIG=%s
  kubectl get hosts
`, env.cluster.URL, servedHosts, env.cluster.Dir, filepath.Dir(env.cluster.Binaries.Kubectl), env.cluster.Admin)
	<-ctx.Done()
	return nil
}
