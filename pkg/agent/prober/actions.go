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

package prober

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const (
	// userAgent is the User-Agent of probes.
	userAgent = "gatehouse-probe"
	// maxOutput is how much of the output of a failed probe is reported, in bytes.
	maxOutput = 512
	// maxRedirects is how many redirects to the same host a probe follows.
	maxRedirects = 10
)

// try carries out a probe once. An error is not an outcome: the probe could not be carried out.
func (p *Prober) try(ctx context.Context, w *watched, k kind, timeout time.Duration) (success bool, output string, err error) {
	spec, target := w.specs[k], &w.target
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case spec.Exec != nil:
		code, output, err := p.executor.ExecSync(ctx, target.UID, target.Spec.Name, spec.Exec.Command, timeout)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return false, fmt.Sprintf("the command ran for longer than %s", timeout), nil
		case err != nil:
			return false, "", err
		case code != 0:
			return false, fmt.Sprintf("the command exited with code %d: %s", code, shortened(output)), nil
		}
		return true, "", nil
	case spec.HTTPGet != nil:
		success, output = get(bounded, spec.HTTPGet, target)
	case spec.TCPSocket != nil:
		success, output = connect(bounded, spec.TCPSocket, target)
	case spec.GRPC != nil:
		success, output = health(bounded, spec.GRPC, target)
	default:
		return false, "", errors.New("this agent does not know the probe: use a newer gatehouse-agent")
	}
	if !success && errors.Is(bounded.Err(), context.DeadlineExceeded) {
		output = fmt.Sprintf("no answer within %s", timeout)
	}
	return success, output, nil
}

func shortened(text string) string {
	text = strings.ToValidUTF8(strings.TrimSpace(text), "?")
	if len(text) > maxOutput {
		text = strings.ToValidUTF8(text[:maxOutput], "") + "..."
	}
	return text
}

// portOf returns the number of a port, which may be the name of one of the container.
func portOf(port intstr.IntOrString, spec *v1alpha1.Container) (string, error) {
	if port.Type == intstr.Int {
		return strconv.Itoa(int(port.IntVal)), nil
	}
	for i := range spec.Ports {
		if spec.Ports[i].Name == port.StrVal {
			return strconv.Itoa(int(spec.Ports[i].ContainerPort)), nil
		}
	}
	return "", fmt.Errorf("the container has no port %q", port.StrVal)
}

func get(ctx context.Context, action *v1alpha1.HTTPGetAction, target *Target) (success bool, output string) {
	port, err := portOf(action.Port, target.Spec)
	if err != nil {
		return false, err.Error()
	}
	address, err := url.Parse(cmp.Or(action.Path, "/"))
	if err != nil {
		return false, err.Error()
	}
	address.Scheme = strings.ToLower(string(cmp.Or(action.Scheme, v1alpha1.URISchemeHTTP)))
	address.Host = net.JoinHostPort(cmp.Or(action.Host, target.IP), port)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return false, err.Error()
	}
	request.Header.Set("User-Agent", userAgent)
	request.Header.Set("Accept", "*/*")
	replaced := map[string]bool{}
	for i := range action.HTTPHeaders {
		name, value := http.CanonicalHeaderKey(action.HTTPHeaders[i].Name), action.HTTPHeaders[i].Value
		switch {
		case name == "Host":
			request.Host = value
		case !replaced[name]:
			request.Header.Set(name, value)
		default:
			request.Header.Add(name, value)
		}
		replaced[name] = true
	}
	transport := &http.Transport{
		// The certificate of a container is not for its address, and a proxy is not on the way to it.
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true, DisableCompression: true,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: sameHost}
	response, err := client.Do(request)
	if err != nil {
		return false, plain(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxOutput))
	if err != nil {
		return false, plain(err)
	}
	if response.StatusCode >= http.StatusOK && response.StatusCode < http.StatusBadRequest {
		return true, ""
	}
	return false, strings.TrimSuffix(fmt.Sprintf("HTTP status %d: %s", response.StatusCode, shortened(string(body))), ": ")
}

// sameHost follows redirects within a host. One to another host is the answer, and a success.
func sameHost(request *http.Request, via []*http.Request) error {
	if request.URL.Hostname() != via[0].URL.Hostname() || len(via) >= maxRedirects {
		return http.ErrUseLastResponse
	}
	return nil
}

// plain returns the text of an error of HTTP without method and URL.
func plain(err error) string {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return shortened(err.Error())
}

func connect(ctx context.Context, action *v1alpha1.TCPSocketAction, target *Target) (success bool, output string) {
	port, err := portOf(action.Port, target.Spec)
	if err != nil {
		return false, err.Error()
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(cmp.Or(action.Host, target.IP), port))
	if err != nil {
		return false, shortened(err.Error())
	}
	_ = connection.Close()
	return true, ""
}

func health(ctx context.Context, action *v1alpha1.GRPCAction, target *Target) (success bool, output string) {
	address := net.JoinHostPort(target.IP, strconv.Itoa(int(action.Port)))
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(), grpc.WithUserAgent(userAgent))
	if err != nil {
		return false, shortened(err.Error())
	}
	defer connection.Close()
	response, err := healthv1.NewHealthClient(connection).Check(ctx, &healthv1.HealthCheckRequest{Service: ptr.Deref(action.Service, "")})
	if err != nil {
		return false, shortened(status.Convert(err).Message())
	}
	if response.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return false, "the health is " + response.GetStatus().String()
	}
	return true, ""
}
