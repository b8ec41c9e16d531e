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
	"fmt"
	"io"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// LimitType selects the events that share a bucket.
type LimitType string

const (
	// ServerLimit is one bucket for all events.
	ServerLimit LimitType = "Server"
	// NamespaceLimit is a bucket for each namespace.
	NamespaceLimit LimitType = "Namespace"
	// UserLimit is a bucket for each user.
	UserLimit LimitType = "User"
	// SourceAndObjectLimit is a bucket for each pair of a source and the object that it reports on.
	SourceAndObjectLimit LimitType = "SourceAndObject"
)

// checkOrder is the order in which limits are checked: the narrower ones first, so that the refused
// events of a user do not take tokens from the shared bucket.
var checkOrder = []LimitType{SourceAndObjectLimit, UserLimit, NamespaceLimit, ServerLimit}

// GroupVersion is the group and version of the configuration.
var GroupVersion = schema.GroupVersion{Group: "eventratelimit.admission.k8s.io", Version: "v1alpha1"}

// Configuration is the content of the plugin's entry in --admission-control-config-file.
type Configuration struct {
	metav1.TypeMeta `json:",inline"`

	// Limits are the limits, at least one.
	Limits []Limit `json:"limits"`
}

// Limit is one limit.
type Limit struct {
	// Type selects the events that share a bucket.
	Type LimitType `json:"type"`
	// QPS is the sustained number of events per second.
	QPS int32 `json:"qps"`
	// Burst is the number of events that a full bucket allows at once.
	Burst int32 `json:"burst"`
	// CacheSize is the number of buckets that are kept; 0 means 4096. A bucket that was dropped starts full. Not
	// used for the type Server.
	CacheSize int32 `json:"cacheSize,omitempty"`
}

// defaultCacheSize is that of kube-apiserver's plugin.
const defaultCacheSize = 4096

// DeepCopyObject implements runtime.Object.
func (c *Configuration) DeepCopyObject() runtime.Object {
	return &Configuration{TypeMeta: c.TypeMeta, Limits: slices.Clone(c.Limits)}
}

// DefaultConfiguration returns the limits of a server without a configuration. An event is stored for an hour,
// in 4 KiB and its managedFields at the most, so 200 a second are about 4 GiB in a database of
// 8 GiB; one user may fill a tenth of that. The bursts are what a host of 500 instances reports
// when it starts, and twenty of them together. There is a bucket for each of 20,000 users.
func DefaultConfiguration() *Configuration {
	return &Configuration{Limits: []Limit{
		{Type: UserLimit, QPS: 20, Burst: 500, CacheSize: 20_000},
		{Type: ServerLimit, QPS: 200, Burst: 10_000},
	}}
}

// load reads a configuration; without one it returns the defaults.
func load(from io.Reader) (*Configuration, error) {
	if from == nil {
		return DefaultConfiguration(), nil
	}
	content, err := io.ReadAll(from)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(GroupVersion, &Configuration{})
	object, err := runtime.Decode(serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer(), content)
	if err != nil {
		return nil, fmt.Errorf("the configuration is no Configuration of %s: %w", GroupVersion, err)
	}
	configuration, ok := object.(*Configuration)
	if !ok {
		return nil, fmt.Errorf("the configuration is a %T: write a Configuration of %s", object, GroupVersion)
	}
	return configuration, configuration.validate().ToAggregate()
}

func (c *Configuration) validate() field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("limits")
	if len(c.Limits) == 0 {
		errs = append(errs, field.Required(path, "name a limit, or disable the plugin with --disable-admission-plugins="+PluginName))
	}
	seen := map[LimitType]bool{}
	for i, limit := range c.Limits {
		at := path.Index(i)
		if !slices.Contains(checkOrder, limit.Type) {
			errs = append(errs, field.NotSupported(at.Child("type"), limit.Type, checkOrder))
		}
		if seen[limit.Type] {
			errs = append(errs, field.Duplicate(at.Child("type"), limit.Type))
		}
		seen[limit.Type] = true
		if limit.QPS <= 0 {
			errs = append(errs, field.Invalid(at.Child("qps"), limit.QPS, "must be at least 1"))
		}
		if limit.Burst <= 0 {
			errs = append(errs, field.Invalid(at.Child("burst"), limit.Burst, "must be at least 1"))
		}
		if limit.CacheSize < 0 && limit.Type != ServerLimit {
			errs = append(errs, field.Invalid(at.Child("cacheSize"), limit.CacheSize, "must not be negative: leave it out for 4096"))
		}
	}
	return errs
}
