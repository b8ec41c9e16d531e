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
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// largerThanMax is gRPC's text if a message exceeds a limit of the client, 2 MiB in the
// library, or of the server. The error has no separate type.
const largerThanMax = "message larger than max"

// tooLargeForEtcd is a part of the error for clients.
const tooLargeForEtcd = "the object is larger than etcd accepts: make it smaller; etcd accepts 1.5 MiB unless its --max-request-bytes is different, and the server sends at most 2 MiB"

// translateSize replaces etcd's refusal of a write for its size, which is no failure of the
// server, by 413.
func translateSize(err error) error {
	if err == nil || apierrors.ReasonForError(err) != "" {
		return err
	}
	if errors.Is(err, rpctypes.ErrRequestTooLarge) || errors.Is(err, rpctypes.ErrGRPCRequestTooLarge) || strings.Contains(err.Error(), largerThanMax) {
		return apierrors.NewRequestEntityTooLargeError(tooLargeForEtcd)
	}
	return err
}
