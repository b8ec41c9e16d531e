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

package validation

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstraptokens "k8s.io/cluster-bootstrap/token/util"
	bootstrapsecrets "k8s.io/cluster-bootstrap/util/secrets"
)

// ValidateSecret checks a new secret.
func ValidateSecret(secret *corev1.Secret) field.ErrorList {
	return append(validateMeta(&secret.ObjectMeta, true, apivalidation.NameIsDNSSubdomain), validateSecretData(secret)...)
}

// ValidateSecretUpdate checks a write.
func ValidateSecretUpdate(secret, old *corev1.Secret) field.ErrorList {
	errs := validateMetaUpdate(&secret.ObjectMeta)
	errs = append(errs, apivalidation.ValidateImmutableField(secret.Type, old.Type, field.NewPath("type"))...)
	if isTrue(old.Immutable) {
		if !isTrue(secret.Immutable) {
			errs = append(errs, immutable(field.NewPath("immutable")))
		}
		if !reflect.DeepEqual(secret.Data, old.Data) {
			errs = append(errs, immutable(field.NewPath("data")))
		}
	}
	return append(errs, validateSecretData(secret)...)
}

func validateSecretData(secret *corev1.Secret) field.ErrorList {
	var errs field.ErrorList
	path, size := field.NewPath("data"), 0
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		errs = append(errs, validateDataKey(key, path)...)
		size += len(secret.Data[key])
	}
	if size > maxDataSize {
		errs = append(errs, field.TooLong(path, "", maxDataSize))
	}
	return append(errs, validateSecretType(secret, path)...)
}

// validateSecretType checks the required keys of the known types. Other types have no rules.
func validateSecretType(secret *corev1.Secret, path *field.Path) field.ErrorList {
	missing := func(key string) *field.Error {
		return field.Required(path.Key(key), "a secret of type "+string(secret.Type)+" has it")
	}
	has := func(key string) bool {
		_, ok := secret.Data[key]
		return ok
	}
	var errs field.ErrorList
	switch secret.Type {
	case corev1.SecretTypeServiceAccountToken:
		if secret.Annotations[corev1.ServiceAccountNameKey] == "" {
			errs = append(errs, field.Required(field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey), "name the service account"))
		}
	case corev1.SecretTypeDockercfg:
		return validateJSON(secret, corev1.DockerConfigKey, path, missing)
	case corev1.SecretTypeDockerConfigJson:
		return validateJSON(secret, corev1.DockerConfigJsonKey, path, missing)
	case corev1.SecretTypeBasicAuth:
		if !has(corev1.BasicAuthUsernameKey) && !has(corev1.BasicAuthPasswordKey) {
			errs = append(errs, missing(corev1.BasicAuthUsernameKey), missing(corev1.BasicAuthPasswordKey))
		}
	case corev1.SecretTypeSSHAuth:
		if len(secret.Data[corev1.SSHAuthPrivateKey]) == 0 {
			errs = append(errs, missing(corev1.SSHAuthPrivateKey))
		}
	case corev1.SecretTypeTLS:
		for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
			if !has(key) {
				errs = append(errs, missing(key))
			}
		}
	}
	return errs
}

// validateJSON checks that the key holds a JSON object. The error does not contain the value.
func validateJSON(secret *corev1.Secret, key string, path *field.Path, missing func(string) *field.Error) field.ErrorList {
	value, ok := secret.Data[key]
	if !ok {
		return field.ErrorList{missing(key)}
	}
	if json.Unmarshal(value, &map[string]any{}) != nil {
		return field.ErrorList{field.Invalid(path.Key(key), "<not shown>", "must be a JSON object")}
	}
	return nil
}

// WarningsForBootstrapToken names what keeps the token of a secret of type
// bootstrap.kubernetes.io/token from authenticating. It is valid, as in Kubernetes.
func WarningsForBootstrapToken(secret *corev1.Secret) []string {
	if secret.Type != bootstrapapi.SecretTypeBootstrapToken {
		return nil
	}
	value := func(key string) string { return string(secret.Data[key]) }
	id, data := value(bootstrapapi.BootstrapTokenIDKey), field.NewPath("data")
	var all []string
	warn := func(applies bool, path *field.Path, why string) {
		if applies {
			all = append(all, path.String()+": "+why+": this bootstrap token authenticates no request")
		}
	}
	warn(secret.Namespace != metav1.NamespaceSystem, field.NewPath("metadata", "namespace"), "is not "+metav1.NamespaceSystem)
	warn(!bootstraptokens.IsValidBootstrapTokenID(id), data.Key(bootstrapapi.BootstrapTokenIDKey), "is not 6 characters of a-z and 0-9")
	warn(secret.Name != bootstrapapi.BootstrapTokenSecretPrefix+id, field.NewPath("metadata", "name"), "is not "+bootstrapapi.BootstrapTokenSecretPrefix+" and the "+bootstrapapi.BootstrapTokenIDKey)
	// The ID is another field, so a valid one stands for it here.
	warn(!bootstraptokens.IsValidBootstrapToken("abcdef."+value(bootstrapapi.BootstrapTokenSecretKey)), data.Key(bootstrapapi.BootstrapTokenSecretKey), "is not 16 characters of a-z and 0-9")
	warn(value(bootstrapapi.BootstrapTokenUsageAuthentication) != "true", data.Key(bootstrapapi.BootstrapTokenUsageAuthentication), "is not true")
	if expiration := value(bootstrapapi.BootstrapTokenExpirationKey); expiration != "" {
		_, err := time.Parse(time.RFC3339, expiration)
		warn(err != nil, data.Key(bootstrapapi.BootstrapTokenExpirationKey), "is not a time such as 2027-01-31T12:00:00Z")
	}
	_, err := bootstrapsecrets.GetGroups(secret)
	warn(err != nil, data.Key(bootstrapapi.BootstrapTokenExtraGroupsKey), "has a group that does not begin with "+bootstrapapi.BootstrapDefaultGroup+":")
	return all
}
