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

package structured

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	authenticationconfigmetrics "k8s.io/apiserver/pkg/server/options/authenticationconfig/metrics"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/readiness"
)

const (
	// NotesPath is the path that a caller must be allowed to get in order to read in /readyz?verbose
	// what is not in force, and why.
	NotesPath = "/readyz/authentication"
	// noteName names the notes there.
	noteName = "authentication-config"
	// FailedReason is the reason of the events.
	FailedReason = "AuthenticationConfigFailed"
	// maxMessage is the server's bound of the message of an event, in bytes.
	maxMessage = 1024
)

// fail remembers what is not in force, and reports it: once in the log, as an event and in the
// metrics of reloads, and in /readyz?verbose until it is in force.
func (a *Authenticator) fail(url, reason string) {
	if a.failures[url] == reason {
		return
	}
	a.failures[url] = reason
	klog.ErrorS(nil, "Authentication configuration is not in force", "path", a.options.Path, "issuer", url, "reason", reason)
	if !a.initial {
		authenticationconfigmetrics.RecordAuthenticationConfigAutomaticReloadFailure(a.options.APIServerID)
	}
	a.event(url, reason)
}

// text returns a failure with the issuer that it is of.
func text(url, reason string) string {
	if url == access || url == content {
		return reason
	}
	return fmt.Sprintf("issuer %s: %s", url, reason)
}

// event records an event once Run has a recorder.
func (a *Authenticator) event(url, reason string) {
	if a.recorder == nil {
		return
	}
	message := text(url, reason)
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage-3], "") + "..."
	}
	a.recorder.Event(&corev1.ObjectReference{
		APIVersion: "apiserver.config.k8s.io/v1", Kind: "AuthenticationConfiguration", Namespace: metav1.NamespaceSystem, Name: noteName,
	}, corev1.EventTypeWarning, FailedReason, message)
}

// Notes returns what is not in force, for /readyz?verbose.
func (a *Authenticator) Notes() []readiness.Note {
	a.mu.Lock()
	defer a.mu.Unlock()
	var notes []readiness.Note
	for url, reason := range a.failures {
		notes = append(notes, readiness.Note{Name: noteName, Text: text(url, reason)})
	}
	slices.SortFunc(notes, func(x, y readiness.Note) int { return strings.Compare(x.Text, y.Text) })
	return notes
}

// Apply adds the notes to /readyz?verbose of a server, and Run as a post-start hook.
func (a *Authenticator) Apply(generic *genericapiserver.Config) error {
	buildChain := generic.BuildHandlerChainFunc
	generic.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return buildChain(readiness.WithNotes(handler, NotesPath, readiness.MayGet(c.Authorization.Authorizer, NotesPath), a.Notes), c)
	}
	return generic.AddPostStartHook("follow-authentication-config", func(hook genericapiserver.PostStartHookContext) error {
		go func() {
			if err := a.Run(hook, hook.LoopbackClientConfig); err != nil {
				klog.ErrorS(err, "Authentication configuration is not followed")
			}
		}()
		return nil
	})
}

// Run follows the file and writes events until the context ends. client-go combines equal events.
func (a *Authenticator) Run(ctx context.Context, config *rest.Config) error {
	client, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return err
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.Events("")})
	a.record(broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "gatehouse-authentication"}))
	a.follow(ctx)
	return nil
}

// record sends events to a recorder from now on, beginning with the failures of the start.
func (a *Authenticator) record(recorder record.EventRecorderLogger) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.recorder = recorder
	for url, reason := range a.failures {
		a.event(url, reason)
	}
}
