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
	"time"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

// authzBench are the flags of bench authz.
type authzBench struct {
	*environment
	clients, requests, warmUp, bindings, rounds int
}

func newAuthzCommand(e *environment) *cobra.Command {
	b := &authzBench{environment: e}
	cmd := &cobra.Command{
		Use:   "authz",
		Short: "Share of authentication and authorization in a whole request, by the server's own metrics",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.complete(); err != nil {
				return err
			}
			if b.clients < 1 || b.requests < 1 || b.rounds < 1 || b.bindings < 0 || b.warmUp < 0 {
				return errors.New("--clients, --requests and --rounds must be 1 or more; --bindings and --warm-up must not be negative")
			}
			return b.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&b.clients, "clients", 1, "Clients that ask at the same time. With more of them than cores, waiting for a core counts as whatever was waited in.")
	flags.IntVar(&b.requests, "requests", 3000, "Requests of each kind.")
	flags.IntVar(&b.warmUp, "warm-up", 500, "Requests that come first and do not count.")
	flags.IntVar(&b.bindings, "bindings", 1000, "Cluster role bindings of other users that the server also has.")
	flags.IntVar(&b.rounds, "rounds", 3, "How often all is measured, each time with a new server; medians are printed.")
	return cmd
}

// times are sums of the server's own metrics.
type times struct {
	authentication, authorization, request time.Duration
	requests                               int
}

func (t times) minus(before times) times {
	return times{t.authentication - before.authentication, t.authorization - before.authorization, t.request - before.request, t.requests - before.requests}
}

// each returns the mean of one request.
func (t times) each(sum time.Duration) time.Duration { return sum / time.Duration(max(t.requests, 1)) }

func (b *authzBench) run(ctx context.Context, out io.Writer) error {
	kinds := []string{"get an instance", "create an instance"}
	results := make([][]times, len(kinds))
	for i := range b.rounds {
		round, err := b.round(ctx)
		if err != nil {
			return err
		}
		for kind := range kinds {
			results[kind] = append(results[kind], round[kind])
		}
		fmt.Fprintf(os.Stderr, "round %d of %d is done\n", i+1, b.rounds)
	}
	fmt.Fprintln(out, "## Authentication and authorization in a whole request")
	fmt.Fprintln(out)
	b.describe(out,
		fmt.Sprintf("settings: %d requests of each kind by %d client(s), who are a user with a certificate and one role, among %d cluster role bindings of others; protobuf; fsync on", b.requests, b.clients, b.bindings),
		"source: means of authentication_duration_seconds, authorization_duration_seconds and apiserver_request_duration_seconds of the server itself: elapsed time, from when a request is received to when it is answered",
		fmt.Sprintf("rounds: %d, each with a new server; medians of the rounds", b.rounds))
	t := &table{header: []string{"request", "whole", "authentication", "authorization", "share of both"}}
	for i, kind := range kinds {
		of := func(which func(times) time.Duration) time.Duration {
			return medianOf(results[i], func(r times) time.Duration { return r.each(which(r)) })
		}
		share := medianOf(results[i], func(r times) float64 {
			return float64(r.authentication+r.authorization) / float64(max(r.request, 1))
		})
		t.add(kind, micros(of(func(r times) time.Duration { return r.request })), micros(of(func(r times) time.Duration { return r.authentication })),
			micros(of(func(r times) time.Duration { return r.authorization })), fmt.Sprintf("%.1f %%", 100*share))
	}
	t.write(out)
	fmt.Fprintln(out, "- load of the machine after:", loadAverage())
	return nil
}

func micros(d time.Duration) string {
	return fmt.Sprintf("%.0f us", float64(d)/float64(time.Microsecond))
}

func (b *authzBench) round(ctx context.Context) (round []times, err error) {
	root, remove, err := b.newDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	s, err := b.startServer(ctx, filepath.Join(root, "data"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if _, err := s.waitReady(ctx); err != nil {
		return nil, err
	}
	config, err := b.userConfig(ctx, s)
	if err != nil {
		return nil, err
	}
	admin, err := b.others(ctx, s)
	if err != nil {
		return nil, err
	}
	return b.measure(ctx, config, admin, "")
}

// measure gets and creates instances as one user. The names of the instances begin with the prefix.
func (b *authzBench) measure(ctx context.Context, config *rest.Config, admin rest.Interface, prefix string) (round []times, err error) {
	clients, closeAll, err := newClients(config, b.clients, b.clients)
	defer closeAll()
	if err != nil {
		return nil, err
	}
	read := prefix + "read"
	for _, kind := range []struct {
		verb string
		do   func(ctx context.Context, client versioned.Interface, prefix string, number int) error
	}{
		{"GET", func(ctx context.Context, client versioned.Interface, _ string, _ int) error {
			_, err := client.FleetV1alpha1().Instances(namespace).Get(ctx, read, metav1.GetOptions{})
			return err
		}},
		{"POST", func(ctx context.Context, client versioned.Interface, prefix string, number int) error {
			_, err := client.FleetV1alpha1().Instances(namespace).Create(ctx, newInstance(nameOf(prefix, number)), metav1.CreateOptions{})
			return err
		}},
	} {
		if kind.verb == "GET" {
			if _, err := clients[0].FleetV1alpha1().Instances(namespace).Create(ctx, newInstance(read), metav1.CreateOptions{}); err != nil {
				return nil, err
			}
		}
		run := func(name string, count int) error {
			_, err := drive(ctx, b.clients, count, func(ctx context.Context, client, number int) error {
				return kind.do(ctx, clients[client], prefix+name, number)
			})
			return err
		}
		if err := run("warm", b.warmUp); err != nil {
			return nil, err
		}
		before, err := timesOf(ctx, admin, kind.verb)
		if err != nil {
			return nil, err
		}
		if err := run("counted", b.requests); err != nil {
			return nil, err
		}
		after, err := timesOf(ctx, admin, kind.verb)
		if err != nil {
			return nil, err
		}
		round = append(round, after.minus(before))
	}
	return round, nil
}

// others binds other users, and returns the administrator's client.
func (b *authzBench) others(ctx context.Context, s *server) (rest.Interface, error) {
	config, err := s.restConfig()
	if err != nil {
		return nil, err
	}
	admin, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	_, err = drive(ctx, 16, b.bindings, func(ctx context.Context, _, number int) error {
		_, err := admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: nameOf("other", number)},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: nameOf("user", number)}},
		}, metav1.CreateOptions{})
		return err
	})
	return admin.Discovery().RESTClient(), err
}

// timesOf reads the server's metrics. Those of authentication and authorization do not
// identify the request; other clients send few requests meanwhile.
func timesOf(ctx context.Context, admin rest.Interface, verb string) (times, error) {
	samples, err := metrics.Read(ctx, admin)
	return sumTimes(samples, verb), err
}

// sumTimes sums the metrics over their labels; those of requests are filtered by the verb and by
// instances.
func sumTimes(samples metrics.Samples, verb string) times {
	about := metrics.Labels{"resource": "instances", "verb": verb}
	return times{
		authentication: seconds(samples.Sum("authentication_duration_seconds_sum", nil)),
		authorization:  seconds(samples.Sum("authorization_duration_seconds_sum", nil)),
		request:        seconds(samples.Sum("apiserver_request_duration_seconds_sum", about)),
		requests:       int(samples.Sum("apiserver_request_duration_seconds_count", about)),
	}
}

func seconds(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }
