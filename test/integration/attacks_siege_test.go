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
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
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
	log, policy := auditOf(t, attacks.OrdinaryUser)
	env, server := attacks.Start(t, "--controllers=*", "--audit-log-path="+log, "--audit-policy-file="+policy)
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
	t.Logf("%d rows and all crowds at once for %v; the server's resident set grew by %d MiB, %v of processor time\n%s",
		siege.Rows, *siegeDuration, siege.Cost.Peak>>20, siege.Cost.CPU, siege)
	inServer := auditedTimes(t, log)
	for _, of := range []struct {
		name         string
		seen, server []time.Duration
	}{{"get", siege.Gets, inServer["get"]}, {"create", siege.Creates, inServer["create"]}} {
		if len(of.seen) == 0 || len(of.server) == 0 {
			t.Fatalf("the ordinary user was not served: %d times by the user, %d times by the audit log", len(of.seen), len(of.server))
		}
		t.Logf("an ordinary user's %s: %s; of that in the server: %s", of.name, spread(of.seen), spread(of.server))
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

// auditOf returns the paths of an audit log, and of an audit policy that writes the requests of one
// user to it.
func auditOf(t *testing.T, user string) (log, policy string) {
	t.Helper()
	dir := t.TempDir()
	log, policy = filepath.Join(dir, "audit.log"), filepath.Join(dir, "policy.yaml")
	content := fmt.Sprintf(`{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["RequestReceived"],"rules":[{"level":"Metadata","users":[%q]},{"level":"None"}]}`, user)
	if err := os.WriteFile(policy, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return log, policy
}

// auditedTimes returns how long the server took for the requests of an audit log, by verb: a client
// on the machine of the attackers waits for a processor, too.
func auditedTimes(t *testing.T, path string) map[string][]time.Duration {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	times := map[string][]time.Duration{}
	for decoder := json.NewDecoder(file); ; {
		var event auditv1.Event
		if err := decoder.Decode(&event); errors.Is(err, io.EOF) {
			return times
		} else if err != nil {
			t.Fatal(err)
		}
		times[event.Verb] = append(times[event.Verb], event.StageTimestamp.Sub(event.RequestReceivedTimestamp.Time))
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
