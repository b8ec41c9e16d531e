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

package resourcequota

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	resourcequotaapi "k8s.io/apiserver/pkg/admission/plugin/resourcequota/apis/resourcequota"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota/apis/resourcequota/validation"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// PluginName is its name in flags and messages.
const PluginName = resourcequota.PluginName

const (
	// workers is the number of namespaces that are charged concurrently. Concurrent requests of one namespace
	// are charged with one write.
	workers = 5
	// attempts bounds the retries of a charge after conflicts; the evaluator tries three times in
	// each.
	attempts = 6
	// firstPause bounds the backoff after the first attempt. The bound doubles after each attempt.
	firstPause = 10 * time.Millisecond
	// countedWithin bounds the time for which a request waits for the first count of a new quota, so that a quota
	// and objects can be applied in one file. countPoll is the time between two looks.
	countedWithin = 2 * time.Second
	countPoll     = 25 * time.Millisecond
)

// Register adds the plugin's factory. Its configuration is that of Kubernetes' plugin of this name.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(config io.Reader) (admission.Interface, error) {
		configuration, err := resourcequota.LoadConfiguration(config)
		if err != nil {
			return nil, err
		}
		if err := validation.ValidateConfiguration(configuration).ToAggregate(); err != nil {
			return nil, err
		}
		return New(configuration), nil
	})
}

// Plugin implements admission.ValidationInterface.
type Plugin struct {
	*admission.Handler
	config    *resourcequotaapi.Configuration
	accessor  *accessor
	drained   <-chan struct{}
	evaluator resourcequota.Evaluator
	registry  quotav1.Registry
}

var (
	_ admission.ValidationInterface                = &Plugin{}
	_ admission.InitializationValidator            = &Plugin{}
	_ initializer.WantsDrainedNotification         = &Plugin{}
	_ initializer.WantsExternalKubeClientSet       = &Plugin{}
	_ initializer.WantsExternalKubeInformerFactory = &Plugin{}
)

// New returns the plugin, which needs a client and informers before it can be used. It handles
// creates only: no update of a counted kind increases its usage.
func New(config *resourcequotaapi.Configuration) *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create), config: config, accessor: newAccessor()}
}

// SetDrainedNotification implements initializer.WantsDrainedNotification: the evaluator stops when
// no request is left.
func (p *Plugin) SetDrainedNotification(drained <-chan struct{}) { p.drained = drained }

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *Plugin) SetExternalKubeClientSet(client kubernetes.Interface) { p.accessor.client = client }

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *Plugin) SetExternalKubeInformerFactory(factory informers.SharedInformerFactory) {
	quotas := factory.Core().V1().ResourceQuotas()
	p.accessor.lister = quotas.Lister()
	p.SetReadyFunc(quotas.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.accessor.client == nil || p.accessor.lister == nil {
		return fmt.Errorf("%s needs a client and a lister of resource quotas", PluginName)
	}
	p.registry = generic.NewRegistry(evaluators())
	p.evaluator = resourcequota.NewQuotaEvaluator(p.accessor, ignored(), p.registry, nil, p.config, workers, p.drained)
	return nil
}

// Validate charges the request to the quotas of its namespace, or refuses it.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetNamespace() == "" || a.GetResource().GroupResource() == corev1.Resource("namespaces") {
		return nil // not in a namespace, or a namespace itself
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, errors.New("the resource quotas have not been read yet: try again"))
	}
	free, err := p.unlimited(a.GetNamespace())
	if err == nil && !free {
		err = p.charge(ctx, a)
		for deadline := time.Now().Add(countedWithin); uncounted(err) && p.accessor.hasNew(a.GetNamespace()) && time.Now().Before(deadline); err = p.charge(ctx, a) {
			if err := sleep(ctx, countPoll); err != nil {
				return err
			}
		}
	}
	if quota, ok := a.GetObject().(*corev1.ResourceQuota); ok && err == nil && a.GetSubresource() == "" && !a.IsDryRun() {
		p.accessor.announced.add(a.GetNamespace(), quota.Name, quota.UID)
	}
	return err
}

// charge charges the request. Conflicts with other writers of the quotas are retried.
func (p *Plugin) charge(ctx context.Context, a admission.Attributes) error {
	pause := firstPause
	for range attempts {
		err := p.evaluator.Evaluate(a)
		var failed unwritten
		if !errors.As(err, &failed) {
			if record := diagnostics.From(ctx); record != nil {
				record.Charged(p.balances(a, err))
			}
			return err
		}
		if !failed.outrun() {
			return apierrors.NewServiceUnavailable(fmt.Sprintf("admission plugin %s cannot charge the resource quotas of namespace %s: %v", PluginName, a.GetNamespace(), err))
		}
		if err := sleep(ctx, rand.N(pause)); err != nil { // not security-relevant, so a weak random number is enough
			return err
		}
		pause *= 2
	}
	return apierrors.NewTooManyRequests(fmt.Sprintf("the resource quotas of namespace %s are being changed by too many at once: try again", a.GetNamespace()), 1)
}

// sleep returns an error if the context ends before the time is over.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// uncounted reports whether the evaluator has refused a request because the controller has not counted yet.
func uncounted(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "status unknown for quota: ")
}

// unlimited reports whether a namespace has no quota, so that most requests skip the evaluator's queue.
func (p *Plugin) unlimited(namespace string) (bool, error) {
	if len(p.config.LimitedResources) > 0 {
		return false, nil // some resources need a quota
	}
	quotas, err := p.accessor.lister.ResourceQuotas(namespace).List(labels.Everything())
	return len(quotas) == 0 && len(p.accessor.announced.in(namespace)) == 0, err
}
