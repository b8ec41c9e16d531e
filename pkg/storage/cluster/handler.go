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

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// The paths of membership. They are paths and no resources because the response to a joiner has the keys of the
// cluster: audit at level RequestResponse, traces and admission webhooks have bodies of resources only.
const (
	PathPrefix = "/members/"
	InvitePath = PathPrefix + "invite"
	JoinPath   = PathPrefix + "join"

	// JoinerUserPrefix and JoinerGroup are the identity of a joiner. Only JoinPath is open to it.
	JoinerUserPrefix = "system:storage-joiner:"
	JoinerGroup      = "system:storage-joiners"

	// maxBody bounds requests: a signing request has less than 1 kB.
	maxBody = 64 << 10
)

// InviteRequest is the body of a request to InvitePath.
type InviteRequest struct {
	// Replaces is the name of a member that the joiner replaces.
	Replaces string `json:"replaces,omitempty"`
}

// AuthenticateToken implements authenticator.Token for the tokens of invitations. Reads are served from the
// memory of this member, so that a client cannot cause traffic between members.
func (c *Cluster) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	id, secret, ok := parseBearer(token)
	if !ok {
		return nil, false, nil
	}
	i, err := c.invitation(ctx, id, clientv3.WithSerializable())
	if errors.Is(err, errNoInvitation) {
		// The member may be behind the one that has invited.
		i, err = c.invitation(ctx, id)
	}
	if errors.Is(err, errNoInvitation) {
		return nil, false, nil
	}
	if err != nil || !hashMatches(i.Hash, secret) {
		return nil, false, err
	}
	return &authenticator.Response{User: &user.DefaultInfo{Name: JoinerUserPrefix + id, Groups: []string{JoinerGroup}}}, true, nil
}

// Handler serves the paths below PathPrefix. joinURL is the URL of this server for other machines. The caller
// has authorized requests.
func (c *Cluster) Handler(joinURL string) http.Handler {
	c.joinURL = joinURL
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+InvitePath, func(w http.ResponseWriter, r *http.Request) {
		wanted := InviteRequest{}
		respond(w, r, &wanted, func(ctx context.Context) (any, error) { return c.Invite(ctx, wanted.Replaces) })
	})
	mux.HandleFunc("POST "+JoinPath, func(w http.ResponseWriter, r *http.Request) {
		wanted := JoinRequest{}
		respond(w, r, &wanted, func(ctx context.Context) (any, error) {
			id, err := joiner(ctx)
			if err != nil {
				return nil, err
			}
			return c.Join(ctx, id, wanted)
		})
	})
	mux.HandleFunc("DELETE "+PathPrefix+"{name}", func(w http.ResponseWriter, r *http.Request) {
		respond(w, r, nil, func(ctx context.Context) (any, error) {
			return metav1.Status{TypeMeta: statusType, Status: metav1.StatusSuccess}, c.Remove(ctx, r.PathValue("name"))
		})
	})
	return mux
}

// External refuses requests to a server with an external etcd.
func External() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, notFound("the etcd of this server is external (--etcd-servers): its members are managed with etcdctl member"))
	})
}

// joiner returns the invitation of the user of a request.
func joiner(ctx context.Context) (string, error) {
	u, ok := request.UserFrom(ctx)
	if !ok || !slices.Contains(u.GetGroups(), JoinerGroup) || !strings.HasPrefix(u.GetName(), JoinerUserPrefix) {
		return "", forbidden("only the token of an invitation can join: see \"gatehouse member invite\"")
	}
	return strings.TrimPrefix(u.GetName(), JoinerUserPrefix), nil
}

// respond decodes the body and writes the result.
func respond(w http.ResponseWriter, r *http.Request, body any, do func(context.Context) (any, error)) {
	if body != nil {
		decoder := json.NewDecoder(io.LimitReader(r.Body, maxBody))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(body); err != nil && !errors.Is(err, io.EOF) {
			writeError(w, invalid(fmt.Sprintf("the body of the request: %v", err)))
			return
		}
	}
	result, err := do(r.Context())
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(result)
}

var statusType = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}

func writeError(w http.ResponseWriter, err error) {
	status := metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Reason: metav1.StatusReasonInternalError, Message: err.Error()}
	if known := apierrors.APIStatus(nil); errors.As(err, &known) {
		status = known.Status()
	}
	status.TypeMeta = statusType
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(status.Code))
	_ = json.NewEncoder(w).Encode(status)
}

func statusError(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
}

func invalid(message string) error {
	return statusError(http.StatusBadRequest, metav1.StatusReasonBadRequest, message)
}

func forbidden(message string) error {
	return statusError(http.StatusForbidden, metav1.StatusReasonForbidden, message)
}

func conflict(message string) error {
	return statusError(http.StatusConflict, metav1.StatusReasonConflict, message)
}

func notFound(message string) error {
	return statusError(http.StatusNotFound, metav1.StatusReasonNotFound, message)
}

// unavailable is an error after which the joiner asks again.
func unavailable(message string) error {
	return statusError(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, message)
}
