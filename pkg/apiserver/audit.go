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

package apiserver

import (
	"errors"
	"fmt"
	"os"

	auditpolicy "k8s.io/apiserver/pkg/audit/policy"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/klog/v2"
)

// defaultAuditPolicy applies if --audit-log-path or --audit-webhook-config-file is set and
// --audit-policy-file is not. Without a policy the library records nothing: every request has
// level None. The policy omits bodies because they contain secrets.
const defaultAuditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: [/healthz*, /livez*, /readyz*]
- level: Metadata
`

// ApplyAudit applies the audit options to the server configuration, with the default policy if none
// is named.
func ApplyAudit(options *genericoptions.AuditOptions, dir string, generic *genericapiserver.Config) error {
	if options.PolicyFile != "" {
		// The library reads it again, and its errors do not name the flag.
		if _, err := auditpolicy.LoadPolicyFromFile(options.PolicyFile); err != nil {
			return fmt.Errorf("--audit-policy-file: %w", err)
		}
	}
	if options.PolicyFile != "" || options.LogOptions.Path == "" && options.WebhookOptions.ConfigFile == "" {
		return options.ApplyTo(generic)
	}
	klog.InfoS("Auditing every request but health checks at level Metadata; --audit-policy-file names another policy")
	return applyAuditPolicy(options, dir, defaultAuditPolicy, generic)
}

// applyAuditPolicy applies the options with a policy. The library reads a policy from a file only, so
// it is written to a temporary file in dir.
func applyAuditPolicy(options *genericoptions.AuditOptions, dir, policy string, generic *genericapiserver.Config) (err error) {
	file, err := os.CreateTemp(dir, "audit-policy-*.yaml")
	if err != nil {
		return fmt.Errorf("the default audit policy cannot be written: %w; name one with --audit-policy-file", err)
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = file.WriteString(policy)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("the default audit policy cannot be written: %w; name one with --audit-policy-file", err)
	}
	audit := *options
	audit.PolicyFile = file.Name()
	return audit.ApplyTo(generic)
}
