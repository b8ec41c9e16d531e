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

package integration

import (
	"flag"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/test/attacks"
	"github.com/gatehouse-dev/gatehouse/test/binary"
)

// siegeDuration is short in a run of all tests; "make bench-siege" attacks for a minute.
var siegeDuration = flag.Duration("siege", 5*time.Second, "how long every kind of attack of the suite is played at once")

// TestAnOrdinaryUserIsServedDuringASiege fails if the server exits, an attack succeeds or the
// ordinary user is refused. The latency of that user is logged and not asserted: on a busy machine it
// proves nothing.
func TestAnOrdinaryUserIsServedDuringASiege(t *testing.T) {
	env, server := attacks.Start(t, "--controllers=*")
	client, err := kubernetes.NewForConfig(env.Admin)
	if err != nil {
		t.Fatal(err)
	}
	env.Tokens = spoiltTokens(t, client)
	env.Program = binary.Path(t)
	env.Revoke = func(host string) { revokeHost(t, client, host) }
	siege := attacks.Besiege(t, env, *siegeDuration)
	select {
	case <-server.Exited():
		t.Fatal("the server did not survive")
	default:
	}
	if len(siege.Gets) == 0 || len(siege.Creates) == 0 {
		t.Fatal("the ordinary user was not served once")
	}
	at := func(times []time.Duration, share float64) time.Duration {
		return times[int(share*float64(len(times)-1))].Round(time.Millisecond)
	}
	t.Logf("%d rows and all crowds at once for %v; the server's resident set grew by %d MiB, %v of processor time\n%s",
		siege.Rows, *siegeDuration, siege.Cost.Peak>>20, siege.Cost.CPU, siege)
	for _, of := range []struct {
		name  string
		times []time.Duration
	}{{"get", siege.Gets}, {"create", siege.Creates}} {
		t.Logf("an ordinary user's %s, %d times: median %v, p99 %v, longest %v", of.name, len(of.times), at(of.times, 0.5), at(of.times, 0.99), slices.Max(of.times).Round(time.Millisecond))
	}
}

// TestServesTheOrdinaryUserOfASiege is started by the test above, in a separate process.
func TestServesTheOrdinaryUserOfASiege(t *testing.T) { attacks.ServeOrdinary(t) }

// revokeHost writes what "gatehouse host revoke" writes.
func revokeHost(t *testing.T, client kubernetes.Interface, host string) {
	t.Helper()
	if _, err := client.CoreV1().ConfigMaps(revocation.Namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: revocation.ConfigMap},
		Data:       map[string]string{host: time.Now().UTC().Format(time.RFC3339)},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
