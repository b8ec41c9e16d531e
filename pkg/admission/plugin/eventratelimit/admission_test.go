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

package eventratelimit

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	clocktesting "k8s.io/utils/clock/testing"
)

// sent is a write of an event or of another object.
type sent struct {
	group, resource, subresource      string
	user, namespace, component, about string
	after                             time.Duration
	operation                         admission.Operation
	dryRun                            bool
}

func (s sent) attributes() admission.Attributes {
	if s.resource == "" {
		s.resource = "events"
	}
	if s.operation == "" {
		s.operation = admission.Create
	}
	event := &corev1.Event{Source: corev1.EventSource{Component: s.component}, InvolvedObject: corev1.ObjectReference{Name: s.about}}
	kind := schema.GroupVersionKind{Group: s.group, Version: "v1", Kind: "Event"}
	return admission.NewAttributesRecord(event, nil, kind, s.namespace, "name", kind.GroupVersion().WithResource(s.resource), s.subresource,
		s.operation, &metav1.CreateOptions{}, s.dryRun, &user.DefaultInfo{Name: s.user})
}

func TestEventsBeyondALimitAreRefused(t *testing.T) {
	limited := func(kind LimitType, cache int32) []Limit {
		return []Limit{{Type: kind, QPS: 1, Burst: 2, CacheSize: cache}}
	}
	for _, tc := range []struct {
		name   string
		limits []Limit
		sent   []sent
		// refused has a letter for each write: r for refused, a for accepted.
		refused string
	}{
		{"a burst is taken and no more", limited(UserLimit, 0), []sent{{user: "a"}, {user: "a"}, {user: "a"}}, "aar"},
		{"one event is accepted a second later", limited(UserLimit, 0), []sent{{user: "a"}, {user: "a"}, {user: "a", after: time.Second}, {user: "a"}}, "aaar"},
		{"another user has a bucket of its own", limited(UserLimit, 0), []sent{{user: "a"}, {user: "a"}, {user: "b"}, {user: "a"}}, "aaar"},
		{"both groups of events count", limited(UserLimit, 0), []sent{{user: "a", group: "events.k8s.io"}, {user: "a"}, {user: "a", group: "events.k8s.io"}}, "aar"},
		{"updates count", limited(UserLimit, 0), []sent{{user: "a"}, {user: "a", operation: admission.Update}, {user: "a", operation: admission.Update}}, "aar"},
		{"dry runs do not", limited(UserLimit, 0), []sent{{user: "a", dryRun: true}, {user: "a", dryRun: true}, {user: "a"}, {user: "a"}, {user: "a", dryRun: true}}, "aaaaa"},
		{"other resources do not", limited(UserLimit, 0), []sent{{user: "a", resource: "configmaps"}, {user: "a"}, {user: "a"}, {user: "a", resource: "configmaps"}}, "aaaa"},
		{"events of another group are other resources", limited(UserLimit, 0), []sent{{user: "a", group: "example.com"}, {user: "a", group: "example.com"}, {user: "a", group: "example.com"}}, "aaa"},
		{"a namespace has a bucket", limited(NamespaceLimit, 0), []sent{{namespace: "a", user: "a"}, {namespace: "a", user: "b"}, {namespace: "a", user: "c"}, {namespace: "b", user: "a"}}, "aara"},
		{"the server has one bucket", limited(ServerLimit, 0), []sent{{namespace: "a", user: "a"}, {namespace: "b", user: "b"}, {namespace: "c", user: "c"}}, "aar"},
		{"a source has a bucket for each object", limited(SourceAndObjectLimit, 0), []sent{{component: "a", about: "x"}, {component: "a", about: "x"}, {component: "a", about: "x"}, {component: "a", about: "y"}}, "aara"},
		{"names that run into each other are different", limited(SourceAndObjectLimit, 0), []sent{{component: "ab"}, {component: "ab"}, {component: "a", about: "b"}}, "aaa"},
		{"a bucket that was dropped starts full", limited(UserLimit, 1), []sent{{user: "a"}, {user: "a"}, {user: "b"}, {user: "a"}}, "aaaa"},
		{"what a user is refused is not charged to the server", []Limit{{Type: ServerLimit, QPS: 1, Burst: 3}, {Type: UserLimit, QPS: 1, Burst: 1}}, []sent{{user: "a"}, {user: "a"}, {user: "a"}, {user: "b"}, {user: "c"}, {user: "d"}}, "arraar"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(time.Unix(0, 0))
			plugin := New(&Configuration{Limits: tc.limits}, clock)
			got := ""
			for _, s := range tc.sent {
				clock.Step(s.after)
				err := plugin.Validate(t.Context(), s.attributes(), nil)
				switch seconds, ok := apierrors.SuggestsClientDelay(err); {
				case err == nil:
					got += "a"
				case apierrors.IsTooManyRequests(err) && ok && seconds == retryAfter:
					got += "r"
				default:
					t.Errorf("refused with %v, want 429 that suggests a delay", err)
				}
			}
			if got != tc.refused {
				t.Errorf("got %s, want %s", got, tc.refused)
			}
		})
	}
}

func TestTheConfigurationIsThatOfKubernetes(t *testing.T) {
	const head = "apiVersion: eventratelimit.admission.k8s.io/v1alpha1\nkind: Configuration\n"
	for _, tc := range []struct {
		name, content string
		message       string // empty: it is right
	}{
		{"all types", head + "limits:\n- {type: Server, qps: 50, burst: 100}\n- {type: Namespace, qps: 50, burst: 100, cacheSize: 2000}\n- {type: User, qps: 10, burst: 50}\n- {type: SourceAndObject, qps: 1, burst: 5}\n", ""},
		{"no limit", head + "limits: []\n", "limits: Required value: name a limit"},
		{"an unknown type", head + "limits: [{type: Host, qps: 1, burst: 1}]", `limits[0].type: Unsupported value: "Host"`},
		{"a type twice", head + "limits: [{type: User, qps: 1, burst: 1}, {type: User, qps: 2, burst: 1}]", "limits[1].type: Duplicate value"},
		{"nothing a second", head + "limits: [{type: User, burst: 1}]", "limits[0].qps: Invalid value: 0: must be at least 1"},
		{"nothing at once", head + "limits: [{type: User, qps: 1}]", "limits[0].burst: Invalid value: 0: must be at least 1"},
		{"fewer buckets than none", head + "limits: [{type: User, qps: 1, burst: 1, cacheSize: -1}]", "limits[0].cacheSize: Invalid value: -1"},
		{"an unknown field", head + "limits: [{type: User, qps: 1, burst: 1, cache: 1}]", `unknown field "limits[0].cache"`},
		{"another kind", "apiVersion: v1\nkind: ConfigMap\n", "no Configuration of eventratelimit.admission.k8s.io/v1alpha1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load(strings.NewReader(tc.content))
			if (err == nil) != (tc.message == "") || err != nil && !strings.Contains(err.Error(), tc.message) {
				t.Errorf("got %v, want %q", err, tc.message)
			}
		})
	}
	if err := DefaultConfiguration().validate().ToAggregate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}
