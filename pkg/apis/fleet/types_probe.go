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

package fleet

import (
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Probe is a check that the agent repeats on a running container. Exactly one of exec, httpGet,
// tcpSocket and grpc must be set.
type Probe struct {
	Exec                          *ExecAction
	HTTPGet                       *HTTPGetAction
	TCPSocket                     *TCPSocketAction
	GRPC                          *GRPCAction
	InitialDelaySeconds           int32
	TimeoutSeconds                int32
	PeriodSeconds                 int32
	SuccessThreshold              int32
	FailureThreshold              int32
	TerminationGracePeriodSeconds *int64
}

// ExecAction runs a command in the container.
type ExecAction struct {
	Command []string
}

// URIScheme is the scheme of the URL of a probe.
type URIScheme string

const (
	// URISchemeHTTP is HTTP without encryption.
	URISchemeHTTP URIScheme = "HTTP"
	// URISchemeHTTPS is HTTP over TLS. The certificate is not verified.
	URISchemeHTTPS URIScheme = "HTTPS"
)

// HTTPGetAction sends a GET request.
type HTTPGetAction struct {
	Path        string
	Port        intstr.IntOrString
	Host        string
	Scheme      URIScheme
	HTTPHeaders []HTTPHeader
}

// HTTPHeader is a header of a request.
type HTTPHeader struct {
	Name  string
	Value string
}

// TCPSocketAction opens a connection.
type TCPSocketAction struct {
	Port intstr.IntOrString
	Host string
}

// GRPCAction requests the health of a service of gRPC.
type GRPCAction struct {
	Port    int32
	Service *string
}
