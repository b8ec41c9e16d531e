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

package certificates

import (
	"context"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// checkInterval is far below the four months that a renewal has time for. A
	// check reads six small files; an hour bounds the outage of a machine that wakes
	// from a long sleep with an expired certificate.
	checkInterval = time.Hour
	// changingInterval is the time until a new name is in the certificate.
	changingInterval = time.Minute
	// observeInterval bounds the time until the metric has a certificate that is issued while the server runs.
	observeInterval = time.Minute
	// warnInterval keeps a CA near its end from filling the log.
	warnInterval = 24 * time.Hour
)

// Renewer renews the certificates of a running server. It changes files only: the
// server reloads them through k8s.io/apiserver's file providers.
type Renewer struct {
	dir     string
	opts    Options
	renewed func(*Bundle) error

	lastWarning time.Time
	unannounced bool
}

// NewRenewer returns a Renewer for a directory that Ensure has filled, with the
// same options. renewed, which may be nil, is called after
// each renewal, on the goroutine of Run: it rewrites files that embed a certificate,
// such as the kubeconfig, and is called again at the next check if it fails.
func NewRenewer(dir string, opts Options, renewed func(*Bundle) error) *Renewer {
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	if renewed == nil {
		renewed = func(*Bundle) error { return nil }
	}
	return &Renewer{dir: dir, opts: opts, renewed: renewed}
}

// Run checks once an hour until ctx ends, and once a minute if names can change. A failed
// check is logged and retried at the next one: the server keeps its certificates until then. Each
// check updates the metric of expirations, and so does a certificate that is recorded, within a minute.
func (r *Renewer) Run(ctx context.Context) {
	interval := checkInterval
	if r.opts.Changing != nil {
		interval = changingInterval
	}
	ticker := r.opts.Clock.NewTicker(interval)
	defer ticker.Stop()
	recorded := r.opts.Clock.NewTicker(observeInterval)
	defer recorded.Stop()
	expirations := observer{dir: r.dir}
	expirations.read(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			if err := r.check(); err != nil {
				klog.FromContext(ctx).Error(err, "Renewing certificates failed, retrying", "retryAfter", interval)
			}
			expirations.read(ctx)
		case <-recorded.C():
			expirations.refresh(ctx)
		}
	}
}

// check never creates a CA: a running server has one, and a new one would lock out
// all clients that trust the old one.
func (r *Renewer) check() error {
	b, err := ensure(r.dir, r.opts, false)
	if err != nil {
		return err
	}
	if now := r.opts.Clock.Now(); len(b.Warnings) > 0 && now.Sub(r.lastWarning) >= warnInterval {
		for _, warning := range b.Warnings {
			klog.Warning(warning)
		}
		r.lastWarning = now
	}
	if len(b.Issued) > 0 {
		klog.InfoS("Renewed certificates", "pairs", b.Issued, "servingUntil", b.Serving.Cert.NotAfter, "adminUntil", b.Admin.Cert.NotAfter)
		r.unannounced = true
	}
	if !r.unannounced {
		return nil
	}
	if err := r.renewed(b); err != nil {
		return err
	}
	r.unannounced = false
	return nil
}
