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

package webhooks

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
	"k8s.io/utils/ptr"
)

// answer is a webhook's response to a review.
type answer func(r *http.Request, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse

// hooks is a TLS server of webhooks, each at a separate path. It records the requests.
type hooks struct {
	server *httptest.Server
	// authority verifies the server's certificate.
	authority []byte

	mu      sync.Mutex
	answers map[string]answer
	asked   map[string][]*admissionv1.AdmissionRequest
}

func startHooks(t *testing.T) *hooks {
	t.Helper()
	h := newHooks(t)
	h.server.StartTLS()
	h.authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.server.Certificate().Raw})
	return h
}

// startHooksAs uses a certificate for only that name.
func startHooksAs(t *testing.T, host string) *hooks {
	t.Helper()
	certificate, key, err := cert.GenerateSelfSignedCertKey(host, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	h := newHooks(t)
	h.server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	h.server.StartTLS()
	h.authority = certificate
	return h
}

func newHooks(t *testing.T) *hooks {
	h := &hooks{answers: map[string]answer{}, asked: map[string][]*admissionv1.AdmissionRequest{}}
	h.server = httptest.NewUnstartedServer(h)
	t.Cleanup(func() {
		h.server.CloseClientConnections()
		h.server.Close()
	})
	return h
}

// ServeHTTP implements http.Handler.
func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	review := &admissionv1.AdmissionReview{}
	if err := json.NewDecoder(r.Body).Decode(review); err != nil || review.Request == nil {
		http.Error(w, fmt.Sprintf("no review: %v", err), http.StatusBadRequest)
		return
	}
	path := strings.Trim(r.URL.Path, "/")
	h.mu.Lock()
	h.asked[path] = append(h.asked[path], review.Request)
	answer := h.answers[path]
	h.mu.Unlock()
	if r.Header.Get("Authorization") != "" || answer == nil {
		http.Error(w, "credentials for a webhook, or a path that nobody knows", http.StatusTeapot)
		return
	}
	response := answer(r, review.Request)
	if response == nil {
		return // the handler has waited for the caller's timeout
	}
	response.UID = review.Request.UID
	review.Request, review.Response = nil, response
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}

// calls returns the requests to the webhook at the path, without cluster-scoped objects and objects with
// the prefix "probe-".
func (h *hooks) calls(path string) []*admissionv1.AdmissionRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.asked[path]), func(r *admissionv1.AdmissionRequest) bool { return strings.HasPrefix(r.Name, probePrefix) })
}

// probed reports whether the webhook was called for an object of that name.
func (h *hooks) probed(path, name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.asked[path], func(r *admissionv1.AdmissionRequest) bool { return r.Name == name })
}

func (h *hooks) forget(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.asked, path)
}

// client returns the client configuration for the webhook at the path.
func (h *hooks) client(path string) admissionregistrationv1.WebhookClientConfig {
	return admissionregistrationv1.WebhookClientConfig{
		URL:      ptr.To(h.server.URL + "/" + path),
		CABundle: h.authority,
	}
}

// service returns the client configuration for a service that leads to the port of this server.
func (h *hooks) service(t *testing.T, namespace, name, path string) admissionregistrationv1.WebhookClientConfig {
	t.Helper()
	address, ok := h.server.Listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("%v has no port", h.server.Listener.Addr())
	}
	return admissionregistrationv1.WebhookClientConfig{
		Service:  &admissionregistrationv1.ServiceReference{Namespace: namespace, Name: name, Path: ptr.To("/" + path), Port: ptr.To(int32(address.Port))},
		CABundle: h.authority,
	}
}

// allow allows every request.
func allow(*http.Request, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Allowed: true}
}

// patch changes the object with a JSON patch.
func patch(operations string) answer {
	return func(*http.Request, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Allowed: true, Patch: []byte(operations), PatchType: ptr.To(admissionv1.PatchTypeJSONPatch)}
	}
}

// deny refuses with a message.
func deny(message string) answer {
	return func(*http.Request, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Result: &metav1.Status{Message: message, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden}}
	}
}

// silent never responds: it waits until the caller gives up.
func silent(r *http.Request, _ *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	<-r.Context().Done()
	return nil
}

func (h *hooks) set(path string, a answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[path] = a
}
