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

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
)

// errRefused is not printed: the review was printed already.
var errRefused = errors.New("the request would be refused")

// applyManager is the field manager of "kubectl apply --server-side".
const applyManager = "kubectl"

// reviewVerbs are the verbs of requests that a review takes.
var reviewVerbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

// reviewPatchTypes are the values of --type, those of "kubectl patch" and apply.
var reviewPatchTypes = map[string]v1alpha1.ReviewPatchType{
	"strategic": v1alpha1.ReviewPatchStrategicMerge, "merge": v1alpha1.ReviewPatchMerge, "json": v1alpha1.ReviewPatchJSON, "apply": v1alpha1.ReviewPatchApply,
}

// reviewValidations are the values of --validate.
var reviewValidations = map[string]string{"strict": metav1.FieldValidationStrict, "warn": metav1.FieldValidationWarn, "ignore": metav1.FieldValidationIgnore}

// reviewCommand holds the flags of review.
type reviewCommand struct {
	*plugin
	file, patch, patchType, validate, manager, output string
	force                                             bool
}

func newReviewCommand(p *plugin) *cobra.Command {
	c := &reviewCommand{plugin: p, validate: "strict"}
	cmd := &cobra.Command{
		Use:   "review VERB RESOURCE [NAME]",
		Short: "Show what each gate of the server would say about a request",
		Long: `Show what each gate of the server would say about a request, without carrying it out: nothing is
stored, no quota is charged, and webhooks with side effects are not called.

VERB is create, update, patch, delete, get, list, watch or deletecollection. Every user may review its
own requests. Those of another one, which --as and --as-group name, need the cluster role
gatehouse:diagnostics; objects that the caller may not read are left out.

The exit code is 0 if the request would be allowed, and 1 if not.`,
		Example: `  # May bob create this, and if not, what refuses it?
  kubectl gatehouse review create apps -f app.yaml --as bob --namespace shop

  # Would this apply conflict with another manager?
  kubectl gatehouse review patch app web --type apply -f app.yaml --namespace shop

  # What would refuse a delete of mine?
  kubectl gatehouse review delete configmap settings --namespace shop`,
		Args:              cobra.RangeArgs(2, 3),
		ValidArgsFunction: cobra.FixedCompletions(reviewVerbs, cobra.ShellCompDirectiveNoFileComp),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&c.file, "filename", "f", "", "File with the object of a create or an update, or with the patch; - is the standard input.")
	flags.StringVarP(&c.patch, "patch", "p", "", "The patch.")
	flags.StringVar(&c.patchType, "type", "", "Type of the patch: strategic (the default), merge, json or apply.")
	flags.StringVar(&c.validate, "validate", c.validate, "What unknown and duplicate fields cause: strict, warn or ignore.")
	flags.StringVar(&c.manager, "field-manager", "", "Manager of the fields that the request sets; for apply, "+applyManager+" if empty.")
	flags.BoolVar(&c.force, "force-conflicts", false, "Let apply take fields of other managers.")
	flags.StringVarP(&c.output, "output", "o", "", "Output format: json, yaml, or a report if empty.")
	completeWords(cmd, "output", "json", "yaml")
	completeWords(cmd, "type", "strategic", "merge", "json", "apply")
	completeWords(cmd, "validate", "strict", "warn", "ignore")
	return cmd
}

func (c *reviewCommand) check(verb string) error {
	_, knownType := reviewPatchTypes[c.patchType]
	switch {
	case !slices.Contains(reviewVerbs, verb):
		return fmt.Errorf("the verb %q is unknown: use one of %s; \"kubectl auth can-i\" answers about other verbs", verb, strings.Join(reviewVerbs, ", "))
	case reviewValidations[c.validate] == "":
		return fmt.Errorf("--validate=%s is unknown: use strict, warn or ignore", c.validate)
	case c.output != "" && c.output != "json" && c.output != "yaml":
		return fmt.Errorf("--output=%s is unknown: use json or yaml, or leave the flag out", c.output)
	case verb != "patch" && (c.patch != "" || c.patchType != "" || c.force):
		return fmt.Errorf("--patch, --type and --force-conflicts are for the verb patch, not for %s", verb)
	case verb == "patch" && c.patchType != "" && !knownType:
		return fmt.Errorf("--type=%s is unknown: use strategic, merge, json or apply", c.patchType)
	case c.force && c.patchType != "apply":
		return errors.New("--force-conflicts is for --type=apply: other patches have no conflicts")
	case verb == "patch" && (c.patch == "") == (c.file == ""):
		return errors.New("name one patch: by --patch, or by --filename")
	case (verb == "create" || verb == "update") && c.file == "":
		return fmt.Errorf("the verb %s needs an object: name its file with --filename", verb)
	case verb != "create" && verb != "update" && verb != "patch" && (c.file != "" || c.manager != ""):
		return fmt.Errorf("--filename and --field-manager are for the verbs create, update and patch, not for %s", verb)
	}
	return nil
}

func (c *reviewCommand) run(ctx context.Context, args []string) error {
	verb := args[0]
	if err := c.check(verb); err != nil {
		return err
	}
	spec := v1alpha1.RequestReviewSpec{Verb: verb, FieldManager: c.manager, Force: c.force}
	object, err := c.body(&spec)
	if err != nil {
		return err
	}
	if spec.User, err = c.reviewedUser(); err != nil {
		return err
	}
	explicit := c.overrides.Context.Namespace
	config, namespace, err := c.config()
	if err != nil {
		return err
	}
	if explicit == "" && object.Namespace != "" {
		namespace = object.Namespace
	}
	name := ""
	if len(args) == 3 {
		name = args[2]
	} else if verb == "update" || verb == "patch" {
		name = object.Name
	}
	if one := verb != "create" && verb != "list" && verb != "watch" && verb != "deletecollection"; one && name == "" {
		return fmt.Errorf("the verb %s is about one object: name it, as in kubectl gatehouse review %s %s NAME", verb, verb, args[1])
	}
	if spec.Resource, err = resourceOf(config, args[1], namespace, name); err != nil {
		return err
	}
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	done, err := clients.DiagnosticsV1alpha1().RequestReviews().Create(ctx, &v1alpha1.RequestReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return servedReviews(err)
	}
	if err := c.print(done, object.Name); err != nil {
		return err
	}
	if done.Status.Verdict != v1alpha1.VerdictAllowed {
		return errRefused
	}
	return nil
}

// body reads the body of the request into the spec, and returns the metadata of its object.
func (c *reviewCommand) body(spec *v1alpha1.RequestReviewSpec) (metav1.ObjectMeta, error) {
	content := []byte(c.patch)
	if c.file != "" {
		var err error
		if content, err = readInput(c.file); err != nil {
			return metav1.ObjectMeta{}, fmt.Errorf("--filename: %w", err)
		}
	}
	if len(content) == 0 {
		return metav1.ObjectMeta{}, nil
	}
	converted, err := yaml.YAMLToJSON(content)
	if err != nil {
		return metav1.ObjectMeta{}, fmt.Errorf("the body of the request is neither JSON nor YAML of one object: %w", err)
	}
	object := metav1.PartialObjectMetadata{}
	_ = yaml.Unmarshal(converted, &object) // the server refuses what is no object
	if spec.Verb != "patch" {
		spec.Object = &runtime.RawExtension{Raw: converted}
		spec.FieldValidation = reviewValidations[c.validate]
		return object.ObjectMeta, nil
	}
	spec.Patch, spec.PatchType, spec.FieldValidation = string(converted), reviewPatchTypes[c.patchType], reviewValidations[c.validate]
	if spec.PatchType == "" {
		spec.PatchType = v1alpha1.ReviewPatchStrategicMerge
	}
	if spec.PatchType == v1alpha1.ReviewPatchApply && spec.FieldManager == "" {
		spec.FieldManager = applyManager
	}
	return object.ObjectMeta, nil
}

func readInput(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(file)
}

// reviewedUser returns the user that the flags of impersonation name; nil for the caller. The review is
// sent as the caller.
func (c *reviewCommand) reviewedUser() (*v1alpha1.ReviewedUser, error) {
	if _, err := c.loader(); err != nil { // which adds --as-user-extra
		return nil, err
	}
	as := &c.overrides.AuthInfo
	of := &v1alpha1.ReviewedUser{Username: as.Impersonate, UID: as.ImpersonateUID, Groups: as.ImpersonateGroups}
	for key, values := range as.ImpersonateUserExtra {
		of.Extra = append(of.Extra, v1alpha1.ReviewedExtra{Key: key, Values: values})
	}
	slices.SortFunc(of.Extra, func(a, b v1alpha1.ReviewedExtra) int { return strings.Compare(a.Key, b.Key) })
	as.Impersonate, as.ImpersonateUID, as.ImpersonateGroups, as.ImpersonateUserExtra = "", "", nil, nil
	switch {
	case of.Username != "":
		return of, nil
	case of.UID != "" || len(of.Groups) > 0 || len(of.Extra) > 0:
		return nil, errors.New("--as-group, --as-uid and --as-user-extra need --as, the name of the user")
	}
	return nil, nil
}

// resourceOf finds the resource of an argument as for kubectl: app, apps, apps.fleet.gatehouse.dev, a short
// name, each also with a subresource, as in hosts/status.
func resourceOf(config *rest.Config, arg, namespace, name string) (v1alpha1.ReviewedResource, error) {
	arg, subresource, _ := strings.Cut(arg, "/")
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return v1alpha1.ReviewedResource{}, err
	}
	cached := memory.NewMemCacheClient(client)
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil)
	versioned, unversioned := schema.ParseResourceArg(arg)
	var found schema.GroupVersionResource
	if versioned != nil {
		found, err = mapper.ResourceFor(*versioned)
	}
	if versioned == nil || meta.IsNoMatchError(err) {
		found, err = mapper.ResourceFor(unversioned.WithVersion(""))
	}
	if meta.IsNoMatchError(err) {
		return v1alpha1.ReviewedResource{}, fmt.Errorf("the server has no resource %q: \"kubectl api-resources\" lists them", arg)
	}
	if err != nil {
		return v1alpha1.ReviewedResource{}, err
	}
	kind, err := mapper.KindFor(found)
	if err != nil {
		return v1alpha1.ReviewedResource{}, err
	}
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return v1alpha1.ReviewedResource{}, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		namespace = ""
	}
	return v1alpha1.ReviewedResource{Group: found.Group, Version: found.Version, Resource: found.Resource, Subresource: subresource, Namespace: namespace, Name: name}, nil
}
