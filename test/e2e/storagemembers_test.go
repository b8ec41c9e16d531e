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
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	diagnosticsv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	clientset "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	diagnosticsclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/e2e/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

type member = diagnosticsv1alpha1.StorageMember

// observed is a server of its own, in front of an etcd of three members with TLS, of which it was told two.
type observed struct {
	server *binary.Server
	ca     *harness.Authority
	etcd   map[string]harness.EtcdMember
	client *clientv3.Client
	// connection has one of the endpoints.
	connection storage.Connection
	members    diagnosticsclient.StorageMemberInterface
}

func observe(t *testing.T) *observed {
	t.Helper()
	ca, err := harness.NewAuthority(t.TempDir(), "members-ca")
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.Issue("members-client", "gatehouse", nil)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"member-1", "member-2", "member-3"}
	processes, err := env.cluster.StartEtcd(ca, names...)
	if err != nil {
		t.Fatal(err)
	}
	o := &observed{ca: ca, etcd: map[string]harness.EtcdMember{}}
	for i, process := range processes {
		o.etcd[names[i]] = process
		t.Cleanup(process.Kill)
	}
	connection := storage.Connection{Endpoints: []string{processes[0].URL}, CAFile: ca.CertFile(), CertFile: client.Cert, KeyFile: client.Key}
	o.connection = connection
	config, err := connection.ClientConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o.client, err = clientv3.New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.client.Close() })
	kit.EventuallyState(t, "all members of etcd take connections, and have a leader", func(ctx context.Context) (bool, string) {
		for _, process := range processes {
			connection.Endpoints = []string{process.URL}
			if err := storage.CheckReachable(ctx, connection); err != nil {
				return false, err.Error()
			}
		}
		_, err := o.client.Get(ctx, "any")
		return err == nil, fmt.Sprint(err)
	})
	o.server = binary.Start(t, binary.DataDir(t), "--etcd-servers="+processes[0].URL+","+processes[1].URL,
		"--etcd-cafile="+ca.CertFile(), "--etcd-certfile="+client.Cert, "--etcd-keyfile="+client.Key)
	o.members = clientset.NewForConfigOrDie(o.server.Config).DiagnosticsV1alpha1().StorageMembers()
	return o
}

// list returns the members by their names in etcd.
func (o *observed) list(ctx context.Context, t *testing.T) map[string]member {
	t.Helper()
	list, err := o.members.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]member{}
	for _, m := range list.Items {
		all[m.MemberName] = m
	}
	return all
}

// until waits for a state of the members and reports how long that took.
func (o *observed) until(t *testing.T, what string, reached func(map[string]member) bool) map[string]member {
	t.Helper()
	began := time.Now()
	var all map[string]member
	kit.EventuallyState(t, what, func(ctx context.Context) (bool, string) {
		all = o.list(ctx, t)
		var state []string
		for _, m := range all {
			state = append(state, fmt.Sprintf("%s: %s %s, %s", m.MemberName, m.Role, m.Health, m.Error))
		}
		return reached(all), strings.Join(state, "; ")
	})
	t.Logf("%s, after %v", what, time.Since(began).Round(time.Millisecond))
	return all
}

// status returns what kubectl gatehouse storage status prints.
func (o *observed) status(t *testing.T, args ...string) string {
	t.Helper()
	plugin := filepath.Join(filepath.Dir(binary.Path(t)), "kubectl-gatehouse")
	args = append([]string{"storage", "status", "--kubeconfig", filepath.Join(o.server.DataDir, "kubeconfig")}, args...)
	out, err := exec.CommandContext(t.Context(), plugin, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// allHealthy reports whether three members are healthy, and one of them is the leader.
func allHealthy(all map[string]member) bool {
	for _, m := range all {
		if m.Health != diagnosticsv1alpha1.StorageHealthy {
			return false
		}
	}
	return len(all) == 3 && namesOf(all, diagnosticsv1alpha1.StorageLeader) != nil
}

// namesOf returns the names of the members with a role, sorted.
func namesOf(all map[string]member, role diagnosticsv1alpha1.StorageRole) (names []string) {
	for name, m := range all {
		if m.Role == role {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestAStoppedMemberASlowDiskAndALostQuorumAreSeenInStorageMembers(t *testing.T) {
	o := observe(t)
	all := o.until(t, "three members are healthy", allHealthy)
	for name, m := range all {
		if m.Fsync == nil || m.Fsync.P99.Duration <= 0 || m.Behind == nil || m.QuotaBytes == 0 || m.Version == "" || m.Cluster.Voters != 3 || m.Cluster.Quorum != 2 || m.Cluster.MayFail != 1 {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if got, want := o.status(t), "3 voters, all healthy; writes need 2, so 1 may fail.\n"; !strings.HasPrefix(got, want) || strings.Count(got, " Healthy ") != 3 {
		t.Errorf("the status is\n%s", got)
	}
	follower := namesOf(all, diagnosticsv1alpha1.StorageFollower)[0]
	t.Run("stopped follower", func(t *testing.T) { o.stopFollower(t, follower) })
	t.Run("slow disk", func(t *testing.T) { o.slowDisk(t, follower, o.etcd[follower].PID()) })
	t.Run("learner", o.addLearner)
	t.Run("stopped leader", o.stopLeader)
	t.Run("lost quorum", o.loseQuorum)
}

// stopFollower expects the event of a watch.
func (o *observed) stopFollower(t *testing.T, name string) {
	events, err := o.members.Watch(t.Context(), metav1.ListOptions{
		AllowWatchBookmarks: true, SendInitialEvents: ptr.To(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		if event.Type == watch.Bookmark {
			break
		}
	}
	stopped := o.etcd[name]
	began := time.Now()
	if err := stopped.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for event := range events.ResultChan() {
		m, ok := event.Object.(*member)
		if !ok || event.Type != watch.Modified {
			t.Fatalf("got %v", event)
		}
		if m.MemberName == name && m.Health == diagnosticsv1alpha1.StorageUnreachable {
			break
		}
	}
	t.Logf("a watch reports the stopped member after %v", time.Since(began).Round(time.Millisecond))
	all := o.list(t.Context(), t)
	for other, m := range all {
		if healthy := m.Health == diagnosticsv1alpha1.StorageHealthy; healthy != (other != name) || m.Cluster.MayFail != 0 || !m.Cluster.Quorate {
			t.Errorf("%s: %+v", other, m)
		}
	}
	status := o.status(t)
	t.Logf("kubectl gatehouse storage status:\n%s", status)
	if !strings.HasPrefix(status, "3 voters, 2 healthy; writes need 2, so none may fail.\n") || !strings.Contains(status, "\n"+name+": no response within 1s\n") {
		t.Errorf("the status is\n%s", status)
	}
	if err := stopped.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	o.until(t, "the member is healthy again", allHealthy)
}

// slowDisk delays the writes to the disk of the process in which a member runs, by strace.
func (o *observed) slowDisk(t *testing.T, name string, pid int) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skipf("a slow disk needs strace: %v", err)
	}
	configMaps := kubernetes.NewForConfigOrDie(o.server.Config).CoreV1().ConfigMaps("default")
	slower := func(all map[string]member) bool {
		if _, err := configMaps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "slow-"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		fsync := all[name].Fsync
		return fsync != nil && fsync.P99.Duration > 256*time.Millisecond
	}
	// A write during the stop took long, too.
	o.until(t, "the disk is fast", func(all map[string]member) bool { return !slower(all) })
	slow := exec.Command(strace, "-f", "-q", "-p", fmt.Sprint(pid), "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=500000")
	slow.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = slow.Process.Signal(syscall.SIGTERM)
		_ = slow.Wait()
	}()
	o.until(t, "the disk of "+name+" is slow", slower)
	t.Logf("kubectl gatehouse storage status:\n%s", o.status(t))
}

// addLearner adds a member without a vote, and removes it.
func (o *observed) addLearner(t *testing.T) {
	process, err := env.cluster.AddEtcdLearner(t.Context(), o.ca, o.client, "learner")
	if err != nil {
		t.Fatal(err)
	}
	defer process.Kill()
	all := o.until(t, "the learner is healthy", func(all map[string]member) bool {
		m := all["learner"]
		return m.Role == diagnosticsv1alpha1.StorageLearner && m.Health == diagnosticsv1alpha1.StorageHealthy
	})
	if m := all["learner"]; m.Fsync == nil || m.Cluster.Voters != 3 || m.Cluster.Message != "3 voters, all healthy, and 1 learner; writes need 2, so 1 may fail" {
		t.Errorf("got %+v", m)
	}
	id, err := strconv.ParseUint(all["learner"].Name, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.client.MemberRemove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	o.until(t, "the learner has left", allHealthy)
}

func (o *observed) stopLeader(t *testing.T) {
	before := namesOf(o.list(t.Context(), t), diagnosticsv1alpha1.StorageLeader)[0]
	if err := o.etcd[before].Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	o.until(t, "the stopped leader is unreachable, and another member leads", func(all map[string]member) bool {
		leaders := namesOf(all, diagnosticsv1alpha1.StorageLeader)
		return all[before].Health == diagnosticsv1alpha1.StorageUnreachable && len(leaders) == 1 && leaders[0] != before
	})
	if err := o.etcd[before].Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	o.until(t, "all members are healthy again", allHealthy)
}

// loseQuorum stops one member and kills another one. Members are read although no object can be.
func (o *observed) loseQuorum(t *testing.T) {
	if err := o.etcd["member-1"].Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	o.etcd["member-3"].Kill()
	all := o.until(t, "the quorum is lost", func(all map[string]member) bool {
		m := all["member-2"]
		return len(all) == 3 && !m.Cluster.Quorate && m.Error == "no leader"
	})
	if m := all["member-3"]; m.Health != diagnosticsv1alpha1.StorageUnreachable || !strings.Contains(m.Error, "connection refused") {
		t.Errorf("the killed member: %s, %s", m.Health, m.Error)
	}
	status := o.status(t, "-o", "wide")
	t.Logf("kubectl gatehouse storage status -o wide:\n%s", status)
	if !strings.Contains(status, "; writes need 2: the quorum is lost, and writes fail.\n") {
		t.Errorf("the status is\n%s", status)
	}
	if err := o.etcd["member-1"].Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	o.until(t, "two members are enough", func(all map[string]member) bool {
		m := all["member-2"]
		return m.Cluster.Quorate && m.Cluster.HealthyVoters == 2 && m.Cluster.MayFail == 0
	})
}

func TestASlowDiskOfTheEmbeddedEtcdIsSeenInStorageMembers(t *testing.T) {
	server := binary.Start(t, binary.DataDir(t))
	o := &observed{server: server, members: clientset.NewForConfigOrDie(server.Config).DiagnosticsV1alpha1().StorageMembers()}
	o.slowDisk(t, "gatehouse", server.PID())
}

func TestAReplicaOfTheClusterShowsTheMembersOfItsEtcd(t *testing.T) {
	r := env.gatehouse.Replicas[0]
	config, err := clientcmd.BuildConfigFromFlags(r.URL, administrator(t, r))
	if err != nil {
		t.Fatal(err)
	}
	list, err := clientset.NewForConfigOrDie(config).DiagnosticsV1alpha1().StorageMembers().List(t.Context(), metav1.ListOptions{})
	if err == nil && len(list.Items) != 1 {
		err = errors.New("there is not one member")
	}
	if err != nil {
		t.Fatal(err)
	}
	if m := list.Items[0]; m.MemberName != "gatehouse-etcd" || m.Role != diagnosticsv1alpha1.StorageLeader || m.Health != diagnosticsv1alpha1.StorageHealthy || m.Fsync == nil {
		t.Errorf("got %+v", m)
	}
}
