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

package members

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// The tests are rows of the table of failures in docs/storage.md.

func TestTheLossOfTheLeaderLosesNoWrite(t *testing.T) {
	c := binary.StartCluster(t, 3)
	leading := leader(t, c)
	others := without(c, leading)
	follower := follow(t, others[0])
	var written []string
	write := func(ctx context.Context, name string) error {
		bounded, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		return create(bounded, others[1], name)
	}
	for i := range 20 {
		written = append(written, fmt.Sprintf("before-%d", i))
		must(t, create(t.Context(), others[1], written[i]))
	}
	c.Servers[leading].Kill()
	killed := time.Now()
	attempts := 0
	kit.EventuallyState(t, "a survivor takes writes", func(ctx context.Context) (bool, string) {
		attempts++
		name := fmt.Sprintf("during-%d", attempts)
		err := write(ctx, name)
		if err == nil {
			written = append(written, name)
		}
		return err == nil, fmt.Sprint(err)
	})
	t.Logf("writes again after %v, in attempt %d", time.Since(killed).Round(time.Millisecond), attempts)
	follower.sees(t, written...)
	back := start(t, c.Servers[leading])
	for _, name := range written {
		must(t, has(t.Context(), back, name))
	}
}

func TestAMinorityServesNothingStale(t *testing.T) {
	c := binary.StartCluster(t, 3)
	must(t, create(t.Context(), c.Servers[0], "before"))
	alone := c.Servers[2]
	watched, err := client(alone).CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	must(t, err)
	defer watched.Stop()
	ended := make(chan time.Time, 1)
	go func() {
		for range watched.ResultChan() { // until it is closed
		}
		ended <- time.Now()
	}()
	c.Servers[0].Kill()
	c.Servers[1].Kill()
	c.Servers[0].Wait(t)
	c.Servers[1].Wait(t)
	stopped := time.Now()
	kit.EventuallyState(t, "the survivor is not ready", func(ctx context.Context) (bool, string) {
		_, err := client(alone).CoreV1().RESTClient().Get().AbsPath("/readyz").Do(ctx).Raw()
		return err != nil, "ready"
	})
	t.Logf("not ready after %v", time.Since(stopped).Round(time.Millisecond))
	if err := create(t.Context(), alone, "alone"); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("a write to one of three members ends with %v", err)
	}
	namesTheMissing(t, alone, 1, 3)
	// The cache has ended its watch, so it starts none.
	unavailable(t, alone, http.MethodGet, "?watch=true&resourceVersion=1", "", "1 of 3 members of etcd answer; 2 needed")
	select {
	case at := <-ended:
		t.Logf("the watch ended after %v", at.Sub(stopped).Round(time.Millisecond))
	case <-time.After(kit.Patience):
		t.Fatal("the watch goes on")
	}
	// A restart of one of the others is enough, though it waits for its quorum.
	again := start(t, c.Servers[0])
	must(t, has(t.Context(), again, "before"))
	kit.Eventually(t, "the survivor takes writes", func(ctx context.Context) bool { return create(ctx, alone, "again") == nil })
	must(t, has(t.Context(), again, "again"))
}

// namesTheMissing sends requests to a server without a majority, which the caller sees with the number of members.
func namesTheMissing(t *testing.T, server *binary.Server, responding, members int) {
	t.Helper()
	want := fmt.Sprintf("%d of %d members of etcd answer; %d needed", responding, members, members/2+1)
	unavailable(t, server, http.MethodPost, "", `{"metadata":{"name":"alone"}}`, want)
	unavailable(t, server, http.MethodPut, "/before", `{"metadata":{"name":"before"},"data":{"changed":"yes"}}`, want)
	unavailable(t, server, http.MethodDelete, "/before", "", want)
	unavailable(t, server, http.MethodGet, "/before", "", want)
	unavailable(t, server, http.MethodGet, "", "", want)
}

// unavailable sends a request for ConfigMaps, which is answered with 503 and a reason.
func unavailable(t *testing.T, server *binary.Server, method, path, body, want string) {
	t.Helper()
	code, retry, answer := send(t, server, method, "/api/v1/namespaces/default/configmaps"+path, body)
	if code != http.StatusServiceUnavailable || !strings.Contains(answer, want) {
		t.Errorf("%s %s is answered with %d and:\n%s\nwant %q", method, path, code, answer, want)
	}
	// A write that may have been applied must not be repeated by the client.
	if inDoubt := strings.Contains(answer, "may be applied"); inDoubt != (retry == "") {
		t.Errorf("%s %s has the Retry-After %q with:\n%s", method, path, retry, answer)
	}
}

func TestAnExternalEtcdWithoutAMajorityIsNamed(t *testing.T) {
	dir := binary.DataDir(t)
	run := func() *embedded.Server {
		etcd, err := embedded.Start(context.WithoutCancel(t.Context()), embedded.Config{DataDir: dir})
		must(t, err)
		t.Cleanup(func() { _ = etcd.Close() })
		return etcd
	}
	etcd := run()
	server := binary.Start(t, binary.DataDir(t), "--etcd-servers="+etcd.Endpoints()[0])
	must(t, create(t.Context(), server, "before"))
	must(t, etcd.Close())
	namesTheMissing(t, server, 0, 1)
	run()
	kit.EventuallyState(t, "the server takes writes again", func(ctx context.Context) (bool, string) {
		err := create(ctx, server, "again")
		return err == nil, fmt.Sprint(err)
	})
	must(t, has(t.Context(), server, "before"))
}

func TestAllMembersStartAgain(t *testing.T) {
	c := binary.StartCluster(t, 3)
	must(t, create(t.Context(), c.Servers[1], "before"))
	for _, server := range c.Servers {
		server.Terminate()
	}
	for _, server := range c.Servers {
		server.Wait(t)
	}
	var started []*binary.Server
	for _, server := range c.Servers {
		started = append(started, binary.Launch(t, server.DataDir, nil, "--listen", server.Address(t)))
	}
	for _, server := range started {
		server.WaitReady(t)
		must(t, has(t.Context(), server, "before"))
	}
}

func TestAMemberIsReplacedBeforeItIsRemoved(t *testing.T) {
	c := binary.StartCluster(t, 3)
	c.Servers[2].Kill()
	c.Servers[2].Wait(t)
	invitation := c.Servers[0].Invitation(t, "replace", "c")
	fresh := binary.Start(t, binary.DataDir(t), append(invitation, binary.Named("d")...)...)
	kit.EventuallyState(t, "the dead member is removed", func(context.Context) (bool, string) {
		list := fresh.Member(t, "list")
		return strings.Contains(list, "3 voters, all healthy"), list
	})
	// The old one is not let in again.
	old := binary.Launch(t, c.Servers[2].DataDir, nil, "--listen", c.Servers[2].Address(t))
	if code := old.Wait(t); code == 0 || !strings.Contains(old.Stderr(), "was removed from its cluster: run \"gatehouse member reset\"") {
		t.Errorf("the removed member ends with code %d and:\n%s", code, old.Stderr())
	}
}

func TestARemovedMemberStopsAndCanComeBack(t *testing.T) {
	c := binary.StartCluster(t, 3)
	third := c.Servers[2]
	must(t, create(t.Context(), third, "before"))
	c.Servers[0].Member(t, "remove", "c")
	if code := third.Wait(t); code == 0 || !strings.Contains(third.Stderr(), "was removed from its cluster") {
		t.Errorf("the removed member ends with code %d and:\n%s", code, third.Stderr())
	}
	list := c.Servers[0].Member(t, "list")
	if !strings.Contains(list, "2 voters") || !strings.Contains(list, "use 1 member, or 3 to tolerate 1 failure") {
		t.Errorf("the list does not warn of two members:\n%s", list)
	}
	if output := third.Member(t, "reset"); !strings.Contains(output, "gatehouse member invite") {
		t.Errorf("the reset prints no next step:\n%s", output)
	}
	back := binary.Start(t, third.DataDir, append(c.Servers[0].Invitation(t), binary.Named("c")...)...)
	must(t, has(t.Context(), back, "before"))
}

func TestAMemberWithDamagedDataComesBackUnderItsName(t *testing.T) {
	c := binary.StartCluster(t, 3)
	third := c.Servers[2]
	must(t, create(t.Context(), third, "before"))
	peerURL := stateOf(t, third).PeerURL
	third.Kill()
	third.Wait(t)
	damage(t, third)
	broken := binary.Launch(t, third.DataDir, nil, "--listen", third.Address(t))
	if code := broken.Wait(t); code == 0 || !strings.Contains(broken.Stderr(), "is damaged") || !strings.Contains(broken.Stderr(), `"gatehouse member reset"`) {
		t.Errorf("the damaged member ends with code %d and:\n%s", code, broken.Stderr())
	}
	third.Member(t, "reset")
	back := binary.Start(t, third.DataDir, append(c.Servers[0].Invitation(t), binary.Named("c", "--peer-url="+peerURL)...)...)
	must(t, has(t.Context(), back, "before"))
	kit.EventuallyState(t, "three members are healthy", func(context.Context) (bool, string) {
		list := back.Member(t, "list")
		return strings.Contains(list, "3 voters, all healthy"), list
	})
}

func TestAMemberWithInconsistentDataIsReplacedByAnother(t *testing.T) {
	c := binary.StartCluster(t, 3)
	first, third := c.Servers[0], c.Servers[2]
	must(t, create(t.Context(), third, "before"))
	connection, err := storage.LocalEndpoint(first.DataDir)
	must(t, err)
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{connection}, Context: t.Context()})
	must(t, err)
	defer etcd.Close()
	listed, err := etcd.MemberList(t.Context())
	must(t, err)
	for _, member := range listed.Members {
		if member.GetName() != "c" {
			continue
		}
		// etcd does the same when the hashes of the members differ.
		_, err := etcdserverpb.NewMaintenanceClient(etcd.ActiveConnection()).Alarm(t.Context(), &etcdserverpb.AlarmRequest{
			Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: member.GetID(), Alarm: etcdserverpb.AlarmType_CORRUPT,
		})
		must(t, err)
	}
	if err := create(t.Context(), first, "refused"); err == nil {
		t.Error("a cluster with inconsistent data takes writes")
	}
	invitation := first.Invitation(t, "replace", "c")
	if code := third.Wait(t); code == 0 || !strings.Contains(third.Stderr(), "was removed from its cluster") {
		t.Errorf("the removed member ends with code %d and:\n%s", code, third.Stderr())
	}
	fresh := binary.Start(t, binary.DataDir(t), append(invitation, binary.Named("d")...)...)
	must(t, has(t.Context(), fresh, "before"))
	must(t, create(t.Context(), fresh, "again"))
	kit.EventuallyState(t, "three members are healthy", func(context.Context) (bool, string) {
		list := fresh.Member(t, "list")
		return strings.Contains(list, "3 voters, all healthy"), list
	})
}

func TestAMemberMovesToAnotherAddress(t *testing.T) {
	c := binary.StartCluster(t, 3)
	moving := c.Servers[2]
	moving.Stop(t)
	address, err := kit.FreeAddress()
	must(t, err)
	moved := start(t, moving, "--peer-url=https://"+address)
	must(t, create(t.Context(), moved, "moved"))
	kit.EventuallyState(t, "the others have the new address, and all are healthy", func(context.Context) (bool, string) {
		list := c.Servers[0].Member(t, "list")
		return strings.Contains(list, address) && strings.Contains(list, "3 voters, all healthy"), list
	})
}

func TestAJoinerThatDiedContinues(t *testing.T) {
	first := binary.Start(t, binary.DataDir(t), binary.Named("a")...)
	invitation := append(first.Invitation(t), binary.Named("b")...)
	dir := binary.DataDir(t)
	// It dies at a different moment in each round.
	for round := range 12 {
		joiner := binary.Launch(t, dir, nil, invitation...)
		select {
		case <-joiner.Exited():
			t.Fatalf("the joiner ended in round %d:\n%s", round, joiner.Stderr())
		case <-time.After(time.Duration(round) * 40 * time.Millisecond):
		}
		joiner.Kill()
		joiner.Wait(t)
	}
	joined := binary.Start(t, dir, invitation...)
	must(t, create(t.Context(), joined, "joined"))
	must(t, has(t.Context(), first, "joined"))
	kit.EventuallyState(t, "there are two voters", func(context.Context) (bool, string) {
		list := first.Member(t, "list")
		return strings.Contains(list, "2 voters, all healthy"), list
	})
}

func TestDeadMembersAreRemovedAfterTheTimeOfTheFlag(t *testing.T) {
	c := binary.StartCluster(t, 5, "--replace-dead-after=1m")
	leading := leader(t, c)
	followers := without(c, leading)
	dead, alive := followers[:2], append([]*binary.Server{c.Servers[leading]}, followers[2:]...)
	var names []string
	for _, server := range dead {
		names = append(names, stateOf(t, server).Name)
		server.Kill()
	}
	must(t, create(t.Context(), alive[1], "while-they-are-dead"))
	for _, server := range dead {
		server.Wait(t)
	}
	// Five voters can lose two, which leaves three: one after the other.
	for _, voters := range []string{"4 voters", "3 voters"} {
		kit.EventuallyState(t, "the cluster has "+voters, func(context.Context) (bool, string) {
			list, _ := alive[0].TryMember(t, "list")
			return strings.Contains(list, voters) || strings.Contains(list, "3 voters"), list
		})
	}
	kit.EventuallyState(t, "the others are healthy", func(context.Context) (bool, string) {
		list, _ := alive[0].TryMember(t, "list")
		for _, name := range names {
			if strings.Contains(list, "\n"+name+" ") {
				return false, list
			}
		}
		return strings.Contains(list, "3 voters, all healthy; writes need 2, so 1 may fail."), list
	})
	must(t, has(t.Context(), alive[2], "while-they-are-dead"))
	must(t, create(t.Context(), alive[2], "afterwards"))
	refused := binary.Launch(t, dead[0].DataDir, nil, "--listen", dead[0].Address(t))
	if code := refused.Wait(t); code == 0 || !strings.Contains(refused.Stderr(), "was removed from its cluster") {
		t.Errorf("a removed member ends with code %d and:\n%s", code, refused.Stderr())
	}
}
