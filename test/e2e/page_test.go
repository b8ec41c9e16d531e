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
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/ui"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/visitor"
)

// The session of a page has the rights that the cluster gives to its user.
func TestAPageOfAnAggregatedServerReadsWithTheRightsInTheCluster(t *testing.T) {
	replica, err := env.gatehouse.StartReplica(t.Context(), "gatehouse-with-page", "--ui-listen=127.0.0.1:0", "--embedded-etcd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(replica.Stop)
	pem, err := os.ReadFile(env.gatehouse.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(pem)
	secret, sum := ui.NewSecret()
	made, err := versioned.NewForConfigOrDie(certified(t, replica)("page-visitor")).DiagnosticsV1alpha1().UISessions().Create(t.Context(),
		&v1alpha1.UISession{Spec: v1alpha1.UISessionSpec{SecretHash: hex.EncodeToString(sum[:])}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v := visitor.Open(t, ui.Link(made.Status.URL, secret), authorities)
	if response, body := v.Send(t, http.MethodGet, "/ui/whoami", "", nil); response.StatusCode != http.StatusOK || !strings.Contains(body, `"user":"page-visitor"`) {
		t.Errorf("%s %s", response.Status, body)
	}
	const hosts = "/apis/fleet.gatehouse.dev/v1alpha1/hosts"
	if response, body := v.Send(t, http.MethodGet, "/ui/api"+hosts, "", nil); response.StatusCode != http.StatusForbidden || !strings.Contains(body, `User \"page-visitor\" cannot list`) {
		t.Errorf("%s %s", response.Status, body)
	}
	kubectl(t, "create", "clusterrolebinding", "page-visitor", "--clusterrole=gatehouse:hosts-view", "--user=page-visitor")
	t.Cleanup(func() { kubectl(t, "delete", "clusterrolebinding/page-visitor") })
	kit.Eventually(t, "the session reads hosts", func(context.Context) bool {
		response, _ := v.Send(t, http.MethodGet, "/ui/api"+hosts, "", nil)
		return response.StatusCode == http.StatusOK
	})
	lines, _ := v.Follow(t, "watch="+hosts)
	for lines.Scan() && !strings.Contains(lines.Text(), `"synced":true`) {
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
}
