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

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/pkg/admission"
	fleet "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

// admissionBench are the flags of bench admission.
type admissionBench struct {
	*environment
	clients, writes, warmUp, rounds int
}

func newAdmissionCommand(e *environment) *cobra.Command {
	b := &admissionBench{environment: e}
	cmd := &cobra.Command{
		Use:   "admission",
		Short: "What each admission plugin costs a write, and writes per second with the chain and without",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.complete(); err != nil {
				return err
			}
			if b.clients < 1 || b.writes < 1 || b.rounds < 1 || b.warmUp < 0 {
				return errors.New("--clients, --writes and --rounds must be 1 or more; --warm-up must not be negative")
			}
			return b.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&b.clients, "clients", 16, "Clients that create instances at the same time.")
	flags.IntVar(&b.writes, "writes", 4000, "Instances that are created with each chain.")
	flags.IntVar(&b.warmUp, "warm-up", 500, "Instances that are created before and do not count.")
	flags.IntVar(&b.rounds, "rounds", 3, "How often all is measured, each time with new servers; medians are printed.")
	return cmd
}

// chain is an admission chain under measurement.
type chain struct {
	name string
	args []string
	// prepare stores the objects that the chain reads.
	prepare func(ctx context.Context, client kubernetes.Interface) error
}

// admitted has the results of one chain in one round.
type admitted struct {
	load load
	// each is the mean time of a write in each phase of a plugin, by plugin and phase.
	each map[string]time.Duration
}

func (b *admissionBench) run(ctx context.Context, out io.Writer) error {
	chains := []chain{
		{name: "no plugin", args: []string{"--disable-admission-plugins=" + strings.Join(admission.Names(), ",")}},
		{name: "default chain, no webhook or policy"},
		{name: "default chain, a policy of each kind", prepare: bothPolicies},
	}
	results := make([][]admitted, len(chains))
	for round := range b.rounds {
		for i := range chains {
			// Each round begins with a different chain.
			at := (i + round) % len(chains)
			result, err := b.round(ctx, chains[at])
			if err != nil {
				return fmt.Errorf("%s: %w", chains[at].name, err)
			}
			results[at] = append(results[at], result)
		}
		fmt.Fprintf(os.Stderr, "round %d of %d is done\n", round+1, b.rounds)
	}
	fmt.Fprintln(out, "## Admission")
	fmt.Fprintln(out)
	b.describe(out,
		fmt.Sprintf("settings: %d instances created by %d clients with each chain, after %d that do not count; protobuf; fsync on; the load generator on the same cores", b.writes, b.clients, b.warmUp),
		"source of the times: apiserver_admission_controller_admission_duration_seconds of the server itself, elapsed time, for each created instance",
		fmt.Sprintf("rounds: %d, each with new servers, in turn; medians of the rounds", b.rounds))
	t := &table{header: []string{"chain", "creates/s", "CPU for each"}}
	for i, c := range chains {
		t.add(c.name, fmt.Sprintf("%.0f", medianOf(results[i], func(r admitted) float64 { return r.load.rate() })),
			micros(medianOf(results[i], func(r admitted) time.Duration { return r.load.cpuEach() })))
	}
	t.write(out)
	fmt.Fprintln(out)
	t = &table{header: []string{"plugin", "half", chains[1].name, chains[2].name}}
	for _, name := range admission.Names() {
		for _, half := range []string{"admit", "validate"} {
			of := func(results []admitted) string {
				if _, ran := results[0].each[name+" "+half]; !ran {
					return "-"
				}
				return fmt.Sprintf("%.1f us", float64(medianOf(results, func(r admitted) time.Duration { return r.each[name+" "+half] }))/float64(time.Microsecond))
			}
			if plain, policies := of(results[1]), of(results[2]); plain != "-" || policies != "-" {
				t.add(name, half, plain, policies)
			}
		}
	}
	t.write(out)
	fmt.Fprintln(out, "- load of the machine after:", loadAverage())
	return nil
}

func (b *admissionBench) round(ctx context.Context, c chain) (result admitted, err error) {
	root, remove, err := b.newDir()
	if err != nil {
		return result, err
	}
	defer remove()
	s, err := b.startAPIServer(ctx, filepath.Join(root, "data"), c.args...)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if _, err := s.waitReady(ctx); err != nil {
		return result, err
	}
	config, err := s.restConfig()
	if err != nil {
		return result, err
	}
	admin, err := kubernetes.NewForConfig(config)
	if err != nil {
		return result, err
	}
	clients, closeAll, err := newClients(config, b.clients, b.clients)
	defer closeAll()
	if err != nil {
		return result, err
	}
	create := func(prefix string) func(ctx context.Context, client, number int) error {
		return func(ctx context.Context, client, number int) error {
			_, err := clients[client].FleetV1alpha1().Instances(namespace).Create(ctx, newInstance(nameOf(prefix, number)), metav1.CreateOptions{})
			return err
		}
	}
	if c.prepare != nil {
		if err := c.prepare(ctx, admin); err != nil {
			return result, err
		}
		if err := waitPolicies(ctx, clients[0]); err != nil {
			return result, err
		}
	}
	if _, err := drive(ctx, b.clients, b.warmUp, create("warm")); err != nil {
		return result, err
	}
	before, err := readPluginTimes(ctx, admin)
	if err != nil {
		return result, err
	}
	if result.load, err = driveServer(ctx, s, b.clients, b.writes, create("counted")); err != nil {
		return result, err
	}
	after, err := readPluginTimes(ctx, admin)
	if err != nil {
		return result, err
	}
	result.each = meanTimes(before, after)
	return result, nil
}

// meanTimes returns the mean time of the writes between two readings.
func meanTimes(before, after map[string]pluginTime) map[string]time.Duration {
	each := map[string]time.Duration{}
	for half, t := range after {
		if count := t.count - before[half].count; count > 0 {
			each[half] = (t.sum - before[half].sum) / time.Duration(count)
		}
	}
	return each
}

// waitPolicies waits until a write gets the label that the policy sets, which shows that both policies are in
// force: policies are read every second.
func waitPolicies(ctx context.Context, client versioned.Interface) error {
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		made, err := client.FleetV1alpha1().Instances(namespace).Create(ctx, newInstance("probe"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && made.Labels["bench"] != "", err
	})
	if err != nil {
		return fmt.Errorf("waiting for the policies: %w", err)
	}
	return nil
}

// readPluginTimes reads the times of the admission plugins from the metrics.
func readPluginTimes(ctx context.Context, client kubernetes.Interface) (map[string]pluginTime, error) {
	samples, err := metrics.Read(ctx, client.Discovery().RESTClient())
	return pluginTimes(samples), err
}

// bothPolicies stores a realistic validating and a realistic mutating policy.
func bothPolicies(ctx context.Context, client kubernetes.Interface) error {
	constraints := &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{fleet.GroupName}, APIVersions: []string{"*"}, Resources: []string{"instances"}},
	}}}}
	name := metav1.ObjectMeta{Name: "bench"}
	api := client.AdmissionregistrationV1()
	_, err := api.ValidatingAdmissionPolicies().Create(ctx, &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: name, Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: constraints, Validations: []admissionregistrationv1.Validation{{Expression: "object.spec.containers.all(c, c.image.size() > 0)"}},
	}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if _, err = api.ValidatingAdmissionPolicyBindings().Create(ctx, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: name, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: name.Name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
	}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err = api.MutatingAdmissionPolicies().Create(ctx, &admissionregistrationv1.MutatingAdmissionPolicy{ObjectMeta: name, Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
		MatchConstraints: constraints, ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy,
		Mutations: []admissionregistrationv1.Mutation{{PatchType: admissionregistrationv1.PatchTypeApplyConfiguration, ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{
			Expression: `Object{metadata: Object.metadata{labels: {"bench": "true"}}}`,
		}}},
	}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err = api.MutatingAdmissionPolicyBindings().Create(ctx, &admissionregistrationv1.MutatingAdmissionPolicyBinding{ObjectMeta: name, Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name.Name}}, metav1.CreateOptions{})
	return err
}

// pluginTime is the sum and the number of a plugin's decisions.
type pluginTime struct {
	sum   time.Duration
	count int
}

// pluginTimes sums the times of creates, by plugin and phase.
func pluginTimes(samples metrics.Samples) map[string]pluginTime {
	const metric = "apiserver_admission_controller_admission_duration_seconds_"
	times := map[string]pluginTime{}
	for _, sample := range samples {
		kind, ours := strings.CutPrefix(sample.Name, metric)
		if !ours || sample.Labels["operation"] != "CREATE" {
			continue
		}
		key := sample.Labels["name"] + " " + sample.Labels["type"]
		t := times[key]
		switch kind {
		case "sum":
			t.sum += seconds(sample.Value)
		case "count":
			t.count += int(sample.Value)
		default:
			continue
		}
		times[key] = t
	}
	return times
}
