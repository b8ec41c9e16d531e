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

package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/server/healthz"
	encryptionconfigcontroller "k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/klog/v2"
)

const (
	// EncryptionCheck is the name of the check of /readyz that fails while objects cannot be encrypted, or
	// cannot be decrypted because the configuration does not have their key.
	EncryptionCheck = "encryption"

	// EncryptionReloadInterval is the interval at which the file of --encryption-provider-config is
	// read for a change. The library's minute would make each of the three steps of a rotation wait
	// that long; reading a small file is cheap.
	EncryptionReloadInterval = 5 * time.Second

	// kmsInterval is the interval of the checks of KMS plugins. The library caches a success for 20 s
	// and a failure for 3 s.
	kmsInterval = 5 * time.Second

	// kmsCheckPrefix is the prefix of the names of the library's checks of KMS plugins: kms-providers
	// for all, or kms-provider-N for each.
	kmsCheckPrefix = "kms-provider"

	// encryptedPrefix is the prefix of every encrypted value; provider, version and name of the key follow.
	encryptedPrefix = "k8s:enc:"
)

// setReloadInterval changes the library's variable once, before the first server reads it.
var setReloadInterval = sync.OnceFunc(func() {
	encryptionconfigcontroller.EncryptionConfigFileChangePollDuration = EncryptionReloadInterval
})

// PrepareEncryption sets the interval at which all servers of the process read the file of
// --encryption-provider-config. It is called before the library's options are applied.
func PrepareEncryption() { setReloadInterval() }

// Encryption tracks whether the server can encrypt what it writes and decrypt what is stored. A nil
// Encryption has no errors.
//
// A KMS plugin that does not respond does not stop a server: the key that it has decrypted stays in
// memory, decrypts for up to a day, and encrypts for three more minutes. So /readyz has a
// check whether objects can be encrypted, in place of the library's checks of the plugins; those
// stay in /healthz.
type Encryption struct {
	transformers value.ResourceTransformers // nil without encryption
	kms          []healthz.HealthChecker
	log          klog.Logger

	// kmsFailed is true from the start until the checks of all plugins have passed.
	kmsFailed atomic.Bool

	mu        sync.Mutex
	resources []schema.GroupResource
	last      error
	logged    map[string]bool
	// missing has a key in etcd of a resource: an object whose key of encryption is not configured.
	missing map[schema.GroupResource]string
	readers map[schema.GroupResource]reader
}

// NewEncryption returns an Encryption of the library's transformers, which may be nil, and the
// checks without those of KMS plugins.
func NewEncryption(ctx context.Context, transformers value.ResourceTransformers, checks []healthz.HealthChecker) (*Encryption, []healthz.HealthChecker) {
	e := &Encryption{
		transformers: transformers, log: klog.LoggerWithName(klog.FromContext(ctx), "encryption"), logged: map[string]bool{},
		missing: map[schema.GroupResource]string{}, readers: map[schema.GroupResource]reader{},
	}
	isKMS := func(check healthz.HealthChecker) bool { return strings.HasPrefix(check.Name(), kmsCheckPrefix) }
	for _, check := range checks {
		if isKMS(check) {
			e.kms = append(e.kms, check)
		}
	}
	if transformers == nil {
		return e, checks
	}
	registerEncryptionMetrics()
	e.kmsFailed.Store(len(e.kms) > 0)
	reportKMS(len(e.kms) == 0)
	others := slices.DeleteFunc(slices.Clone(checks), isKMS)
	return e, append(others, healthz.NamedCheck(EncryptionCheck, func(r *http.Request) error {
		return errors.Join(e.canEncrypt(r.Context()), e.canDecrypt(r.Context()))
	}))
}

// Run checks the KMS plugins until the context ends.
func (e *Encryption) Run(ctx context.Context) {
	if len(e.kms) == 0 {
		return
	}
	ticker := time.NewTicker(kmsInterval)
	defer ticker.Stop()
	for first := true; ; first = false {
		err := e.checkKMS(ctx)
		if ctx.Err() != nil {
			return
		}
		e.setKMS(err, first)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (e *Encryption) checkKMS(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "/healthz/"+kmsCheckPrefix, nil)
	if err != nil {
		return err
	}
	var errs []error
	for _, check := range e.kms {
		errs = append(errs, check.Check(request))
	}
	return errors.Join(errs...)
}

// setKMS records the result of a check and logs a change.
func (e *Encryption) setKMS(err error, first bool) {
	changed := e.kmsFailed.Swap(err != nil) != (err != nil) || first && err != nil
	reportKMS(err == nil)
	switch {
	case changed && err != nil:
		e.log.Error(err, "KMS plugin does not respond: stored objects are read with the key in memory, and written for up to three minutes; restart the plugin", "check", "/healthz/kms-providers")
	case changed && !first:
		e.log.Info("KMS plugin responds again")
	}
}

// canEncrypt returns an error if an object of some resource could not be written. It encrypts
// nothing while the plugins respond, because keys of AES-GCM are for a bounded number of writes.
func (e *Encryption) canEncrypt(ctx context.Context) error {
	if !e.kmsFailed.Load() {
		return nil
	}
	e.mu.Lock()
	resources := slices.Clone(e.resources)
	e.mu.Unlock()
	for _, resource := range resources {
		if _, err := e.transformers.TransformerForResource(resource).TransformToStorage(ctx, []byte("probe"), value.DefaultContext(EncryptionCheck)); err != nil {
			return fmt.Errorf("%s cannot be written: the KMS plugin does not respond and the key in memory has expired: restart the plugin: %w", resource, err)
		}
	}
	return nil
}

// PluginDown reports whether a KMS plugin did not respond to the last check, or none was made yet.
func (e *Encryption) PluginDown() bool { return e != nil && e.kmsFailed.Load() }

// LastError returns the last error of encrypting or decrypting an object, or nil if there was none.
func (e *Encryption) LastError() error {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

// Storages returns a getter of storages whose errors of decrypting and encrypting name the cure.
func (e *Encryption) Storages(getter generic.RESTOptionsGetter) generic.RESTOptionsGetter {
	return encryptionGetter{getter, e}
}

type encryptionGetter struct {
	generic.RESTOptionsGetter
	encryption *Encryption
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g encryptionGetter) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := g.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil || options.StorageConfig == nil {
		return options, err
	}
	g.encryption.mu.Lock()
	g.encryption.resources = append(g.encryption.resources, resource)
	g.encryption.mu.Unlock()
	config := *options.StorageConfig
	if config.Transformer == nil {
		// The library's default, which refuses encrypted values.
		config.Transformer = identity.NewEncryptCheckTransformer()
	}
	config.Transformer = curedTransformer{config.Transformer, resource, g.encryption}
	options.StorageConfig = &config
	return options, nil
}

// curedTransformer adds the cure to the errors of a transformer.
type curedTransformer struct {
	next       value.Transformer
	resource   schema.GroupResource
	encryption *Encryption
}

// TransformToStorage implements value.Transformer.
func (t curedTransformer) TransformToStorage(ctx context.Context, data []byte, at value.Context) ([]byte, error) {
	out, err := t.next.TransformToStorage(ctx, data, at)
	if err != nil {
		err = t.encryption.record(ctx, fmt.Errorf("an object of %s cannot be encrypted: %w: see whether the KMS plugin that --encryption-provider-config names runs, and restart it", t.resource, err))
	}
	return out, err
}

// TransformFromStorage implements value.Transformer.
func (t curedTransformer) TransformFromStorage(ctx context.Context, data []byte, at value.Context) ([]byte, bool, error) {
	out, stale, err := t.next.TransformFromStorage(ctx, data, at)
	if err != nil {
		if isWithoutKey(err) {
			t.encryption.miss(t.resource, string(at.AuthenticatedData()))
		}
		err = t.encryption.record(ctx, fmt.Errorf("an object of %s cannot be decrypted: %s: %w", t.resource, explain(data, err), err))
	}
	return out, stale, err
}

// record remembers an error and logs it, once for each text. The error of a request that was cancelled is no
// fact about keys and plugins.
func (e *Encryption) record(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = err
	// Texts of plugins may vary without end.
	if text := err.Error(); !e.logged[text] && len(e.logged) < 100 {
		e.logged[text] = true
		e.log.Error(err, "Stored objects cannot be decrypted or encrypted")
	}
	return err
}

// withoutKey are the library's errors for a value of which the configuration has no provider or no key.
var withoutKey = []string{"no matching prefix found", "no matching key was found", "identity transformer tried to read encrypted data"}

func isWithoutKey(err error) bool {
	return slices.ContainsFunc(withoutKey, func(text string) bool { return strings.Contains(err.Error(), text) })
}

// explain returns why a value cannot be decrypted, with the cure. The value is not part of it.
func explain(data []byte, err error) string {
	missing := isWithoutKey(err)
	provider, key := WrittenWith(data)
	switch {
	case provider == "" && missing:
		return `it was written without encryption, which --encryption-provider-config does not permit: add the provider "identity: {}" as the last one of its resource`
	case provider == "":
		return "it was written without encryption"
	case missing:
		return fmt.Sprintf("it was written with the %s key %q, which --encryption-provider-config does not have: add that key after the first one, from the file as it was when the data was written", provider, key)
	case provider == "kms":
		return fmt.Sprintf("it was written with the KMS provider %q: see whether its plugin runs and has the key", key)
	}
	return fmt.Sprintf("it was written with another %s key of the name %q, or is damaged: restore the file of --encryption-provider-config that belongs to the data, or see docs/damaged-data.md", provider, key)
}

// WrittenWith returns the provider and the name of the key in the prefix of a stored value, or nothing
// for a value without encryption.
func WrittenWith(data []byte) (provider, key string) {
	rest, encrypted := bytes.CutPrefix(data, []byte(encryptedPrefix))
	if !encrypted {
		return "", ""
	}
	parts := bytes.SplitN(rest[:min(len(rest), 1024)], []byte(":"), 4) // names of keys are short
	if len(parts) < 4 {
		return "unknown", ""
	}
	return string(parts[0]), string(parts[2])
}
