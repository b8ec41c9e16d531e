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

package validation

import (
	"net/url"

	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// validateProbes checks the probes of a container.
func validateProbes(container *fleet.Container, at *field.Path) field.ErrorList {
	errs := validateProbe(container.LivenessProbe, container, at.Child("livenessProbe"))
	errs = append(errs, validateProbe(container.ReadinessProbe, container, at.Child("readinessProbe"))...)
	errs = append(errs, validateProbe(container.StartupProbe, container, at.Child("startupProbe"))...)
	once := func(probe *fleet.Probe, at *field.Path) {
		if probe != nil && probe.SuccessThreshold > 1 {
			errs = append(errs, field.Invalid(at.Child("successThreshold"), probe.SuccessThreshold, "must be 1"))
		}
	}
	once(container.LivenessProbe, at.Child("livenessProbe"))
	once(container.StartupProbe, at.Child("startupProbe"))
	if probe := container.ReadinessProbe; probe != nil && probe.TerminationGracePeriodSeconds != nil {
		errs = append(errs, field.Forbidden(at.Child("readinessProbe", "terminationGracePeriodSeconds"), "must not be set: a readiness probe stops no container"))
	}
	return errs
}

func validateProbe(probe *fleet.Probe, container *fleet.Container, at *field.Path) field.ErrorList {
	if probe == nil {
		return nil
	}
	errs := exactlyOne(at, "exec, httpGet, tcpSocket or grpc", probe.Exec != nil, probe.HTTPGet != nil, probe.TCPSocket != nil, probe.GRPC != nil)
	if get := probe.HTTPGet; get != nil {
		here := at.Child("httpGet")
		errs = append(errs, validateProbePort(get.Port, container, here.Child("port"))...)
		if _, err := url.Parse(get.Path); err != nil {
			errs = append(errs, field.Invalid(here.Child("path"), get.Path, "must be the path of a URL: "+err.Error()))
		}
		for i := range get.HTTPHeaders {
			if name := get.HTTPHeaders[i].Name; name != "" {
				for _, message := range utilvalidation.IsHTTPHeaderName(name) {
					errs = append(errs, field.Invalid(here.Child("httpHeaders").Index(i).Child("name"), name, message))
				}
			}
		}
	}
	if socket := probe.TCPSocket; socket != nil {
		errs = append(errs, validateProbePort(socket.Port, container, at.Child("tcpSocket", "port"))...)
	}
	return errs
}

// validateProbePort checks a number, or the name of a port of the container.
func validateProbePort(port intstr.IntOrString, container *fleet.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if port.Type == intstr.Int {
		for _, message := range utilvalidation.IsValidPortNum(int(port.IntVal)) {
			errs = append(errs, field.Invalid(at, port.IntVal, message))
		}
		return errs
	}
	for _, message := range utilvalidation.IsValidPortName(port.StrVal) {
		errs = append(errs, field.Invalid(at, port.StrVal, message))
	}
	if len(errs) > 0 {
		return errs
	}
	for i := range container.Ports {
		if container.Ports[i].Name == port.StrVal {
			return nil
		}
	}
	return field.ErrorList{field.Invalid(at, port.StrVal, "is not the name of a port of the container")}
}
