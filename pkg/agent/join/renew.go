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

package join

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	certificatesclient "k8s.io/client-go/kubernetes/typed/certificates/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	// CertificateValid is the condition of a Host about the certificate of its agent.
	CertificateValid = "CertificateValid"

	// earliest and latest are the parts of the lifetime of a certificate between which the next one is requested, at
	// random, so that hosts that joined together do not renew together. They are those of client-go's manager.
	earliest, latest = 0.7, 0.9
	// overdue is the part of the lifetime after which a certificate that is not renewed is reported.
	overdue = 0.95
	// firstRetry and lastRetry bound the time between attempts.
	firstRetry, lastRetry = time.Minute, time.Hour
	// issueTimeout bounds the time until a request is approved and signed.
	issueTimeout = 10 * time.Minute
)

// Renewer keeps the certificate of a host valid. The certificate and its key are in one file, which is replaced as a
// whole; clients of its configuration read it again.
type Renewer struct {
	host, file string
	requests   certificatesclient.CertificateSigningRequestInterface
	clock      clock.Clock

	mu      sync.Mutex
	current *x509.Certificate
	failed  error
}

// NewRenewer returns a renewer, and changes a configuration with a certificate to read it from the file. The certificate
// of the configuration replaces the one in the file if that is of another host, or older.
func NewRenewer(config *rest.Config, host, file string) (*Renewer, error) {
	r := &Renewer{host: host, file: file, clock: clock.RealClock{}}
	if err := rest.LoadTLSFiles(config); err != nil {
		return nil, err
	}
	given, err := parse(config.CertData, config.KeyData)
	if err != nil {
		return nil, err
	}
	r.current = given
	if saved, err := r.read(); err == nil && saved.Subject.CommonName == given.Subject.CommonName && saved.NotBefore.After(given.NotBefore) {
		r.current = saved
	} else if err := r.write(config.CertData, config.KeyData); err != nil {
		return nil, err
	}
	config.CertData, config.KeyData = nil, nil
	config.CertFile, config.KeyFile = file, file
	client, err := certificatesclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	r.requests = client.CertificateSigningRequests()
	return r, nil
}

// parse returns the first certificate of a pair.
func parse(certificate, key []byte) (*x509.Certificate, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("the client certificate cannot be used: %w", err)
	}
	return pair.Leaf, nil
}

func (r *Renewer) read() (*x509.Certificate, error) {
	data, err := files.ReadTrusted(r.file)
	if err != nil {
		return nil, err
	}
	return parse(data, data)
}

func (r *Renewer) write(certificate, key []byte) error {
	if err := files.MakeDirectory(filepath.Dir(r.file)); err != nil {
		return err
	}
	data := append([]byte{}, certificate...)
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, '\n')
	}
	return files.Replace(r.file, append(data, key...), 0o600)
}

// Run renews the certificate until the context ends.
func (r *Renewer) Run(ctx context.Context) {
	log := klog.FromContext(ctx).WithName("certificate")
	for ctx.Err() == nil {
		r.mu.Lock()
		at := renewAt(r.current, rand.Float64()) // not security-relevant, so a weak random number is enough
		r.mu.Unlock()
		if !r.sleep(ctx, at.Sub(r.clock.Now())) {
			return
		}
		retry := wait.Backoff{Duration: firstRetry, Factor: 2, Jitter: 0.5, Steps: 10, Cap: lastRetry}
		for {
			err := r.renew(ctx)
			if ctx.Err() != nil {
				return
			}
			r.mu.Lock()
			r.failed = err
			until := r.current.NotAfter
			r.mu.Unlock()
			if err == nil {
				log.Info("Renewed the certificate of the host", "until", until)
				break
			}
			log.Error(err, "Renewing the certificate of the host failed, and is tried again", "until", until)
			if !r.sleep(ctx, retry.Step()) {
				return
			}
		}
	}
}

// sleep returns false if the context has ended.
func (r *Renewer) sleep(ctx context.Context, d time.Duration) bool {
	timer := r.clock.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}

// renewAt returns the time at which the next certificate is requested; part is from 0 to 1.
func renewAt(certificate *x509.Certificate, part float64) time.Time {
	return at(certificate, earliest+(latest-earliest)*part)
}

// at returns the time at which a part of the lifetime of a certificate has passed.
func at(certificate *x509.Certificate, part float64) time.Time {
	life := certificate.NotAfter.Sub(certificate.NotBefore)
	return certificate.NotBefore.Add(time.Duration(float64(life) * part))
}

// renew requests a certificate for a new key, and replaces the file.
func (r *Renewer) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	// A host reads its own requests by such names only.
	meta := metav1.ObjectMeta{Name: v1alpha1.HostUserPrefix + r.host + ":client-" + utilrand.String(8)}
	certificate, err := request(ctx, r.requests, key, &Options{Name: r.host, Notes: io.Discard}, meta)
	if err != nil {
		return err
	}
	next, err := parse(certificate, keyPEM)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if next.Subject.CommonName != r.current.Subject.CommonName || !next.NotAfter.After(r.current.NotAfter) {
		return errors.New("the server issued a certificate for another name, or one that does not last longer")
	}
	if err := r.write(certificate, keyPEM); err != nil {
		return err
	}
	r.current = next
	return nil
}

// Condition returns the condition about the certificate.
func (r *Renewer) Condition() metav1.Condition {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, until := r.clock.Now(), r.current.NotAfter.UTC().Format(time.RFC3339)
	c := metav1.Condition{Type: CertificateValid, Status: metav1.ConditionTrue, Reason: "Valid", Message: "the certificate is valid until " + until}
	switch {
	case now.After(r.current.NotAfter):
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "Expired", "the certificate expired on "+until+": join again"
	case now.After(at(r.current, overdue)):
		c.Status, c.Reason = metav1.ConditionFalse, "ExpiresSoon"
		c.Message = "the certificate expires on " + until + " and is not renewed"
		if r.failed != nil {
			c.Message += ": " + r.failed.Error()
		}
	}
	return c
}
