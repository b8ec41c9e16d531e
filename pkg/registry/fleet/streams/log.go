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

package streams

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericrest "k8s.io/apiserver/pkg/registry/generic/rest"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// LogREST is instances/log: the log of a container, as text.
type LogREST struct{ *Config }

var (
	_ rest.GetterWithOptions = &LogREST{}
	_ rest.StorageMetadata   = &LogREST{}
)

// New implements rest.Storage.
func (r *LogREST) New() runtime.Object { return &fleet.Instance{} }

// Destroy implements rest.Storage.
func (r *LogREST) Destroy() {}

// ProducesMIMETypes implements rest.StorageMetadata.
func (r *LogREST) ProducesMIMETypes(string) []string { return []string{"text/plain"} }

// ProducesObject implements rest.StorageMetadata.
func (r *LogREST) ProducesObject(string) any { return "" }

// NewGetOptions implements rest.GetterWithOptions.
func (r *LogREST) NewGetOptions() (runtime.Object, bool, string) {
	return &fleet.InstanceLogOptions{}, false, ""
}

// Get returns the log as a stream.
func (r *LogREST) Get(ctx context.Context, name string, options runtime.Object) (runtime.Object, error) {
	o, ok := options.(*fleet.InstanceLogOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T are no InstanceLogOptions", options))
	}
	if errs := validateLog(o); len(errs) > 0 {
		return nil, apierrors.NewInvalid(fleet.Kind("InstanceLogOptions"), name, errs)
	}
	of, err := r.find(ctx, name, o.Container)
	if err != nil {
		return nil, err
	}
	transport, err := r.transport(ctx, of.Spec.HostName)
	if err != nil {
		return nil, err
	}
	return &genericrest.LocationStreamer{
		Location: location(of.Instance, logQuery(o), of.container, "log"), Transport: transport,
		ContentType: "text/plain", Flush: o.Follow, RedirectChecker: genericrest.PreventRedirects,
		ResponseChecker: genericrest.NewGenericHttpResponseChecker(fleet.Resource("instances/log"), name),
	}, nil
}

// validateLog has the rules of pods' logs.
func validateLog(o *fleet.InstanceLogOptions) field.ErrorList {
	var errs field.ErrorList
	notNegative := func(name string, value *int64, least int64) {
		if value != nil && *value < least {
			errs = append(errs, field.Invalid(field.NewPath(name), *value, fmt.Sprintf("must be %d or more", least)))
		}
	}
	notNegative("tailLines", o.TailLines, 0)
	notNegative("limitBytes", o.LimitBytes, 1)
	notNegative("sinceSeconds", o.SinceSeconds, 1)
	if o.SinceSeconds != nil && o.SinceTime != nil {
		errs = append(errs, field.Forbidden(field.NewPath("sinceSeconds"), "at most one of sinceTime and sinceSeconds may be given"))
	}
	return errs
}

// logQuery returns the parameters of the agent, which are those of pods.
func logQuery(o *fleet.InstanceLogOptions) url.Values {
	query := url.Values{}
	for name, set := range map[string]bool{"follow": o.Follow, "previous": o.Previous, "timestamps": o.Timestamps} {
		if set {
			query.Set(name, "true")
		}
	}
	for name, number := range map[string]*int64{"sinceSeconds": o.SinceSeconds, "tailLines": o.TailLines, "limitBytes": o.LimitBytes} {
		if number != nil {
			query.Set(name, strconv.FormatInt(*number, 10))
		}
	}
	if o.SinceTime != nil {
		query.Set("sinceTime", o.SinceTime.UTC().Format(time.RFC3339Nano))
	}
	return query
}
