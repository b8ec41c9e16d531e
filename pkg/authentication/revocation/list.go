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

package revocation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
	"github.com/gatehouse-dev/gatehouse/pkg/signers"
)

// The ConfigMap of revocations; see package signers for its content. In the standalone mode,
// RevocationRestriction (pkg/admission/plugin/certificates) requires a permission of its own for writes.
const (
	Namespace = signers.RevocationNamespace
	ConfigMap = signers.RevocationConfigMap
)

// Interval is the interval at which the ConfigMap is read. It bounds the time from the write until
// requests of the host are refused and its open watches end.
const Interval = 5 * time.Second

const (
	// firstInterval is the interval until the ConfigMap has been read once.
	firstInterval = 50 * time.Millisecond
	// readTimeout bounds one read.
	readTimeout = 5 * time.Second
	// firstRead bounds the wait of a request of a host for the first read.
	firstRead = 10 * time.Second
)

// List holds the content of the ConfigMap. The last content stays in force while the ConfigMap cannot
// be read.
type List struct {
	configMaps corev1client.ConfigMapsGetter
	// loaded is closed after the first read.
	loaded chan struct{}

	mu sync.Mutex
	// until is the time of each revoked host.
	until map[string]time.Time
	// serials are those of revoked certificates.
	serials map[string]bool
	// open are the requests with certificates, and those of hosts, that are being served.
	open map[*openRequest]struct{}
	// failed is the error of the last read, to log it once.
	failed string
}

// New returns a list that refuses requests of hosts, and those with certificates, until Run has read the ConfigMap once.
func New(configMaps corev1client.ConfigMapsGetter) *List {
	return &List{configMaps: configMaps, loaded: make(chan struct{}), open: map[*openRequest]struct{}{}}
}

// Run reads the ConfigMap until the context ends.
func (l *List) Run(ctx context.Context) {
	for ctx.Err() == nil {
		l.read(ctx)
		wait := Interval
		if l.Ready() != nil {
			wait = firstInterval
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// Ready returns an error until the ConfigMap has been read once.
func (l *List) Ready() error {
	select {
	case <-l.loaded:
		return nil
	default:
		return errors.New("the list of revoked hosts has not been read yet")
	}
}

// read gets the current ConfigMap and not a cached one, which after a restart could lack a revocation.
func (l *List) read(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	found, err := l.configMaps.ConfigMaps(Namespace).Get(ctx, ConfigMap, metav1.GetOptions{})
	switch {
	case err == nil:
		l.take(found.Data)
	case apierrors.IsNotFound(err):
		l.take(nil)
	case apierrors.IsForbidden(err) && l.Ready() != nil:
		// A cluster in which this server has no right to read it has no revocations yet; preflight
		// reports the missing right. If the right is lost later, the last content stays in force.
		l.take(nil)
	default:
		l.fail(ctx, err)
	}
}

func (l *List) fail(ctx context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := err.Error(); text != l.failed {
		l.failed = text
		klog.FromContext(ctx).Error(err, "Reading the list of revoked hosts failed, the last one stays in force", "configMap", Namespace+"/"+ConfigMap)
	}
}

// take applies the content of the ConfigMap, and ends open requests of hosts that it revokes.
func (l *List) take(data map[string]string) {
	until, serials := signers.RevokedUntil(data), map[string]bool{}
	for name := range data {
		if serial, isSerial := strings.CutPrefix(name, signers.RevokedSerialPrefix); isSerial {
			serials[serial] = true
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = ""
	changed := !maps.EqualFunc(until, l.until, time.Time.Equal) || !maps.Equal(serials, l.serials)
	l.until, l.serials = until, serials
	if l.Ready() != nil {
		close(l.loaded)
	}
	if !changed {
		return
	}
	for name, at := range until {
		if at.Equal(signers.Never) {
			klog.Warningf("Revoked every certificate of a host: in ConfigMap %s/%s the value of %s is no time (RFC 3339)", Namespace, ConfigMap, name)
		}
	}
	for request := range l.open {
		if err := l.refused(request.credential); err != nil {
			request.end(err)
		}
	}
}

// credential is what of a user's credentials can be revoked.
type credential struct {
	// serial is that of the certificate, in hexadecimal digits; empty for other credentials.
	serial string
	// host is the name of the host; empty for other users.
	host string
	// issued is the time from which the certificate of a host is valid; zero without one.
	issued time.Time
}

// refused returns an error if a credential is revoked; mu is held. Certificates have whole seconds, so
// one from the second of the revocation of its host is refused, too.
func (l *List) refused(c credential) error {
	if c.serial != "" && l.serials[c.serial] {
		return fmt.Errorf("the certificate with the serial number %s is revoked", c.serial)
	}
	at, ok := l.until[c.host]
	if c.host == "" || !ok || c.issued.After(at) {
		return nil
	}
	if at.Equal(signers.Never) {
		return fmt.Errorf("host %q is revoked", c.host)
	}
	if c.issued.IsZero() {
		return fmt.Errorf("host %q was revoked at %s, and the request does not show when its credentials were issued: the host must connect directly and with a certificate that was issued later", c.host, at.Format(time.RFC3339))
	}
	return fmt.Errorf("the certificate of host %q is valid from %s on, but those until %s were revoked: it needs a new one", c.host, c.issued.UTC().Format(time.RFC3339), at.Format(time.RFC3339))
}

// Authenticator returns an authenticator that refuses revoked certificates and hosts after another has
// authenticated them. It checks the authenticated user, and not the user that an administrator
// impersonates.
func (l *List) Authenticator(next authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := next.AuthenticateRequest(r)
		if err != nil || !ok {
			return response, ok, err
		}
		c := credentialOf(r, response.User)
		if c == (credential{}) {
			return response, ok, err
		}
		if err := l.await(r.Context()); err != nil {
			return nil, false, err
		}
		if err := l.admit(r.Context(), c); err != nil {
			return nil, false, err
		}
		return response, true, nil
	})
}

// credentialOf returns what can be revoked of the credentials of a request: of the certificate, if it is
// the user's own and not that of a front proxy, and of a host.
func credentialOf(r *http.Request, u user.Info) credential {
	var c credential
	if name, isHost := host.NameOf(u); isHost {
		c.host = name
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 || r.TLS.PeerCertificates[0].Subject.CommonName != u.GetName() {
		return c
	}
	certificate := r.TLS.PeerCertificates[0]
	if certificate.SerialNumber != nil {
		c.serial = Serial(certificate)
	}
	if c.host != "" {
		c.issued = certificate.NotBefore
	}
	return c
}

// Serial returns the serial number of a certificate as the ConfigMap has it: in hexadecimal digits.
func Serial(certificate *x509.Certificate) string {
	return certificate.SerialNumber.Text(16)
}

// await waits until the ConfigMap has been read once: before that, the list would admit all.
func (l *List) await(ctx context.Context) error {
	select {
	case <-l.loaded:
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, firstRead)
	defer cancel()
	select {
	case <-l.loaded:
		return nil
	case <-ctx.Done():
		return l.Ready()
	}
}

// admit returns an error for a revoked credential, and otherwise records its request, to end it on
// revocation.
func (l *List) admit(ctx context.Context, c credential) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refused(c); err != nil {
		return err
	}
	if request, ok := ctx.Value(openKey{}).(*openRequest); ok {
		request.credential = c
		l.open[request] = struct{}{}
	}
	return nil
}

// openRequest is one request that is being served.
type openRequest struct {
	end context.CancelCauseFunc
	// credential is set once the request is authenticated.
	credential credential
}

type openKey struct{}

// WithEnd returns a handler that ends requests when their credential is revoked. It wraps the whole handler
// chain.
func (l *List) WithEnd(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, end := context.WithCancelCause(r.Context())
		defer end(nil)
		request := &openRequest{end: end}
		defer func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.open, request)
		}()
		handler.ServeHTTP(w, r.WithContext(context.WithValue(ctx, openKey{}, request)))
	})
}
