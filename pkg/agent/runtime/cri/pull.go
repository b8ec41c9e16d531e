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

package cri

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Reasons of containers whose image is missing, as a kubelet reports them.
const (
	reasonPull        = "ErrImagePull"
	reasonPullBackOff = "ImagePullBackOff"
	reasonNeverPull   = "ErrImageNeverPull"
)

// pull is the pull of an image: of all containers that need it, or of one attempt of a container with
// the policy Always.
type pull struct {
	active, done bool
	// err is the failure of the last try; until is the time of the next one.
	err      error
	failures int32
	until    time.Time
	// waiting are the instances to announce.
	waiting map[types.UID]bool
}

// PullImage implements runtime.Runtime.
func (r *Runtime) PullImage(ctx context.Context, instance *v1alpha1.Instance, container *v1alpha1.Container, attempt int32) error {
	key, always := container.Image, container.ImagePullPolicy == v1alpha1.PullAlways
	if always {
		key = fmt.Sprintf("%s %s %s %d", container.Image, instance.UID, container.Name, attempt)
	} else {
		switch present, err := r.present(ctx, container.Image); {
		case err != nil:
			return &runtime.WaitingError{Reason: "ImageInspectError", Err: errors.New(text(err))}
		case present:
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.pulls, key)
			return nil
		case container.ImagePullPolicy == v1alpha1.PullNever:
			return &runtime.WaitingError{Reason: reasonNeverPull, Err: fmt.Errorf("image %q is not present on the host, and imagePullPolicy is Never: import it, or use IfNotPresent", container.Image)}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pulls[key]
	if p == nil {
		p = &pull{waiting: map[types.UID]bool{}}
		r.pulls[key] = p
	}
	switch {
	case p.done:
		return nil
	case p.active:
	case p.err != nil && r.clock.Now().Before(p.until):
		p.waiting[instance.UID] = true
		return p.reported()
	default:
		p.active = true
		r.background(func(ctx context.Context) { r.pull(ctx, key, p, container.Image, instance, always) })
	}
	p.waiting[instance.UID] = true
	if p.err != nil {
		return p.reported()
	}
	return runtime.ErrPulling
}

// reported returns the failure for the status of a container.
func (p *pull) reported() error {
	reason := reasonPullBackOff
	if p.failures == 1 {
		reason = reasonPull
	}
	return &runtime.WaitingError{Reason: reason, Err: p.err}
}

func (r *Runtime) present(ctx context.Context, image string) (bool, error) {
	response, err := r.images.ImageStatus(ctx, &criv1.ImageSpec{Image: image}, false)
	if err != nil {
		return false, err
	}
	return response.GetImage() != nil, nil
}

// pull pulls an image. If the registry does not answer, an image that is present is used although the
// policy is Always: otherwise a host without a network could not start anything.
func (r *Runtime) pull(ctx context.Context, key string, p *pull, image string, instance *v1alpha1.Instance, always bool) {
	r.pulling <- struct{}{}
	err := r.pullAs(ctx, image, instance)
	<-r.pulling
	if err != nil && always && !refused(err) {
		if present, failure := r.present(ctx, image); failure == nil && present {
			klog.FromContext(r.base).Error(err, "Pulling an image failed, using the one that is present", "image", image, "uid", instance.UID)
			err = nil
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.active, p.done, p.err = false, err == nil, nil
	waiting := p.waiting
	p.waiting = map[types.UID]bool{}
	announce := func() {
		for uid := range waiting {
			r.announce(uid)
		}
	}
	if err == nil {
		p.failures = 0
		if !always {
			delete(r.pulls, key) // its presence is looked up
		}
		announce()
		return
	}
	klog.FromContext(r.base).Error(err, "Pulling an image failed, retrying", "image", image)
	p.err = fmt.Errorf("pulling image %q failed: %s", image, text(err))
	delay := doubled(p.failures)
	p.failures++
	p.until = r.clock.Now().Add(delay)
	r.after(delay, announce)
	announce()
}

// pullAs pulls an image with the credentials of the instance, one after the other, or without any.
func (r *Runtime) pullAs(ctx context.Context, image string, instance *v1alpha1.Instance) error {
	var logins []runtime.Login
	if r.options.Provider != nil {
		var err error
		if logins, err = r.options.Provider.Logins(ctx, instance, image); err != nil {
			return err
		}
	}
	spec, sandbox := &criv1.ImageSpec{Image: image}, r.sandboxConfig(instance, 0)
	if len(logins) == 0 {
		_, err := r.images.PullImage(ctx, spec, nil, sandbox)
		return err
	}
	var err error
	for _, login := range logins {
		_, err = r.images.PullImage(ctx, spec, &criv1.AuthConfig{
			Username: login.Username, Password: login.Password, IdentityToken: login.IdentityToken, ServerAddress: login.Server,
		}, sandbox)
		if err == nil {
			return nil
		}
	}
	return err
}

// refused reports whether a registry answered that it does not give the image.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument:
		return true
	}
	message := strings.ToLower(err.Error())
	for _, part := range []string{"not found", "unauthorized", "denied", "forbidden", "invalid reference"} {
		if strings.Contains(message, part) {
			return true
		}
	}
	return false
}

// forgetPulls drops the pulls of the attempts of an instance. It is called with the lock held.
func (r *Runtime) forgetPulls(uid types.UID) {
	for key := range r.pulls {
		if strings.Contains(key, " "+string(uid)+" ") {
			delete(r.pulls, key)
		}
	}
}
