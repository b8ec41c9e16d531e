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
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names of two special webhooks: writes for NeverAnswers take its whole timeout, and writes for
// RefusesAtLength are refused with 403; for all others with 500.
const NeverAnswers, RefusesAtLength = "never-answers", "refuses-at-length"

// Misbehaviours returns webhooks by their misbehaviour. Each write that calls one must fail.
func Misbehaviours() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		NeverAnswers: neverAnswers,
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"answers-without-end": answersWithoutEnd,
		"announces-much":      announcesMuch,
		"fails-without-end":   failsWithoutEnd,
		RefusesAtLength:       reviewed(deny(strings.Repeat("x", 800_000))),
		"renames":             reviewed(patch(`[{"op":"add","path":"/metadata/name","value":"another"}]`)),
	}
}

// RawHook starts a webhook that writes raw responses, until the test ends.
func RawHook(t *testing.T, answer http.HandlerFunc) admissionregistrationv1.WebhookClientConfig {
	t.Helper()
	h := startHooks(t)
	h.server.Config.Handler = answer
	return h.client("")
}

// reviewed decodes and answers reviews.
func reviewed(a answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		review := &admissionv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil || review.Request == nil {
			http.Error(w, fmt.Sprintf("no review: %v", err), http.StatusBadRequest)
			return
		}
		response := a(r, review.Request)
		response.UID = review.Request.UID
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(&admissionv1.AdmissionReview{
			TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"}, Response: response,
		})
	}
}

func neverAnswers(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // the end of a connection is detected only after its body
	<-r.Context().Done()
}

func answersWithoutEnd(w http.ResponseWriter, _ *http.Request) {
	endless(w, `{"response":{"status":{"message":"`)
}

func announcesMuch(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000000000")
}

func failsWithoutEnd(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusInternalServerError)
	endless(w, "")
}

// endless writes until the connection is closed, or a gigabyte.
func endless(w http.ResponseWriter, head string) {
	chunk := []byte(strings.Repeat("x", 64<<10))
	_, _ = w.Write([]byte(head))
	for range 16 << 10 {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// EndlessValidations are expressions that exhaust the cost budget of the library for a policy, which
// is a second or two of a processor.
func EndlessValidations() []admissionregistrationv1.Validation {
	numbers := make([]string, 60)
	for i := range numbers {
		numbers[i] = strconv.Itoa(i)
	}
	list := "[" + strings.Join(numbers, ",") + "]"
	loop := fmt.Sprintf("%[1]s.all(x, %[1]s.all(y, %[1]s.all(z, x + y + z >= 0)))", list)
	var validations []admissionregistrationv1.Validation
	for i := range 12 {
		validations = append(validations, admissionregistrationv1.Validation{Expression: fmt.Sprintf("%s || %d < 0", loop, i), Message: "no"})
	}
	return validations
}
