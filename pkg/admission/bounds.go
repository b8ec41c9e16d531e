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
	"net/http"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
)

// Texts of a webhook are sent to callers, to the log and to the audit log, and are cut to these
// sizes, in bytes. The library bounds warnings, in
// k8s.io/apiserver/pkg/endpoints/filters/warning.go.
const (
	maxMessage      = 4 << 10
	maxCauseMessage = 1 << 10
	maxCauses       = 32
	maxShortText    = 256
	// maxRetryAfter is an hour, in seconds: clients wait for the whole time.
	maxRetryAfter = 3600
	// maxAnnotation and maxAnnotations bound the size and the number of the annotations that the
	// webhooks of one request add to its audit event.
	maxAnnotation  = 4 << 10
	maxAnnotations = 64
)

// cut shortens text to size bytes, with "…" at the end, and never splits a rune. Control characters
// other than line feeds and tabs become U+FFFD: terminals interpret them.
func cut(text string, size int) string {
	const mark = "…"
	if len(text) > size {
		end := size - len(mark)
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + mark
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return utf8.RuneError
		}
		return r
	}, text)
}

// bounded bounds the parts of a webhook's refusal. The library replaces codes below 400 by 400;
// net/http panics above 999, and clients do not handle codes above 599.
func bounded(status *metav1.Status) {
	if status.Code < http.StatusBadRequest || status.Code > 599 {
		status.Code = http.StatusBadRequest
	}
	status.ListMeta = metav1.ListMeta{}
	status.Status = metav1.StatusFailure
	status.Message = cut(status.Message, maxMessage)
	status.Reason = metav1.StatusReason(cut(string(status.Reason), maxShortText))
	details := status.Details
	if details == nil {
		return
	}
	details.Name, details.Group = cut(details.Name, maxShortText), cut(details.Group, maxShortText)
	details.Kind = cut(details.Kind, maxShortText)
	details.UID = ""
	details.RetryAfterSeconds = min(max(details.RetryAfterSeconds, 0), maxRetryAfter)
	if len(details.Causes) > maxCauses {
		details.Causes = append(details.Causes[:maxCauses-1:maxCauses-1], metav1.StatusCause{Message: "… and more"})
	}
	for i := range details.Causes {
		cause := &details.Causes[i]
		cause.Type = metav1.CauseType(cut(string(cause.Type), maxShortText))
		cause.Field = cut(cause.Field, maxShortText)
		cause.Message = cut(cause.Message, maxCauseMessage)
	}
}

// boundedAttributes bounds the annotations that webhooks add to the audit event. The library's own
// annotations, which name the webhook and its patch, are not cut: they are JSON, and not larger
// than a response. Validating webhooks are called concurrently.
type boundedAttributes struct {
	admission.Attributes
	annotations atomic.Int32
}

// AddAnnotation implements admission.Attributes.
func (b *boundedAttributes) AddAnnotation(key, value string) error {
	if strings.Contains(key, ".webhook.admission.k8s.io/round_") {
		return b.Attributes.AddAnnotation(key, value)
	}
	if b.annotations.Add(1) > maxAnnotations {
		return nil
	}
	return b.Attributes.AddAnnotation(key, cut(value, maxAnnotation))
}
