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

package app

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/otlp"
)

// allowHosts serves a webhook that allows everything, and returns its configuration for Hosts.
func allowHosts(t *testing.T) admissionregistrationv1.ValidatingWebhookConfigurationList {
	t.Helper()
	serving := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := &admissionv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil {
			t.Error(err)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		_ = json.NewEncoder(w).Encode(review) // the server refuses an incomplete response
	}))
	t.Cleanup(serving.Close)
	return admissionregistrationv1.ValidatingWebhookConfigurationList{
		TypeMeta: metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingWebhookConfigurationList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"},
		Items: []admissionregistrationv1.ValidatingWebhookConfiguration{{
			ObjectMeta: metav1.ObjectMeta{Name: "allowing", ResourceVersion: "1"},
			Webhooks: []admissionregistrationv1.ValidatingWebhook{{
				Name: "allowing.example.com", SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
				FailurePolicy: ptr.To(admissionregistrationv1.Fail), MatchPolicy: ptr.To(admissionregistrationv1.Equivalent), TimeoutSeconds: ptr.To(int32(10)),
				NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{},
				ClientConfig: admissionregistrationv1.WebhookClientConfig{
					URL: &serving.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: serving.Certificate().Raw}),
				},
				Rules: []admissionregistrationv1.RuleWithOperations{{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule: admissionregistrationv1.Rule{
						APIGroups: []string{fleetv1alpha1.GroupName}, APIVersions: []string{"*"}, Resources: []string{"hosts"}, Scope: ptr.To(admissionregistrationv1.AllScopes),
					},
				}},
			}},
		}},
	}
}

// withWebhooks puts a proxy between a server and its cluster that adds the list, and allows users what they do.
func withWebhooks(t *testing.T, o *options.CompletedOptions, list admissionregistrationv1.ValidatingWebhookConfigurationList) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", o.Cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer any
		switch _, resource, _ := strings.Cut(r.URL.Path, ".k8s.io/v1/"); {
		case resource == "validatingwebhookconfigurations" && !r.URL.Query().Has("watch"):
			answer = list
		case resource == "subjectaccessreviews":
			answer = authorizationv1.SubjectAccessReview{
				TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SubjectAccessReview"}, Status: authorizationv1.SubjectAccessReviewStatus{Allowed: true},
			}
		default:
			forward.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // the server sends its request again
	}))
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
	})
	content, err := os.ReadFile(o.Cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	o.Cluster.Kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(o.Cluster.Kubeconfig, []byte(strings.Replace(string(content), config.Host, proxy.URL, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOneTraceLeadsFromTheRequestThroughTheClusterAndAWebhookToEtcd is for the aggregated mode; test/integration has
// the standalone one. Traces of monitoring users are continued, and their rights are those in the cluster.
func TestOneTraceLeadsFromTheRequestThroughTheClusterAndAWebhookToEtcd(t *testing.T) {
	const traceID, parentID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	receiver, list := otlp.Start(t), allowHosts(t)
	_, o, ready, users := startAggregatedBy(t, func(ctx context.Context, o options.CompletedOptions, observe Observer) error {
		o.Tracing.ConfigFile = receiver.ConfigFile
		withWebhooks(t, &o, list)
		return Run(ctx, o, observe)
	})
	client := clientOf(t, o, ready, users, "prober", "system:monitoring").FleetV1alpha1()
	host := &fleetv1alpha1.Host{TypeMeta: metav1.TypeMeta{APIVersion: fleetv1alpha1.SchemeGroupVersion.String(), Kind: "Host"}, ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}}
	if err := client.RESTClient().Post().Resource("hosts").SetHeader("Traceparent", "00-"+traceID+"-"+parentID+"-01").Body(host).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{
		{"authorization", "Create", "Create etcd3", "etcdserverpb.KV/Txn"},
		{"authorization", "Create", "Call validating webhook", "HTTP POST"},
		{"authorization", "HTTP POST"},
	} {
		kit.EventuallyState(t, "the trace has "+strings.Join(want, " > "), func(context.Context) (bool, string) {
			return receiver.Has(traceID, parentID, "POST /apis/fleet.gatehouse.dev/v1alpha1/hosts", want...), strings.Join(receiver.Names(traceID), ", ")
		})
	}
}
