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
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// redirects runs a webhook that responds with a redirect, to another of its paths and to a
// server without TLS on the machine of the server: neither may receive the object.
func redirects(s *scene) {
	var seen atomic.Int32
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	s.Cleanup(plain.Close)
	targets := map[string]string{"plain": plain.URL + "/steal?token=hidden"}
	elsewhere := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	elsewhere.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	elsewhere.StartTLS()
	s.Cleanup(elsewhere.Close)
	targets["tls"] = elsewhere.URL + "/steal"
	for _, code := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		for to, target := range targets {
			s.Run(http.StatusText(code)+" to "+to, func(t *testing.T) {
				s := s.within(t)
				hook := RawHook(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, code) })
				s.mutate(admissionregistrationv1.MutatingWebhook{Name: "redirects.gates.example.com", ClientConfig: hook, Rules: rule(instances, admissionregistrationv1.Create), FailurePolicy: fail})
				err := s.attacked(s.instance(s.name("redirected")))
				s.refused("a create", err, http.StatusInternalServerError, `failed calling webhook "redirects.gates.example.com"`, "redirects are not followed", "admission plugin MutatingAdmissionWebhook")
				if strings.Contains(errText(err), "hidden") {
					s.Errorf("the query of the target is in the message: %v", err)
				}
			})
		}
	}
	if seen.Load() != 0 {
		s.Errorf("%d requests went where a webhook redirected them", seen.Load())
	}
}

// renames runs webhooks that change the identity of the object under review.
func renames(s *scene) {
	harmless := admissionregistrationv1.MutatingWebhook{Name: "a-harmless.gates.example.com", ClientConfig: s.hooks.client("harmless"), Rules: rule(instances, admissionregistrationv1.Create)}
	s.hooks.set("harmless", patch(`[{"op":"add","path":"/metadata/labels","value":{"seen":"true"}}]`))
	for _, tc := range []struct{ name, patch, says string }{
		{"the name", `[{"op":"replace","path":"/metadata/name","value":"another"}]`, `changed metadata.name: a webhook must not`},
		{"the namespace", `[{"op":"replace","path":"/metadata/namespace","value":"kube-system"}]`, `changed metadata.namespace: a webhook must not`},
		{"the uid", `[{"op":"add","path":"/metadata/uid","value":"00000000-0000-0000-0000-000000000001"}]`, `changed metadata.uid: a webhook must not`},
		{"the generated name", `[{"op":"add","path":"/metadata/generateName","value":"another-"}]`, `changed metadata.generateName: a webhook must not`},
		{"the name by a move", `[{"op":"add","path":"/metadata/annotations","value":{"n":"another"}},{"op":"move","from":"/metadata/annotations/n","path":"/metadata/name"}]`, `changed metadata.name: a webhook must not`},
		{"all of it", `[{"op":"replace","path":"","value":{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"another"},"spec":{"containers":[{"name":"web","image":"registry.example/web:1"}]}}}]`, `changed metadata.name: a webhook must not`},
		{"the kind", `[{"op":"replace","path":"","value":{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"another"}}}]`, "changed"},
	} {
		s.Run(tc.name, func(t *testing.T) {
			s := s.within(t)
			s.hooks.set("renames", patch(tc.patch))
			s.mutate(harmless, admissionregistrationv1.MutatingWebhook{Name: "b-renames.gates.example.com", ClientConfig: s.hooks.client("renames"), Rules: rule(instances, admissionregistrationv1.Create)})
			err := s.attacked(s.instance(s.name("renamed")))
			s.refused("a create", err, http.StatusInternalServerError, `admission webhook "b-renames.gates.example.com" of MutatingWebhookConfiguration`, tc.says, "admission plugin MutatingAdmissionWebhook")
			for _, name := range []string{s.name("renamed"), "another"} {
				if _, err := s.fleet.FleetV1alpha1().Instances(s.Namespace).Get(s.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
					s.Errorf("%s is there: %v", name, err)
				}
			}
		})
	}
	s.Run("a name where one is to be generated", func(t *testing.T) {
		s := s.within(t)
		s.hooks.set("names", patch(`[{"op":"add","path":"/metadata/name","value":"another"}]`))
		s.mutate(admissionregistrationv1.MutatingWebhook{Name: "names.gates.example.com", ClientConfig: s.hooks.client("names"), Rules: rule(instances, admissionregistrationv1.Create)})
		generated := s.instance("")
		generated.GenerateName = s.name("generated") + "-"
		err := s.attacked(generated)
		s.refused("a create", err, http.StatusInternalServerError, `"names.gates.example.com"`, `changed metadata.name: a webhook must not`)
	})
}

// boasts runs webhooks with responses that are too large or have invalid codes.
func boasts(s *scene) {
	long := strings.Repeat("ä", 400_000)
	status := func(change func(*metav1.Status)) answer {
		return func(*http.Request, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
			result := &metav1.Status{Message: "no", Code: http.StatusForbidden}
			change(result)
			return &admissionv1.AdmissionResponse{Result: result}
		}
	}
	for _, tc := range []struct {
		name   string
		answer answer
		code   int32
		says   string
	}{
		{"a long message", status(func(r *metav1.Status) { r.Message = long }), http.StatusForbidden, "…"},
		{"a long reason", status(func(r *metav1.Status) { r.Message, r.Reason = "", metav1.StatusReason(long) }), http.StatusForbidden, "…"},
		{"terminal escapes", status(func(r *metav1.Status) { r.Message = "\x1b[2Jgone" }), http.StatusForbidden, "\uFFFD[2Jgone"},
		{"many long causes", status(func(r *metav1.Status) {
			r.Reason, r.Code, r.Details = metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, &metav1.StatusDetails{}
			for range 1000 {
				r.Details.Causes = append(r.Details.Causes, metav1.StatusCause{Field: long[:600], Message: long[:600]})
			}
		}), http.StatusUnprocessableEntity, "no"},
		{"a code of a success", status(func(r *metav1.Status) { r.Code = http.StatusOK }), http.StatusBadRequest, "no"},
		{"a code that no server sends", status(func(r *metav1.Status) { r.Code = 1 << 30 }), http.StatusBadRequest, "no"},
		{"a code below zero", status(func(r *metav1.Status) { r.Code = -1 }), http.StatusBadRequest, "no"},
		{"a code of a success in other words", status(func(r *metav1.Status) { r.Code, r.Status = 299, metav1.StatusSuccess }), http.StatusBadRequest, "no"},
	} {
		s.Run(tc.name, func(t *testing.T) {
			s := s.within(t)
			s.hooks.set("boasts", tc.answer)
			s.validate(admissionregistrationv1.ValidatingWebhook{Name: "boasts.gates.example.com", ClientConfig: s.hooks.client("boasts"), Rules: rule(instances, admissionregistrationv1.Create)})
			err := s.attacked(s.instance(s.name("boasted")))
			s.refused("a create", err, tc.code, `admission webhook "boasts.gates.example.com" denied the request`, tc.says)
			size := len(errText(err))
			if status, ok := err.(apierrors.APIStatus); ok && status.Status().Details != nil {
				for _, cause := range status.Status().Details.Causes {
					size += len(cause.Field) + len(cause.Message)
				}
			}
			if size > 64<<10 {
				s.Errorf("the answer has %d bytes", size)
			}
		})
	}
	for _, tc := range []struct {
		name, says string
		answer     http.HandlerFunc
	}{
		{"an answer without end", "larger than", answersWithoutEnd},
		{"an announced answer that is too large", "larger than", announcesMuch},
		{"a failure without end", "failed calling webhook", failsWithoutEnd},
	} {
		s.Run(tc.name, func(t *testing.T) {
			s := s.within(t)
			s.validate(admissionregistrationv1.ValidatingWebhook{Name: "endless.gates.example.com", ClientConfig: RawHook(t, tc.answer), Rules: rule(instances, admissionregistrationv1.Create), FailurePolicy: fail, TimeoutSeconds: ptr.To[int32](20)})
			err := s.attacked(s.instance(s.name("endless")))
			s.refused("a create", err, http.StatusInternalServerError, `failed calling webhook "endless.gates.example.com"`, tc.says)
			if size := len(errText(err)); size > 16<<10 {
				s.Errorf("the answer has %d bytes", size)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// endlessPolicies runs a policy that exhausts the cost budget of the library for a binding, which
// is a second or two of a processor, with more bindings than a request has time for.
func endlessPolicies(s *scene) {
	spec := admissionregistrationv1.ValidatingAdmissionPolicySpec{MatchConstraints: policyRule(instances, admissionregistrationv1.Create), FailurePolicy: fail, Validations: EndlessValidations()}
	s.judge(spec, admissionregistrationv1.Deny)
	bindings := s.cluster.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	for i := range 9 {
		binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: s.name(fmt.Sprint("gates-", i))},
			Spec:       admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: s.name("gates"), ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}},
		}
		if _, err := bindings.Create(s.Context(), binding, metav1.CreateOptions{}); err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() { _ = bindings.Delete(s.background(), binding.Name, metav1.DeleteOptions{}) })
	}
	s.inForce(s.instance(s.name("slow")), "the expressions of all policies together took longer than 1s")
	err := s.attacked(s.instance(s.name("slow")))
	s.refused("a create", err, http.StatusUnprocessableEntity, "took longer than 1s", "admission plugin ValidatingAdmissionPolicy")
}
