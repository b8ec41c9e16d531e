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

package login

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
)

const (
	// ExecInfo is the environment variable by which clients send an ExecCredential to their plugins.
	ExecInfo = "KUBERNETES_EXEC_INFO"
	// execCredentialKind is the kind of the request and of the response.
	execCredentialKind = "ExecCredential"
)

// Credential is an ID token.
type Credential struct {
	// Token is the ID token, a secret. Subject is its user at the provider.
	Token, Subject string
	// Expiry is when the server no longer accepts it.
	Expiry time.Time
}

func (e *entry) credential() Credential {
	return Credential{Token: e.IDToken, Subject: e.Subject, Expiry: e.Expiry}
}

// ValidateExecInfo returns an error if a client expects another version than the one that WriteExec writes. Its field interactive, which reports whether there is a standard
// input, has no effect: no flow reads it.
func ValidateExecInfo(value string) error {
	var request metav1.TypeMeta
	if err := json.Unmarshal([]byte(value), &request); err != nil {
		return fmt.Errorf("%s is not valid JSON: %w", ExecInfo, err)
	}
	if version := clientauthenticationv1.SchemeGroupVersion.String(); request.APIVersion != version || request.Kind != execCredentialKind {
		return fmt.Errorf("%s has %s %s, and %s %s is supported: set users[].user.exec.apiVersion: %s in the kubeconfig", ExecInfo, printable(request.APIVersion), printable(request.Kind), version, execCredentialKind, version)
	}
	return nil
}

// WriteExec writes the ExecCredential that clients read. Its expiry is earlier than that of the token, so that
// a client renews it in time.
func (c Credential) WriteExec(out io.Writer) error {
	if c.Token == "" {
		return errors.New("there is no token")
	}
	expiry := metav1.NewTime(c.Expiry.Add(-expiryMargin))
	return json.NewEncoder(out).Encode(clientauthenticationv1.ExecCredential{
		TypeMeta: metav1.TypeMeta{APIVersion: clientauthenticationv1.SchemeGroupVersion.String(), Kind: execCredentialKind},
		Status:   &clientauthenticationv1.ExecCredentialStatus{Token: c.Token, ExpirationTimestamp: &expiry},
	})
}
