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
	"errors"
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestIsUnavailable(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"a timeout of etcd":               {fmt.Errorf("object: %w", rpctypes.ErrTimeout), true},
		"a timeout of etcd as it travels": {rpctypes.ErrGRPCTimeout, true},
		"no leader":                       {rpctypes.ErrNoLeader, true},
		"a timeout of the API":            {apierrors.NewTimeoutError("slow", 1), true},
		"a majority of etcd is missing":   {newWithoutMajority(1, QuorumOf(3), false), true},
		"no space":                        {rpctypes.ErrNoSpace, false},
		"an object that exists":           {apierrors.NewAlreadyExists(schema.GroupResource{Resource: "configmaps"}, "a"), false},
		"another error":                   {errors.New("broken"), false},
		"no error":                        {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := IsUnavailable(tc.err); got != tc.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
