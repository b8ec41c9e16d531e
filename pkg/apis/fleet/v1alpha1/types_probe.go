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

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Probe is a check that the agent repeats on a running container. Exactly one of exec, httpGet,
// tcpSocket and grpc must be set.
type Probe struct {
	// exec succeeds if a command in the container exits with code 0.
	// +optional
	// +k8s:optional
	Exec *ExecAction `json:"exec,omitempty" protobuf:"bytes,1,opt,name=exec"`

	// httpGet succeeds if a request is answered with a code from 200 to 399.
	// +optional
	// +k8s:optional
	HTTPGet *HTTPGetAction `json:"httpGet,omitempty" protobuf:"bytes,2,opt,name=httpGet"`

	// tcpSocket succeeds if a connection is accepted.
	// +optional
	// +k8s:optional
	TCPSocket *TCPSocketAction `json:"tcpSocket,omitempty" protobuf:"bytes,3,opt,name=tcpSocket"`

	// grpc succeeds if the health service of gRPC answers SERVING.
	// +optional
	// +k8s:optional
	GRPC *GRPCAction `json:"grpc,omitempty" protobuf:"bytes,4,opt,name=grpc"`

	// initialDelaySeconds is the time in seconds from the start of the container to the first
	// probe.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	InitialDelaySeconds int32 `json:"initialDelaySeconds,omitempty" protobuf:"varint,5,opt,name=initialDelaySeconds"`

	// timeoutSeconds is the time in seconds after which a probe counts as failed. Defaults to 1.
	// +optional
	// +default=1
	// +k8s:optional
	// +k8s:minimum=1
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty" protobuf:"varint,6,opt,name=timeoutSeconds"`

	// periodSeconds is the time in seconds between two probes. Defaults to 10.
	// +optional
	// +default=10
	// +k8s:optional
	// +k8s:minimum=1
	PeriodSeconds int32 `json:"periodSeconds,omitempty" protobuf:"varint,7,opt,name=periodSeconds"`

	// successThreshold is the number of consecutive successes after which the result is success
	// again. Must be 1 for liveness and startup probes. Defaults to 1.
	// +optional
	// +default=1
	// +k8s:optional
	// +k8s:minimum=1
	SuccessThreshold int32 `json:"successThreshold,omitempty" protobuf:"varint,8,opt,name=successThreshold"`

	// failureThreshold is the number of consecutive failures after which the result is failure.
	// Defaults to 3.
	// +optional
	// +default=3
	// +k8s:optional
	// +k8s:minimum=1
	FailureThreshold int32 `json:"failureThreshold,omitempty" protobuf:"varint,9,opt,name=failureThreshold"`

	// terminationGracePeriodSeconds is the grace period in seconds when the probe's failure stops
	// the container; that of the instance if absent. It is not for readiness probes.
	// +optional
	// +k8s:optional
	// +k8s:minimum=1
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty" protobuf:"varint,10,opt,name=terminationGracePeriodSeconds"`
}

// ExecAction runs a command in the container.
type ExecAction struct {
	// command is the program with its arguments. It is not executed in a shell.
	// +required
	// +listType=atomic
	// +k8s:required
	// +k8s:listType=atomic
	Command []string `json:"command" protobuf:"bytes,1,rep,name=command"`
}

// URIScheme is the scheme of the URL of a probe.
// +enum
// +k8s:enum
type URIScheme string

const (
	// URISchemeHTTP is HTTP without encryption.
	URISchemeHTTP URIScheme = "HTTP"
	// URISchemeHTTPS is HTTP over TLS. The certificate is not verified.
	URISchemeHTTPS URIScheme = "HTTPS"
)

// HTTPGetAction sends a GET request.
type HTTPGetAction struct {
	// path of the URL. Defaults to /.
	// +optional
	// +default="/"
	// +k8s:optional
	// +k8s:maxLength=4096
	Path string `json:"path,omitempty" protobuf:"bytes,1,opt,name=path"`

	// port is the number of a port, from 1 to 65535, or the name of one of the container.
	// +required
	Port intstr.IntOrString `json:"port" protobuf:"bytes,2,opt,name=port"`

	// host to which the request is sent; the address of the instance if absent. For a virtual
	// host, set the header Host in httpHeaders instead.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=253
	Host string `json:"host,omitempty" protobuf:"bytes,3,opt,name=host"`

	// scheme is HTTP or HTTPS. Defaults to HTTP.
	// +optional
	// +default="HTTP"
	// +k8s:optional
	Scheme URIScheme `json:"scheme,omitempty" protobuf:"bytes,4,opt,name=scheme,casttype=URIScheme"`

	// httpHeaders are set on the request; a name may be repeated.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	// +k8s:maxItems=64
	HTTPHeaders []HTTPHeader `json:"httpHeaders,omitempty" protobuf:"bytes,5,rep,name=httpHeaders"`
}

// HTTPHeader is a header of a request.
type HTTPHeader struct {
	// name of the header.
	// +required
	// +k8s:required
	// +k8s:maxLength=256
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// value of the header.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=8192
	Value string `json:"value" protobuf:"bytes,2,opt,name=value"`
}

// TCPSocketAction opens a connection.
type TCPSocketAction struct {
	// port is the number of a port, from 1 to 65535, or the name of one of the container.
	// +required
	Port intstr.IntOrString `json:"port" protobuf:"bytes,1,opt,name=port"`

	// host to which the connection is opened; the address of the instance if absent.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=253
	Host string `json:"host,omitempty" protobuf:"bytes,2,opt,name=host"`
}

// GRPCAction requests the health of a service of gRPC.
type GRPCAction struct {
	// port of the service, from 1 to 65535.
	// +required
	// +k8s:required
	// +k8s:minimum=1
	// +k8s:maximum=65535
	Port int32 `json:"port" protobuf:"varint,1,opt,name=port"`

	// service is the name in the request; empty for the health of the whole server.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=253
	Service *string `json:"service,omitempty" protobuf:"bytes,2,opt,name=service"`
}
