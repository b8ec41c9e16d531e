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

package admission

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
)

func TestTextIsCutBetweenRunes(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		size       int
		want       string
	}{
		{"what fits is left alone", "ab\ncd", 5, "ab\ncd"},
		{"what does not is cut", "abcdefgh", 6, "abc…"},
		{"a rune is not split", "ääää", 6, "ä…"},
		{"control characters are taken out", "a\x1b[2J\x00\tb", 100, "a\uFFFD[2J\uFFFD\tb"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := cut(tc.text, tc.size); got != tc.want || !utf8.ValidString(got) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAStatusIsBounded(t *testing.T) {
	status := metav1.Status{Code: 1 << 20, Status: metav1.StatusSuccess, Message: strings.Repeat("x", 1<<20), Details: &metav1.StatusDetails{RetryAfterSeconds: 1 << 30}}
	for range 1000 {
		status.Details.Causes = append(status.Details.Causes, metav1.StatusCause{Message: strings.Repeat("y", 1<<12)})
	}
	bounded(&status)
	if status.Code != 400 || status.Status != metav1.StatusFailure || len(status.Message) > maxMessage || len(status.Details.Causes) != maxCauses ||
		len(status.Details.Causes[0].Message) > maxCauseMessage || status.Details.RetryAfterSeconds != maxRetryAfter {
		t.Errorf("got %+v", status)
	}
}

// noted records annotations.
type noted struct {
	admission.Attributes
	notes map[string]string
}

func (n noted) AddAnnotation(key, value string) error {
	n.notes[key] = value
	return nil
}

func TestAnnotationsOfTheAuditAreBounded(t *testing.T) {
	n := noted{notes: map[string]string{}}
	a := &boundedAttributes{Attributes: n}
	for i := range 10 * maxAnnotations {
		if err := a.AddAnnotation(fmt.Sprintf("hook.example.com/%d", i), strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	const library = "mutation.webhook.admission.k8s.io/round_0_index_0"
	if err := a.AddAnnotation(library, strings.Repeat("x", 10_000)); err != nil {
		t.Fatal(err)
	}
	if len(n.notes) != maxAnnotations+1 || len(n.notes["hook.example.com/0"]) > maxAnnotation || len(n.notes[library]) != 10_000 {
		t.Errorf("%d annotations, the first of %d bytes", len(n.notes), len(n.notes["hook.example.com/0"]))
	}
}
