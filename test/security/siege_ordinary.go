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
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// Served holds the response times of the ordinary user, in ascending order.
type Served struct{ Gets, Creates []time.Duration }

// OrdinaryTest is the test that calls ServeOrdinary, in the package of a test that calls Besiege.
const OrdinaryTest = "TestServesTheOrdinaryUserOfASiege"

// OrdinaryUser is the user of ServeOrdinary, which edits the namespace of the attackers and is none
// of them: flow control isolates users from each other.
const OrdinaryUser = "attack-ordinary"

// OrdinaryAgent is the User-Agent of its requests.
const OrdinaryAgent = "ordinary-user"

// ordinaryOrder names the file with the parameters of ServeOrdinary.
const ordinaryOrder = "GATEHOUSE_TEST_ORDINARY_USER"

type order struct {
	Host          string
	CA, Cert, Key []byte
	Duration      time.Duration
}

// ordinary is the process of the ordinary user.
type ordinary struct {
	cmd    *exec.Cmd
	path   string
	output strings.Builder
}

// startOrdinary starts the test OrdinaryTest of this program as another process: in this one the
// response times would include waits for the goroutines of the attacks.
func startOrdinary(t *testing.T, env Costly, duration time.Duration) *ordinary {
	t.Helper()
	config := env.As(OrdinaryUser)
	content, err := json.Marshal(order{config.Host, config.CAData, config.CertData, config.KeyData, duration})
	if err != nil {
		t.Fatal(err)
	}
	o := &ordinary{path: filepath.Join(t.TempDir(), "order")}
	if err := os.WriteFile(o.path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.cmd = exec.CommandContext(t.Context(), self, "-test.run=^"+OrdinaryTest+"$", "-test.v")
	o.cmd.Env = append(os.Environ(), ordinaryOrder+"="+o.path)
	o.cmd.Stdout, o.cmd.Stderr = &o.output, &o.output
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	prefer(t, o.cmd.Process.Pid)
	return o
}

// prefer lets a process go before the attackers', which would have machines of their own, as far as
// this machine allows that.
func prefer(t *testing.T, pid int) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, thread := range threads {
		id, _ := strconv.Atoi(filepath.Base(thread))
		err = errors.Join(err, syscall.Setpriority(syscall.PRIO_PROCESS, id, -10))
	}
	if err != nil || len(threads) == 0 {
		t.Logf("The times include waits for the attackers' use of the processors: the priority of process %d is not raised: %v", pid, err)
	}
}

// wait returns the results of the user.
func (o *ordinary) wait(t *testing.T) Served {
	t.Helper()
	if err := o.cmd.Wait(); err != nil {
		t.Errorf("the ordinary user was not served: %v:\n%s", err, o.output.String())
	}
	var served Served
	content, err := os.ReadFile(o.path + ".served")
	if err == nil {
		err = json.Unmarshal(content, &served)
	}
	if err != nil {
		t.Errorf("the ordinary user has left no result: %v:\n%s", err, o.output.String())
	}
	return served
}

// ServeOrdinary creates config maps and gets them, one after the other, as the ordinary user of
// Besiege, which starts it in a separate process; elsewhere it skips the test. It fails the test
// if a response is wrong, or an acknowledged config map is missing in the end.
func ServeOrdinary(t *testing.T) {
	t.Helper()
	path := os.Getenv(ordinaryOrder)
	if path == "" {
		t.Skip("a part of another test, which starts it")
	}
	var o order
	content, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(content, &o)
	}
	if err != nil {
		t.Fatal(err)
	}
	user := newClient(t, &rest.Config{Host: o.Host, TLSClientConfig: rest.TLSClientConfig{CAData: o.CA, CertData: o.Cert, KeyData: o.Key}})
	served, stored := serveOrdinary(t, user, o.Duration)
	maps := core + "/namespaces/" + ours + "/configmaps"
	all := string(user.must(t, http.MethodGet, maps, "", ""))
	for i := range stored {
		if !strings.Contains(all, fmt.Sprintf(`"ordinary-%d"`, i)) {
			t.Errorf("the acknowledged config map %d is lost", i)
		}
	}
	slices.Sort(served.Gets)
	slices.Sort(served.Creates)
	if content, err = json.Marshal(served); err == nil {
		err = os.WriteFile(path+".served", content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// serveOrdinary returns the durations of requests, and the number of stored config maps.
func serveOrdinary(t *testing.T, user client, duration time.Duration) (served Served, stored int) {
	t.Helper()
	maps, agent := core+"/namespaces/"+ours+"/configmaps", map[string][]string{"User-Agent": {OrdinaryAgent}}
	for end := time.Now().Add(duration); time.Now().Before(end); stored++ {
		value := fmt.Sprintf(`"value":"of %d"`, stored)
		for _, row := range []attack{
			{method: http.MethodPost, path: maps, headers: agent, body: fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"ordinary-%d"},"data":{%s}}`, stored, value), code: http.StatusCreated},
			{path: fmt.Sprintf("%s/ordinary-%d", maps, stored), headers: agent, code: http.StatusOK},
		} {
			began := time.Now()
			// The context does not end with the siege: every request must get a response.
			code, body, err := user.try(t.Context(), row)
			// Like other clients it retries if the server requests it; the retries count as response time.
			for err == nil && (code == http.StatusTooManyRequests || code == http.StatusRequestTimeout) {
				pause(t.Context(), time.Second)
				code, body, err = user.try(t.Context(), row)
			}
			if err != nil || code != row.code || !strings.Contains(body, value) {
				t.Fatalf("%s %s is answered with %d, %v: %.300s", row.method, row.path, code, err, body)
			}
			if took := time.Since(began); row.method == http.MethodPost {
				served.Creates = append(served.Creates, took)
			} else {
				served.Gets = append(served.Gets, took)
			}
		}
	}
	return served, stored
}
