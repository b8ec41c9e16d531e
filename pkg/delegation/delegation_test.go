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

package delegation

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func TestAnErrorOfAnInformerTriggersAProbe(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	d := &Delegation{
		informers: informers.NewSharedInformerFactory(client, 0),
		plugins:   []string{"NamespaceLifecycle"},
		checker:   NewChecker(client, nil),
	}
	if err := d.watchErrors(); err != nil {
		t.Fatal(err)
	}
	d.informers.Start(t.Context().Done())
	select {
	case <-d.checker.recheck:
	case <-time.After(time.Minute):
		t.Error("no probe is due")
	}
}
