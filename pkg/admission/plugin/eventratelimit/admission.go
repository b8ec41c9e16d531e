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
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"
)

// PluginName is its name in flags and messages.
const PluginName = "EventRateLimit"

// retryAfter is the Retry-After of a refusal, in seconds: a bucket gets at least one token each
// second.
const retryAfter = 1

// Register adds the plugin's factory.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(config io.Reader) (admission.Interface, error) {
		configuration, err := load(config)
		if err != nil {
			return nil, err
		}
		return New(configuration, clock.RealClock{}), nil
	})
}

// Plugin implements admission.ValidationInterface.
type Plugin struct {
	*admission.Handler
	limits []*limit
}

var _ admission.ValidationInterface = &Plugin{}

// New returns the plugin. The configuration must be valid.
func New(configuration *Configuration, clock clock.Clock) *Plugin {
	p := &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update)}
	for _, kind := range checkOrder {
		for _, configured := range configuration.Limits {
			if configured.Type == kind {
				p.limits = append(p.limits, newLimit(configured, clock))
			}
		}
	}
	return p
}

// events are the two resources that serve events. kube-apiserver's plugin handles only the first.
var events = []schema.GroupResource{corev1.Resource("events"), eventsv1.Resource("events")}

// Validate refuses events beyond the limits with 429. Dry runs are not counted, as in kube-apiserver: they
// store nothing.
func (p *Plugin) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !slices.Contains(events, a.GetResource().GroupResource()) || a.GetSubresource() != "" || a.IsDryRun() {
		return nil
	}
	for _, limit := range p.limits {
		if key, ok := limit.accept(a); !ok {
			return apierrors.NewTooManyRequests(fmt.Sprintf("too many events: the limit of type %s is reached%s: %d a second and %d at once", limit.Type, key, limit.QPS, limit.Burst), retryAfter)
		}
	}
	return nil
}

// limit is a Limit with its buckets.
type limit struct {
	Limit
	clock clock.Clock

	mu      sync.Mutex
	buckets *lru.Cache
}

func newLimit(configured Limit, clock clock.Clock) *limit {
	size := int(configured.CacheSize)
	if size == 0 {
		size = defaultCacheSize
	}
	if configured.Type == ServerLimit {
		size = 1
	}
	return &limit{Limit: configured, clock: clock, buckets: lru.New(size)}
}

// accept takes a token from the bucket. If it is empty, accept returns the part of the message that
// names the bucket.
func (l *limit) accept(a admission.Attributes) (string, bool) {
	key := l.key(a)
	if l.bucket(key).TryAccept() {
		return "", true
	}
	switch l.Type {
	case UserLimit, NamespaceLimit:
		return fmt.Sprintf(" for %q", key), false
	case SourceAndObjectLimit:
		return " for this source and object", false
	}
	return "", false
}

func (l *limit) bucket(key string) flowcontrol.PassiveRateLimiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found, ok := l.buckets.Get(key); ok {
		if bucket, ok := found.(flowcontrol.PassiveRateLimiter); ok {
			return bucket
		}
	}
	bucket := flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(float32(l.QPS), int(l.Burst), l.clock)
	l.buckets.Add(key, bucket)
	return bucket
}

func (l *limit) key(a admission.Attributes) string {
	switch l.Type {
	case UserLimit:
		if user := a.GetUserInfo(); user != nil {
			return user.GetName()
		}
	case NamespaceLimit:
		return a.GetNamespace()
	case SourceAndObjectLimit:
		if event, ok := a.GetObject().(*corev1.Event); ok {
			o := &event.InvolvedObject
			return strings.Join([]string{
				event.Source.Component, event.Source.Host, event.ReportingController, event.ReportingInstance,
				o.Kind, o.Namespace, o.Name, string(o.UID), o.APIVersion,
			}, "\x00")
		}
	}
	return ""
}
