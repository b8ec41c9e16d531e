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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// client returns a client of a server.
func client(server *binary.Server) kubernetes.Interface {
	return kubernetes.NewForConfigOrDie(server.Config)
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// create creates a ConfigMap.
func create(ctx context.Context, server *binary.Server, name string) error {
	_, err := client(server).CoreV1().ConfigMaps("default").Create(ctx, configMap(name), metav1.CreateOptions{})
	return err
}

// has reports whether a server has a ConfigMap, by a linearizable read.
func has(ctx context.Context, server *binary.Server, name string) error {
	_, err := client(server).CoreV1().ConfigMaps("default").Get(ctx, name, metav1.GetOptions{})
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTwoCommandsMakeThreeMembers(t *testing.T) {
	first := binary.Start(t, binary.DataDir(t), binary.Named("a")...)
	must(t, create(t.Context(), first, "before"))
	token, err := client(first).CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default", tokenRequest(), metav1.CreateOptions{})
	must(t, err)

	began := time.Now()
	second, third := first.Invite(t, "b"), first.Invite(t, "c")
	second.WaitReady(t)
	third.WaitReady(t)
	t.Logf("from one to three members in %v", time.Since(began).Round(time.Millisecond))

	for i, server := range []*binary.Server{first, second, third} {
		must(t, has(t.Context(), server, "before"))
		must(t, create(t.Context(), server, fmt.Sprintf("after-%d", i)))
	}
	for _, server := range []*binary.Server{first, second, third} {
		for i := range 3 {
			must(t, has(t.Context(), server, fmt.Sprintf("after-%d", i)))
		}
		if user := userOf(t, server, token.Status.Token); user != "system:serviceaccount:default:default" {
			t.Errorf("%v takes the token of the first server for %q", server, user)
		}
		if authority := file(t, server, "pki/ca.crt"); authority != file(t, first, "pki/ca.crt") {
			t.Errorf("%v has another authority", server)
		}
	}
	kit.EventuallyState(t, "each server lists three healthy voters", func(context.Context) (bool, string) {
		for _, server := range []*binary.Server{first, second, third} {
			if list := server.Member(t, "list"); !strings.Contains(list, "3 voters, all healthy; writes need 2, so 1 may fail.") {
				return false, list
			}
		}
		return true, ""
	})
}

func file(t *testing.T, server *binary.Server, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(server.DataDir, name))
	must(t, err)
	return string(data)
}

func TestAnInvitationIsForOneMember(t *testing.T) {
	first := binary.Start(t, binary.DataDir(t), binary.Named("a")...)
	invitation := first.Invitation(t)
	second := binary.Start(t, binary.DataDir(t), append(invitation, binary.Named("b")...)...)
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"another member with the same token", "the invitation was used by the member b at https://127.0.0.1:", append(invitation, binary.Named("c")...)},
		{"a member with the name of another", "the cluster has a member b, at [https://127.0.0.1:", append(first.Invitation(t), binary.Named("b")...)},
		{"a changed token", "--token: the server refuses it", append(changed(first.Invitation(t)), binary.Named("c")...)},
		{"the token of another authority", "the server is not the one that has invited", append(foreign(t, first.Invitation(t)), binary.Named("c")...)},
		{"half of a token", "--token: it is not the token of an invitation", append([]string{"--join=https://127.0.0.1:1", "--token=gh1.abc"}, binary.Named("c")...)},
		{"no token", "--join and --token belong together", binary.Named("c", "--join=https://127.0.0.1:1")},
		{"an external etcd", "are for the embedded etcd", append(invitation, "--etcd-servers=http://127.0.0.1:1")},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused := binary.Launch(t, binary.DataDir(t), nil, c.args...)
			if code := refused.Wait(t); code == 0 || !strings.Contains(refused.Stderr(), c.want) {
				t.Errorf("the server ends with code %d and:\n%swant %q", code, refused.Stderr(), c.want)
			}
			for _, secret := range c.args {
				if strings.HasPrefix(secret, "gh1.") && strings.Contains(refused.Stderr(), secret) {
					t.Error("the log has the token")
				}
			}
		})
	}
	// The same member may come again.
	second.Stop(t)
	again := binary.Start(t, second.DataDir, append(invitation, binary.Named("b")...)...)
	must(t, has(t.Context(), again, "kube-root-ca.crt"))
}

// changed returns flags with another secret, and foreign with another pin.
func changed(flags []string) []string {
	last := len(flags) - 1
	return append(flags[:last:last], flags[last]+"x")
}

func foreign(t *testing.T, flags []string) []string {
	t.Helper()
	other := binary.Start(t, binary.DataDir(t), binary.Named("other")...).Invitation(t)
	pin := strings.Split(other[len(other)-1], ".")[1]
	last := len(flags) - 1
	parts := strings.Split(flags[last], ".")
	parts[1] = pin
	return append(flags[:last:last], strings.Join(parts, "."))
}

func TestADirectoryWithDataDoesNotJoin(t *testing.T) {
	first := binary.Start(t, binary.DataDir(t), binary.Named("a")...)
	other := binary.Start(t, binary.DataDir(t))
	must(t, create(t.Context(), other, "kept"))
	other.Stop(t)
	refused := binary.Launch(t, other.DataDir, nil, append(first.Invitation(t), binary.Named("b")...)...)
	if code := refused.Wait(t); code == 0 || !strings.Contains(refused.Stderr(), "has data already, which a join would replace") {
		t.Errorf("the server ends with code %d and:\n%s", code, refused.Stderr())
	}
	again := binary.Start(t, other.DataDir)
	must(t, has(t.Context(), again, "kept"))
}

func TestAWatchThatBeganOnALoneMemberGoesOn(t *testing.T) {
	first := binary.Start(t, binary.DataDir(t), binary.Named("a")...)
	follower := follow(t, first)
	must(t, create(t.Context(), first, "alone"))
	second, third := first.Invite(t, "b"), first.Invite(t, "c")
	second.WaitReady(t)
	third.WaitReady(t)
	must(t, create(t.Context(), third, "together"))
	follower.sees(t, "alone", "together")
}
