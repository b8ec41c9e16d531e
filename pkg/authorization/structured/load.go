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

package structured

import (
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/load"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
)

// TypeRBAC is the type of the authorizer that decides by roles and bindings. The other one of a file
// is apiserver.TypeWebhook.
const TypeRBAC apiserver.AuthorizerType = "RBAC"

// nameRBAC is the name that kube-apiserver requires for the authorizer of type RBAC.
const nameRBAC = "rbac"

// maxFileSize bounds the file. It is far more than 64 conditions for each of some dozen webhooks need.
const maxFileSize = 1 << 20

// readFile reads a file, of a larger one than maxFileSize one byte more than that.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, maxFileSize+1))
}

// parse decodes and validates the content of a file. reserved are the names of the authorizers that
// precede those of the file.
func parse(data []byte, compiler authorizationcel.Compiler, reserved sets.Set[string]) (*apiserver.AuthorizationConfiguration, error) {
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("the file is too large: at most %d bytes are allowed", maxFileSize)
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return nil, fmt.Errorf("the file is empty: write an AuthorizationConfiguration of apiserver.config.k8s.io/v1")
	}
	configuration, err := load.LoadFromData(data)
	if err != nil {
		return nil, fmt.Errorf("%w: write an AuthorizationConfiguration of apiserver.config.k8s.io/v1", err)
	}
	errs := validation.ValidateAuthorizationConfiguration(compiler, nil, configuration,
		sets.New(string(TypeRBAC), string(apiserver.TypeWebhook)), sets.New(string(apiserver.TypeWebhook)))
	errs = append(errs, validate(configuration, reserved)...)
	return configuration, errs.ToAggregate()
}

// validate checks what the library leaves to its caller.
func validate(configuration *apiserver.AuthorizationConfiguration, reserved sets.Set[string]) field.ErrorList {
	var errs field.ErrorList
	path, hasRoles := field.NewPath("authorizers"), false
	for i, a := range configuration.Authorizers {
		at := path.Index(i)
		if reserved.Has(a.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), a.Name, "the server has an authorizer of this name: choose another one"))
		}
		switch a.Type {
		case TypeRBAC:
			hasRoles = true
			if a.Name != nameRBAC {
				errs = append(errs, field.Invalid(at.Child("name"), a.Name, "the name of the type RBAC must be rbac"))
			}
		case apiserver.TypeWebhook:
			if a.Webhook != nil && a.Webhook.ConnectionInfo.Type == apiserver.AuthorizationWebhookConnectionInfoTypeInCluster {
				errs = append(errs, field.Invalid(at.Child("webhook", "connectionInfo", "type"), a.Webhook.ConnectionInfo.Type, "the server is in no cluster: use KubeConfigFile"))
			}
		}
	}
	if !hasRoles && len(configuration.Authorizers) > 0 {
		errs = append(errs, field.Required(path, "an authorizer of type RBAC, by which the server's controllers have their rights"))
	}
	return errs
}
