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

package doctor_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/gatehouse-dev/gatehouse/pkg/doctor"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

func TestARunningServerIsHealthyAndItsFaultsAreFound(t *testing.T) {
	server := startHealthy(t)
	run := func(t *testing.T, change plant) doctor.Report {
		s := standalone(server.DataDir)
		change(t, s)
		return doctor.Run(t.Context(), s.Checks(), timeout)
	}
	report := run(t, func(*testing.T, *doctor.Standalone) {})
	healthy(t, report)
	for _, says := range []string{"responds and is ready", "1 of 1 voters respond", "as 1 of server and members", "uses the directory", "server and program are"} {
		if out := printed(t, report); !strings.Contains(out, says) {
			t.Errorf("the report does not say %q:\n%s", says, out)
		}
	}
	want{"clock", doctor.Broken, "that of the server at", "NTP"}.in(t, run(t, later(3*time.Hour)))
	want{"version", doctor.Warning, "this program is v99.0.0", "restart the server"}.in(t, run(t, func(_ *testing.T, s *doctor.Standalone) { s.Version = "v99.0.0" }))
	want{"certificates", doctor.Warning, "expires on", "restart the server"}.in(t, run(t, later(360*24*time.Hour)))
}

func etcdClient(t *testing.T, endpoint string) *clientv3.Client {
	t.Helper()
	config, err := storage.Connection{Endpoints: []string{endpoint}}.ClientConfig(t.Context())
	must(t, err)
	config.Logger = zap.NewNop()
	client, err := clientv3.New(config)
	must(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// A process has the lock of the directory, as a server that hangs has, and something else, or nothing, listens at the
// address of the kubeconfig.
func TestAServerThatIsNotAsItShouldBeIsFound(t *testing.T) {
	original := healthyDirectory(t)
	readyz := func(code int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		})
	}
	for _, row := range []struct {
		name  string
		pair  string // of the directory; empty for another authority
		serve http.Handler
		want
	}{
		{"it does not listen", "serving", nil, want{"server", doctor.Broken, "does not respond", "restart it"}},
		{"another process listens", "", readyz(200, "ok"), want{"server", doctor.Broken, "certificate that the kubeconfig does not accept", "restart the server"}},
		{"it refuses the administrator", "serving", readyz(401, ""), want{"server", doctor.Broken, "does not accept the administrator's kubeconfig", "restart the server"}},
		{"a check of it fails", "serving", readyz(500, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"), want{"server", doctor.Broken, "not ready: etcd failed", "the server's log"}},
		{"it has a note", "serving", readyz(200, "[+]ping ok\nreadyz check passed\n[!]backup: the last one failed\n"), want{"server", doctor.Warning, "backup: the last one failed", "docs/debugging.md"}},
		{"it is not ready without a word", "serving", readyz(503, ""), want{"server", doctor.Broken, "responds with 503", "the server's log"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := standalone(copyOf(t, original))
			lock, err := embedded.AcquireLock(at(s, "lock"))
			must(t, err)
			t.Cleanup(func() { _ = lock.Release() })
			if row.serve != nil {
				serveAs(t, s, row.pair, row.serve)
			}
			report := doctor.Run(t.Context(), s.Checks(), timeout)
			row.want.in(t, report)
			namesCures(t, report)
		})
	}
}

// serveAs serves at a free port with a pair of the directory, or of another authority, and writes the address into the
// kubeconfig.
func serveAs(t *testing.T, s *doctor.Standalone, pair string, handler http.Handler) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	var certificate tls.Certificate
	var err error
	if pair == "" {
		ca, key := newAuthority(t, "foreign", time.Now().Add(time.Hour))
		leaf, leafKey := newLeaf(t, ca, key, time.Now().Add(time.Hour))
		certificate, err = tls.X509KeyPair(leaf, leafKey)
	} else {
		certificate, err = tls.LoadX509KeyPair(at(s, "pki", pair+".crt"), at(s, "pki", pair+".key"))
	}
	must(t, err)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	must(t, err)
	edit(t, at(s, "kubeconfig"), func(content string) string {
		line := content[strings.Index(content, "server: "):]
		line = line[:strings.Index(line, "\n")]
		return strings.Replace(content, line, "server: https://"+net.JoinHostPort("127.0.0.1", u.Port()), 1)
	})
}

// quota is the size of a database that some writes fill. The file grows in steps of 16 MiB, so it has 64 MiB, and its quota is
// not reached, when 81 % are in use.
const quota = 70 << 20

func startEtcd(t *testing.T) *embedded.Server {
	t.Helper()
	etcd, err := embedded.Start(context.WithoutCancel(t.Context()), embedded.Config{DataDir: t.TempDir(), QuotaBackendBytes: quota})
	must(t, err)
	t.Cleanup(func() { _ = etcd.Close() })
	return etcd
}

// fill writes until a part of the quota is in use, or until etcd refuses.
func fill(t *testing.T, client *clientv3.Client, percent int64) {
	t.Helper()
	value := strings.Repeat("x", 1<<20)
	for i := range 200 {
		status, err := client.Status(t.Context(), client.Endpoints()[0])
		must(t, err)
		if status.DbSizeInUse*100 >= quota*percent {
			return
		}
		if _, err := client.Put(t.Context(), fmt.Sprintf("/registry/configmaps/default/%d", i), value); err != nil {
			return // the quota
		}
	}
	t.Fatal("the database does not grow")
}

func TestTheFaultsOfAnEtcdAreFound(t *testing.T) {
	original := healthyDirectory(t)
	for _, row := range []struct {
		name  string
		plant func(t *testing.T, client *clientv3.Client)
		want
	}{
		{"nothing", func(*testing.T, *clientv3.Client) {}, want{"etcd", doctor.OK, "with a leader and without alarms", ""}},
		{"the database is almost full", func(t *testing.T, client *clientv3.Client) { fill(t, client, 81) }, want{"etcd", doctor.Warning, "uses", "gatehouse storage top"}},
		{"the database is full", func(t *testing.T, client *clientv3.Client) { fill(t, client, 1000) },
			want{"etcd", doctor.Broken, "is full", "gatehouse storage defrag"}},
		{"most members do not respond", func(t *testing.T, client *clientv3.Client) {
			// Two need a quorum of two, and nothing listens at the second.
			_, err := client.MemberAdd(t.Context(), []string{"http://127.0.0.1:1"})
			must(t, err)
		}, want{"etcd", doctor.Broken, "1 of 2 voters respond, 2 are needed", "start the members"}},
		{"a learner never starts", func(t *testing.T, client *clientv3.Client) {
			_, err := client.MemberAddAsLearner(t.Context(), []string{"http://127.0.0.1:1"})
			must(t, err)
		}, want{"etcd", doctor.Warning, "is a learner", "see its log"}},
		{"the data of a member is inconsistent", func(t *testing.T, client *clientv3.Client) {
			status, err := client.Status(t.Context(), client.Endpoints()[0])
			must(t, err)
			_, err = etcdserverpb.NewMaintenanceClient(client.ActiveConnection()).Alarm(t.Context(), &etcdserverpb.AlarmRequest{
				Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: status.Header.MemberId, Alarm: etcdserverpb.AlarmType_CORRUPT,
			})
			must(t, err)
		}, want{"etcd", doctor.Broken, "inconsistent", "replace the member"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			etcd := startEtcd(t)
			row.plant(t, etcdClient(t, etcd.Endpoints()[0]))
			s := standalone(original)
			s.External = storage.Connection{Endpoints: etcd.Endpoints()}
			report := doctor.Run(t.Context(), s.Checks(), timeout)
			row.want.in(t, report)
			namesCures(t, report)
		})
	}
}

func TestALockThatAKilledServerHasLeftIsNoRunningServer(t *testing.T) {
	s := standalone(copyOf(t, healthyDirectory(t)))
	must(t, os.WriteFile(at(s, "lock"), []byte("4194305\n"), 0o600))
	healthy(t, doctor.Run(t.Context(), s.Checks(), timeout))
}
