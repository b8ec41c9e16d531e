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

package serviceaccount

import (
	"context"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// PluginName is its name in flags and messages.
const PluginName = "ServiceAccount"

// defaultAccount is the account that a controller creates in every new namespace.
const defaultAccount = "default"

// An instance may be created right after its namespace: the plugin waits for the default account
// for accountTimeout, and polls in accountPollInterval.
const (
	accountTimeout      = 1500 * time.Millisecond
	accountPollInterval = 50 * time.Millisecond
)

// Register adds the plugin's factory.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin implements admission.MutationInterface and admission.ValidationInterface.
type Plugin struct {
	*admission.Handler
	client   kubernetes.Interface
	accounts corelisters.ServiceAccountLister
}

var (
	_ admission.MutationInterface                  = &Plugin{}
	_ admission.ValidationInterface                = &Plugin{}
	_ initializer.WantsExternalKubeClientSet       = &Plugin{}
	_ initializer.WantsExternalKubeInformerFactory = &Plugin{}
)

// New returns the plugin.
func New() *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update)}
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *Plugin) SetExternalKubeClientSet(client kubernetes.Interface) { p.client = client }

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *Plugin) SetExternalKubeInformerFactory(factory informers.SharedInformerFactory) {
	accounts := factory.Core().V1().ServiceAccounts()
	p.accounts = accounts.Lister()
	p.SetReadyFunc(accounts.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.client == nil || p.accounts == nil {
		return fmt.Errorf("%s needs a client and a lister of service accounts", PluginName)
	}
	return nil
}

// instanceOf returns the instance of the request; nil for other objects.
func instanceOf(a admission.Attributes) *fleet.Instance {
	if a.GetResource().GroupResource() != fleet.Resource("instances") || a.GetSubresource() != "" {
		return nil
	}
	instance, _ := a.GetObject().(*fleet.Instance)
	return instance
}

// Admit sets the account. It is immutable, so in an update that does not name it, such as kubectl
// replace with the manifest of the create, Admit sets the stored one.
func (p *Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	instance := instanceOf(a)
	if instance == nil || instance.Spec.ServiceAccountName != "" {
		return nil
	}
	if a.GetOperation() == admission.Create {
		instance.Spec.ServiceAccountName = defaultAccount
	} else if old, ok := a.GetOldObject().(*fleet.Instance); ok {
		instance.Spec.ServiceAccountName = old.Spec.ServiceAccountName
	}
	diagnostics.From(ctx).Changed(v1alpha1.InstanceServiceAccountNameField)
	return nil
}

// Validate refuses an account that does not exist: no token would be issued for it, and an account
// that is created later under its name would be the identity of the instance.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	instance := instanceOf(a)
	if instance == nil || a.GetOperation() != admission.Create {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, fmt.Errorf("not yet ready to handle request: try again in a few seconds"))
	}
	name := instance.Spec.ServiceAccountName
	exists, err := p.exists(ctx, a.GetNamespace(), name)
	switch {
	case err != nil:
		return admission.NewForbidden(a, fmt.Errorf("spec.serviceAccountName: cannot look up service account %s/%s: %w", a.GetNamespace(), name, err))
	case !exists:
		return admission.NewForbidden(a, fmt.Errorf("spec.serviceAccountName: there is no service account %s/%s: create it, or name another", a.GetNamespace(), name))
	}
	return nil
}

// exists reads the informer, and the stored accounts before it returns false.
func (p *Plugin) exists(ctx context.Context, namespace, name string) (bool, error) {
	if _, err := p.accounts.ServiceAccounts(namespace).Get(name); err == nil {
		return true, nil
	}
	found := false
	get := func(ctx context.Context) (bool, error) {
		_, err := p.client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
		found = err == nil
		if apierrors.IsNotFound(err) {
			err = nil
		}
		return found, err
	}
	if name != defaultAccount {
		_, err := get(ctx)
		return found, err
	}
	err := wait.PollUntilContextTimeout(ctx, accountPollInterval, accountTimeout, true, get)
	if wait.Interrupted(err) {
		err = nil
	}
	return found, err
}
