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

package uisession

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// pages remembers the hashes of links.
type pages struct{ offered []byte }

// Offer implements Pages.
func (p *pages) Offer(_ context.Context, _ user.Info, sum [sha256.Size]byte) (string, time.Time, error) {
	p.offered = append(p.offered, sum[0])
	return "https://127.0.0.1:6444", time.Unix(1e9, 0), nil
}

func TestAUISessionMakesALink(t *testing.T) {
	asAnn := request.WithUser(t.Context(), &user.DefaultInfo{Name: "ann"})
	good := "ab" + strings.Repeat("0", 62)
	for _, c := range []struct {
		name, hash string
		ctx        context.Context
		options    metav1.CreateOptions
		without    bool
		refused    func(error) bool
		offered    int
	}{
		{name: "by the hash of a secret", hash: good, ctx: asAnn, offered: 1},
		{name: "not in a dry run", hash: good, ctx: asAnn, options: metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}},
		{name: "not without a hash", ctx: asAnn, refused: apierrors.IsInvalid},
		{name: "not by the secret itself", hash: "my-secret", ctx: asAnn, refused: apierrors.IsInvalid},
		{name: "not by a short hash", hash: good[2:], ctx: asAnn, refused: apierrors.IsInvalid},
		{name: "not by a hash in capitals", hash: strings.ToUpper(good), ctx: asAnn, refused: apierrors.IsInvalid},
		{name: "not without a user", hash: good, ctx: t.Context(), refused: apierrors.IsUnauthorized},
		{name: "not on a server without a page", hash: good, ctx: asAnn, without: true, refused: apierrors.IsNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			links := &pages{}
			storage := NewREST(links)
			if c.without {
				storage = NewREST(nil)
			}
			made, err := storage.Create(c.ctx, &diagnostics.UISession{Spec: diagnostics.UISessionSpec{SecretHash: c.hash}}, rest.ValidateAllObjectFunc, &c.options)
			if c.refused != nil {
				if !c.refused(err) || strings.Contains(err.Error(), "my-secret") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			status := made.(*diagnostics.UISession).Status
			if len(links.offered) != c.offered || status.Username != "ann" || (status.URL != "") != (c.offered > 0) {
				t.Errorf("%d links, %+v", len(links.offered), status)
			}
			if c.offered > 0 && links.offered[0] != 0xab {
				t.Errorf("the hash begins with %x", links.offered[0])
			}
		})
	}
}
