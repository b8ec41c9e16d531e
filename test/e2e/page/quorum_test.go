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

package page

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/e2e/harness"
)

// startEtcd starts an etcd of three members, and returns them with their URLs.
func startEtcd(t *testing.T) (members []harness.EtcdMember, urls string) {
	t.Helper()
	program := filepath.Join(filepath.Dir(filepath.Dir(binary.Path(t))), "_output", "e2e", "etcd")
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("etcd is missing (%v): run make test-page, which builds it", err)
	}
	cluster := &harness.Cluster{Dir: t.TempDir(), Binaries: harness.Binaries{Etcd: program}}
	members, err := cluster.StartEtcd(nil, "etcd-1", "etcd-2", "etcd-3")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range members {
		t.Cleanup(m.Kill)
		all = append(all, m.URL)
	}
	return members, strings.Join(all, ",")
}

func TestALostQuorumIsShown(t *testing.T) {
	members, urls := startEtcd(t)
	server := binary.Start(t, binary.DataDir(t), "--etcd-servers="+urls)
	b := newTab(t, 1280, 640)
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.visit("storage", "Storage")
	b.shows(".quorum", "1 more may fail")
	b.shows(".quorum", "3 voters, all healthy; writes need 2, so 1 may fail")
	b.wait("document.querySelectorAll('.card').length === 3 && [...document.querySelectorAll('.card header')].every(e => e.innerText.includes('Healthy'))")

	// One hangs, and its connections stay.
	if err := members[0].Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.shows(".quorum", "0 more may fail")
	b.shows(".card", "no response within 1s")
	b.shows("nav a[href='#storage'] .badge", "1")
	members[1].Kill()
	b.shows(".quorum", "No quorum")
	b.shows(".quorum", "3 voters, 0 healthy; writes need 2: the quorum is lost, and writes fail")
	b.shows(".card", "connection refused")
	b.shows(".card", "no leader")
	b.shows("nav a[href='#storage'] .badge", "3")
	b.picture("ui-quorum", "light")

	// The other views go on, and show what was known.
	b.visit("gates", "Gates")
	b.shows("#live", "Live")
	if err := members[0].Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	b.visit("storage", "Storage")
	b.shows(".quorum", "3 voters, 2 healthy; writes need 2, so none may fail")
	if code := send(t, server, "", http.MethodPost, "/api/v1/namespaces/default/configmaps", `{"metadata":{"generateName":"later-"}}`); code != http.StatusCreated {
		t.Errorf("a write with two members has the code %d", code)
	}
	b.shows("nav a[href='#storage'] .badge", "1")
	b.clean()
}
