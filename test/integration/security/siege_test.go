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

package security

import (
	"flag"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

// siegeDuration is short in a run of all tests; "make bench-siege" attacks for a minute.
var siegeDuration = flag.Duration("siege", 5*time.Second, "how long every kind of attack of the suite is played at once")

// siegeVerbosity of 3 logs every request, so that the time of the server is told from that of the client.
var siegeVerbosity = flag.String("siege-v", "0", "-v of the server of the siege; with 3 the report has how long requests took in the server")

// TestAnOrdinaryUserIsServedDuringASiege fails if the server exits, an attack succeeds or the
// ordinary user is refused. The latency of that user is logged and not asserted: on a busy machine it
// proves nothing.
func TestAnOrdinaryUserIsServedDuringASiege(t *testing.T) {
	env, server := security.Start(t, "--controllers=*", "-v="+*siegeVerbosity)
	client, err := kubernetes.NewForConfig(env.Admin)
	if err != nil {
		t.Fatal(err)
	}
	env.Tokens = spoiltTokens(t, client)
	env.Program = binary.Path(t)
	env.Revoke = func(host string) { revokeHost(t, client, host) }
	siege := security.Besiege(t, env, *siegeDuration)
	select {
	case <-server.Exited():
		t.Fatal("the server did not survive")
	default:
	}
	t.Logf("%d rows and all crowds at once for %v; the server's resident set grew by %d MiB, %v of processor time\n%s",
		siege.Rows, *siegeDuration, siege.Cost.Peak>>20, siege.Cost.CPU, siege)
	logged := loggedTimes(t, server.Stderr())
	for _, of := range []struct {
		name         string
		seen, logged []time.Duration
	}{{"get", siege.Gets, logged["GET"]}, {"create", siege.Creates, logged["POST"]}} {
		if len(of.seen) == 0 {
			t.Fatal("the ordinary user was not served once")
		}
		t.Logf("an ordinary user's %s: %s", of.name, spread(of.seen))
		if len(of.logged) > 0 {
			t.Logf("of that in the server: %s", spread(of.logged))
		}
	}
}

// spread is how long requests took.
func spread(times []time.Duration) string {
	slices.Sort(times)
	at := func(share float64) time.Duration {
		return times[int(share*float64(len(times)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("%d times, median %v, p99 %v, longest %v", len(times), at(0.5), at(0.99), at(1))
}

// loggedRequest is a line of httplog (k8s.io/apiserver/pkg/server/httplog, at -v=3) of the ordinary user.
var loggedRequest = regexp.MustCompile(`"HTTP" verb="(\w+)" .*latency="([^"]+)" userAgent="` + security.OrdinaryAgent + `"`)

// loggedTimes returns how long the server took for the requests of the ordinary user, by verb: a
// client on the machine of the attackers waits for a processor, too.
func loggedTimes(t *testing.T, log string) map[string][]time.Duration {
	t.Helper()
	times := map[string][]time.Duration{}
	for _, line := range loggedRequest.FindAllStringSubmatch(log, -1) {
		took, err := time.ParseDuration(line[2])
		if err != nil {
			t.Fatal(err)
		}
		times[line[1]] = append(times[line[1]], took)
	}
	return times
}

// TestServesTheOrdinaryUserOfASiege is started by the test above, in a separate process.
func TestServesTheOrdinaryUserOfASiege(t *testing.T) { security.ServeOrdinary(t) }

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
