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

package observability

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/otlp"
)

const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
	hidden   = "a-value-that-no-span-has"
)

// allowing is a webhook that allows everything and keeps the traceparent headers that it gets.
type allowing struct {
	mu      sync.Mutex
	parents []string
}

func (a *allowing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.parents = append(a.parents, r.Header.Get("Traceparent"))
	a.mu.Unlock()
	review := &admissionv1.AdmissionReview{}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, review)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	_ = json.NewEncoder(w).Encode(review) // the server reports a response that is incomplete
}

// register calls the webhook for every config map in namespaces other than kube-system.
func (a *allowing) register(t *testing.T, config *rest.Config) {
	t.Helper()
	serving := httptest.NewTLSServer(a)
	t.Cleanup(serving.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: serving.Certificate().Raw})
	_, err := kubernetes.NewForConfigOrDie(config).AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "allowing"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "allowing.example.com", SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &serving.URL, CABundle: authority},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// calls returns the number of calls in the trace.
func (a *allowing) calls() (count int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, parent := range a.parents {
		if strings.HasPrefix(parent, "00-"+traceID+"-") {
			count++
		}
	}
	return count
}

// create creates a config map in the trace of a client.
func create(t *testing.T, config *rest.Config, name string) {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name + `"},"data":{"x":"` + hidden + `"}}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, config.Host+"/api/v1/namespaces/default/configmaps", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Traceparent", "00-"+traceID+"-"+parentID+"-01")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if answer, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %s %v", response.Status, answer, err)
	}
}

// TestOneTraceLeadsFromTheRequestThroughAWebhookToEtcd sends a request of a client that traces.
func TestOneTraceLeadsFromTheRequestThroughAWebhookToEtcd(t *testing.T) {
	for _, external := range []bool{false, true} {
		name := map[bool]string{false: "embedded etcd", true: "external etcd"}[external]
		t.Run(name, func(t *testing.T) {
			receiver := otlp.Start(t)
			server := servertesting.Start(t, func(o *options.Options) {
				o.Tracing.ConfigFile = receiver.ConfigFile
				if external {
					etcd, err := embedded.Start(t.Context(), embedded.Config{DataDir: t.TempDir()})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = etcd.Close() })
					o.Etcd.StorageConfig.Transport.ServerList = etcd.Endpoints()
				}
			})
			hook := &allowing{}
			hook.register(t, server.Config)
			created := 0
			kit.Eventually(t, "admission has the configuration of the webhook", func(context.Context) bool {
				created++
				create(t, server.Config, fmt.Sprintf("traced-%d", created))
				return hook.calls() > 0
			})
			const request = "POST /api/v1/namespaces/{:namespace}/configmaps"
			for _, want := range [][]string{
				{"authorization", "Create", "Create etcd3", "etcdserverpb.KV/Txn"},
				{"authorization", "Create", "Call validating webhook", "HTTP POST"},
			} {
				kit.EventuallyState(t, "the trace has "+strings.Join(want, " > "), func(context.Context) (bool, string) {
					return receiver.Has(traceID, parentID, request, want...), strings.Join(receiver.Names(traceID), ", ")
				})
			}
			if strings.Contains(receiver.Text(), hidden) {
				t.Error("a span has the content of an object")
			}
		})
	}
}
