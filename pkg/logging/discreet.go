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

package logging

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"k8s.io/klog/v2"
)

// removed stands for what a log must not have.
const removed = "[removed]"

// discreet removes from the lines of libraries what clients and webhooks sent: values of unknown parameters of URLs, such as
// tokens, and the texts of webhooks. Callers get these texts in their responses. It has no effect on contextual loggers.
type discreet struct{}

var _ klog.LogFilter = discreet{}

// Filter implements klog.LogFilter. The library logs the steps of slow requests, with the errors in which webhooks and
// values of objects are quoted.
func (discreet) Filter(args []any) []any {
	for i, arg := range args {
		text, ok := arg.(string)
		if !ok || !strings.HasPrefix(text, stepPrefix) || !strings.Contains(text, "err:") {
			continue
		}
		steps := strings.Split(text, "\n"+stepPrefix)
		for n, step := range steps {
			steps[n] = stepError.ReplaceAllString(step, "${1}"+removed)
		}
		args = slices.Clone(args)
		args[i] = strings.Join(steps, "\n"+stepPrefix)
	}
	return args
}

// stepPrefix begins the text of each step of k8s.io/utils/trace. An error may have several lines.
const stepPrefix = "Trace["

// stepError matches the error of a step, which is its last field.
var stepError = regexp.MustCompile(`(?s)(\berr:).*`)

// FilterF implements klog.LogFilter. The library's admission plugins log denials and failed calls of webhooks.
func (discreet) FilterF(format string, args []any) (string, []any) {
	if len(args) < 2 || !strings.Contains(format, "webhook") {
		return format, args
	}
	if strings.HasPrefix(format, "rejected by webhook") {
		return "rejected by webhook %q", args[:1]
	}
	filtered := make([]any, len(args))
	for i, arg := range args {
		filtered[i] = withoutTexts(arg)
	}
	return format, filtered
}

// FilterS implements klog.LogFilter.
func (discreet) FilterS(message string, keysAndValues []any) (string, []any) {
	filtered := keysAndValues
	for i := 1; i < len(keysAndValues); i += 2 {
		value := keysAndValues[i]
		switch key := keysAndValues[i-1]; {
		case key == "URI":
			if text, ok := value.(string); ok {
				value = withoutParameters(text)
			}
		case message == "Forbidden" && (key == "reason" || key == "err"):
			value = removed // texts of authorizers, and what an impersonation names
		case key == "err":
			value = withoutTexts(value)
		case key == "requestDescr2": // the library's flow control: a user, with what an impersonation adds
			if u, ok := value.(interface{ GetName() string }); ok {
				value = u.GetName()
			}
		default:
			continue
		}
		if &filtered[0] == &keysAndValues[0] {
			filtered = append([]any{}, keysAndValues...) // the caller's list stays as it is
		}
		filtered[i] = value
	}
	return message, filtered
}

// texts matches what webhooks wrote.
var texts = regexp.MustCompile(`(?s)(denied the request: |an error on the server \().*`)

func withoutTexts(value any) any {
	err, ok := value.(error)
	if !ok {
		return value
	}
	if text := err.Error(); texts.MatchString(text) {
		return texts.ReplaceAllString(text, "${1}"+removed)
	}
	return value
}

// parameters are those of the API, whose values are logged.
var parameters = map[string]bool{
	"allowWatchBookmarks": true, "dryRun": true, "fieldManager": true, "fieldSelector": true, "fieldValidation": true, "force": true, "gracePeriodSeconds": true,
	"includeObject": true, "labelSelector": true, "limit": true, "orphanDependents": true, "pretty": true, "propagationPolicy": true, "resourceVersion": true,
	"resourceVersionMatch": true, "sendInitialEvents": true, "timeout": true, "timeoutSeconds": true, "verbose": true, "watch": true,
}

// withoutParameters removes the values of other parameters from a URI.
func withoutParameters(uri string) string {
	path, query, ok := strings.Cut(uri, "?")
	if !ok {
		return uri
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, value, _ := strings.Cut(part, "=")
		if known, err := url.QueryUnescape(name); value != "" && (err != nil || !parameters[known]) {
			parts[i] = fmt.Sprintf("%s=%s", name, removed)
		}
	}
	return path + "?" + strings.Join(parts, "&")
}
