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

package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	diagnosticsclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/diagnostics/v1alpha1"
)

// The bounds of the search for servers: replicas share an address, and each has its own traces.
const (
	// mostConnections bounds the connections that are opened.
	mostConnections = 12
	// enoughResponses is the number of responses of one server after which no others are expected.
	enoughResponses = 3
	// connectionPause is the time between two connections: a server ends at most one in 20 ms.
	connectionPause = 25 * time.Millisecond
	// noSuchTrace is the name of no trace, because it is no Audit-ID that a server keeps.
	noSuchTrace = "none.of.any.server"
)

// traces is a client of the request traces of all servers behind one address.
type traces struct {
	config *rest.Config
	client diagnosticsclient.RequestTraceInterface
}

// traces returns a client and the namespace of the command.
func (p *plugin) traces() (*traces, string, error) {
	config, namespace, err := p.config()
	if err != nil {
		return nil, "", err
	}
	t := &traces{config: config}
	return t, namespace, t.reconnect()
}

// reconnect makes the next request use a new connection.
func (t *traces) reconnect() error {
	config := rest.CopyConfig(t.config)
	config.Dial = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	t.client = clients.DiagnosticsV1alpha1().RequestTraces()
	return nil
}

// get returns the trace with a name, or the identity of the server that has none such. In that case the next
// request uses another connection, which may lead to another server: the server ends the connection of a proxy
// after its response. The identity is empty if the server has none.
func (t *traces) get(ctx context.Context, name string) (trace *v1alpha1.RequestTrace, missing string, err error) {
	trace, err = t.client.Get(ctx, name, metav1.GetOptions{})
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return trace, "", nil
	case !apierrors.IsNotFound(err) || !errors.As(err, &status):
		return nil, "", err
	case status.Status().Details == nil || status.Status().Details.Name == "":
		return nil, "", served(err)
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Type == v1alpha1.CauseServer {
			missing = cause.Message
		}
	}
	select {
	case <-ctx.Done():
		return nil, "", ctx.Err()
	case <-time.After(connectionPause):
	}
	return nil, missing, t.reconnect()
}

// next returns the identity of the server that the connection leads to, and makes the next request use
// another connection.
func (t *traces) next(ctx context.Context) (string, error) {
	_, server, err := t.get(ctx, noSuchTrace)
	return server, err
}

// visit does something with the server that the connection leads to. It returns the identity of the server if it
// has used up the connection by get.
type visit = func() (done bool, used string, err error)

// passing visits a server without doing anything.
func passing() (done bool, used string, err error) { return false, "", nil }

// each calls visit with connections to the servers behind the address, until it returns true, one server
// has responded often enough, or mostConnections were made. It returns the servers.
func (t *traces) each(ctx context.Context, visit visit) (servers []string, err error) {
	responses := map[string]int{}
	for range mostConnections {
		done, server, err := visit()
		if err == nil && !done && server == "" {
			server, err = t.next(ctx)
		}
		if err != nil || done {
			return servers, err
		}
		if server == "" {
			return servers, nil
		}
		if responses[server]++; responses[server] == 1 {
			servers = append(servers, server)
		}
		if responses[server] == enoughResponses {
			break
		}
	}
	slices.Sort(servers)
	return servers, nil
}

// all returns the traces that the options select, of all servers, the oldest first, and the servers.
func (t *traces) all(ctx context.Context, options metav1.ListOptions) (items []v1alpha1.RequestTrace, servers []string, err error) {
	known, err := t.each(ctx, passing)
	if err != nil {
		return nil, nil, err
	}
	missing, seen := slices.Clone(known), map[string]bool{}
	for attempt := 0; attempt == 0 || len(missing) > 0 && attempt < mostConnections; attempt++ {
		list, err := t.client.List(ctx, options)
		if err != nil {
			return nil, nil, served(err)
		}
		if len(known) <= 1 {
			return list.Items, known, nil
		}
		server, err := t.next(ctx)
		if err != nil {
			return nil, nil, err
		}
		if at := slices.Index(missing, server); at >= 0 {
			missing = slices.Delete(missing, at, at+1)
		}
		for i := range list.Items {
			// A second list of one server repeats its traces.
			if key := list.Items[i].Server + " " + list.Items[i].ResourceVersion; !seen[key] {
				seen[key] = true
				items = append(items, list.Items[i])
			}
		}
	}
	slices.SortStableFunc(items, func(a, b v1alpha1.RequestTrace) int { return a.ReceivedTime.Compare(b.ReceivedTime.Time) })
	return items, slices.DeleteFunc(known, func(server string) bool { return slices.Contains(missing, server) }), nil
}

// find returns the trace whose name is the ID or begins with it.
func (t *traces) find(ctx context.Context, id string) (*v1alpha1.RequestTrace, error) {
	var found *v1alpha1.RequestTrace
	servers, err := t.each(ctx, func() (done bool, used string, err error) {
		name, err := t.nameOf(ctx, id)
		if err != nil || name == "" {
			return false, "", err
		}
		found, used, err = t.get(ctx, name)
		return found != nil, used, err
	})
	if err == nil && found == nil {
		err = noTrace(id, servers)
	}
	return found, err
}

// nameOf returns the name of a trace of the server that the connection leads to; empty for none.
func (t *traces) nameOf(ctx context.Context, id string) (string, error) {
	options := metav1.ListOptions{}
	switch len(id) {
	case len(noID):
		return id, nil
	case diagnostics.ShortIDLength:
		options = selecting(v1alpha1.TraceIDField, id)
	}
	list, err := t.client.List(ctx, options)
	if err != nil {
		return "", served(err)
	}
	var names []string
	for i := range list.Items {
		if name := list.Items[i].Name; name == id {
			return name, nil
		} else if strings.HasPrefix(name, id) {
			names = append(names, name)
		}
	}
	switch len(names) {
	case 0:
		return "", nil
	case 1:
		return names[0], nil
	}
	return "", fmt.Errorf("%d requests begin with %q: name one of %s", len(names), id, strings.Join(names, ", "))
}

// whole returns a trace with what only the response to a get has. It is the trace itself if another server
// responds.
func (t *traces) whole(ctx context.Context, trace *v1alpha1.RequestTrace) *v1alpha1.RequestTrace {
	if whole, err := t.client.Get(ctx, trace.Name, metav1.GetOptions{}); err == nil {
		return whole
	}
	return trace
}

// onlyOwn reports whether the user may read only the traces of its own requests.
func (t *traces) onlyOwn(ctx context.Context) (bool, error) {
	client, err := authorizationclient.NewForConfig(t.config)
	if err != nil {
		return false, err
	}
	review, err := client.SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: v1alpha1.VerbReadAll, Group: v1alpha1.GroupName, Version: v1alpha1.SchemeGroupVersion.Version, Resource: v1alpha1.RequestTraces},
	}}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return !review.Status.Allowed, nil
}

// noID has the length of an Audit-ID that no client chose.
const noID = "00000000-0000-0000-0000-000000000000"

// ownOnly is the note for users that read only their own traces.
const ownOnly = "Only your own requests: the cluster role gatehouse:diagnostics permits to read those of all users."

// selecting returns options that select by field and value.
func selecting(pairs ...string) metav1.ListOptions {
	set := fields.Set{}
	for i := 0; i < len(pairs); i += 2 {
		set[pairs[i]] = pairs[i+1]
	}
	return metav1.ListOptions{FieldSelector: set.String()}
}

// refusals selects refused requests.
func refusals() metav1.ListOptions {
	return selecting(v1alpha1.TraceVerdictField, string(v1alpha1.VerdictRefused))
}

func noTrace(id string, servers []string) error {
	return fmt.Errorf("no request %q of yours is in the memory of %s: each server keeps only its latest requests, and only the role gatehouse:diagnostics sees those of other users", id, serversText(servers))
}

func serversText(servers []string) string {
	switch len(servers) {
	case 0:
		return "the server"
	case 1:
		return "the server " + servers[0]
	}
	return "the servers " + strings.Join(servers, ", ")
}

// served explains the error of a server without traces.
func served(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("the server does not serve request traces: it is older than this plugin, the kubeconfig is not that of a Gatehouse, or the APIService v1alpha1.%s is missing (%w)", v1alpha1.GroupName, err)
	}
	return err
}
