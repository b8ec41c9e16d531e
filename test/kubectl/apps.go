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

package kubectl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// Rollouts is the environment of the scenes of apps: a server with running controllers, and hosts that
// run instances or simulate them.
type Rollouts struct {
	Env
	// Hosts is the number of hosts, all of which become ready.
	Hosts int
}

const anApp = `apiVersion: fleet.gatehouse.dev/v1alpha1
kind: App
metadata:
  name: app-$ID
  labels: {tour: $ID}
spec:
  replicas: 3
  progressDeadlineSeconds: 5
  selector:
    matchLabels: {tour: $ID}
  template:
    metadata:
      labels: {tour: $ID}
    spec:
      containers:
      - name: server
        image: registry.example.com/shop:1
`

// RunApps follows an app through its lifecycle, as a new user of the README does: applied,
// scheduled, running; a new version; a bad one, which the progress deadline stops; rolled back; scaled;
// deleted.
func RunApps(t *testing.T, env Rollouts) {
	t.Helper()
	s := newScene(t, env.Env, t.TempDir())
	awaitGroup(s)
	t.Cleanup(func() { // after the app, so that no controller creates instances again
		command := s.command(context.Background(), "delete apps,releases -l tour=$ID --ignore-not-found")
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("cleaning up: %v\n%s", err, out)
		}
	})
	ready := s.kubectl("wait --for=condition=Ready --timeout=2m hosts --all").succeeds()
	if got := strings.Count(ready.stdout, "condition met"); got < env.Hosts {
		t.Fatalf("%s\n--- wanted: %d hosts", ready, env.Hosts)
	}

	watch := s.start("get instances -l tour=$ID --watch --output-watch-events -o wide -v=6")
	watch.until(watch.stderr, "watch=true")
	s.pipe(anApp, "apply -f -").prints("app.fleet.gatehouse.dev/app-$ID created")
	watch.seesRunning(3)
	s.plugin("rollout status app/app-$ID --timeout=2m").shows(`app "app-$ID" successfully rolled out`)
	s.appIs("3/3 3 3", "registry.example.com/shop:1")
	s.kubectl("get apps app-$ID -o", `jsonpath={.metadata.annotations.fleet\.gatehouse\.dev/revision}`).prints1("1")

	s.kubectl("patch app app-$ID --type=json -p", image("registry.example.com/shop:2")).prints("app.fleet.gatehouse.dev/app-$ID patched")
	s.plugin("rollout status app-$ID --timeout=2m").shows("Waiting for app \"app-$ID\"", `app "app-$ID" successfully rolled out`)
	s.appIs("3/3 3 3", "registry.example.com/shop:2")
	s.plugin("rollout history app-$ID").shows("1", "registry.example.com/shop:1", "2", "registry.example.com/shop:2")

	s.kubectl("patch app app-$ID --type=json -p", image("registry.example.com/shop:bad")).prints("app.fleet.gatehouse.dev/app-$ID patched")
	stopped := s.plugin("rollout status app-$ID --timeout=2m")
	if stopped.code != 1 || !strings.Contains(stopped.stderr, s.expand.Replace(`app "app-$ID" exceeded its progress deadline`)) {
		t.Fatalf("%s\n--- wanted: stopped by the progress deadline, with exit code 1", stopped)
	}
	s.kubectl("get app app-$ID -o", `jsonpath={.status.conditions[?(@.type=="Progressing")].reason} {.status.availableReplicas}`).prints1("ProgressDeadlineExceeded 3")
	s.kubectl("wait --for=condition=Progressing=False --timeout=2m app/app-$ID").succeeds()
	s.plugin("tree app-$ID").shows("app/app-$ID", "Failed", "release/app-$ID-", "ImagePullBackOff", "Running")

	s.plugin("rollout undo app-$ID").prints("app.fleet.gatehouse.dev/app-$ID rolled back")
	s.plugin("rollout status app-$ID --timeout=2m").shows(`app "app-$ID" successfully rolled out`)
	s.appIs("3/3 3 3", "registry.example.com/shop:2")
	s.plugin("rollout undo app-$ID --to-revision=7").failsWith("7")

	s.kubectl("scale app app-$ID --replicas=5").prints("app.fleet.gatehouse.dev/app-$ID scaled")
	s.plugin("rollout status app-$ID --timeout=2m").shows(`app "app-$ID" successfully rolled out`)
	s.appIs("5/5 5 5", "registry.example.com/shop:2")
	s.kubectl("describe app app-$ID").shows("Available", "Events:", "ScalingRelease")

	s.kubectl("delete app app-$ID --cascade=foreground").prints(`app.fleet.gatehouse.dev "app-$ID" deleted from $NS namespace`)
	s.kubectl("get apps,releases,instances -l tour=$ID").expect(0, "", "No resources found in $NS namespace.\n")
}

// image is a JSON patch of an app's only container.
func image(name string) string {
	return `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"` + name + `"}]`
}

// appIs expects READY, UP-TO-DATE and AVAILABLE of the app, and that all its instances run the
// image, once terminating ones are gone.
func (s *scene) appIs(numbers, image string) {
	s.Helper()
	row := strings.Fields(s.kubectl("get app app-$ID --no-headers").succeeds().stdout)
	if len(row) != 6 || strings.Join(row[1:4], " ") != numbers {
		s.Fatalf("the app is %v, wanted %s", row, numbers)
	}
	kit.EventuallyState(s, "instances run only "+image, func(context.Context) (bool, string) {
		images := strings.Fields(s.kubectl("get instances -l tour=$ID -o", `jsonpath={range .items[*]}{.spec.containers[0].image}{" "}{end}`).succeeds().stdout)
		return len(images) > 0 && !slices.ContainsFunc(images, func(got string) bool { return got != image }), fmt.Sprint(images)
	})
}

// plugin runs kubectl gatehouse, which must be in kubectl's directory, where make build puts it.
func (s *scene) plugin(line string) result {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	command := s.command(ctx, "")
	// Plugins take no flags before their name.
	command.Args = append(command.Args[:1], strings.Fields(s.expand.Replace("gatehouse "+line+" --namespace=$NS"))...)
	command.Env = append(command.Env, "PATH="+filepath.Dir(s.env.Kubectl)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if exit := (&exec.ExitError{}); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		s.Fatalf("kubectl gatehouse %s: %v, %v\n%s%s", line, err, context.Cause(ctx), stdout.String(), stderr.String())
	}
	return result{scene: s, line: strings.Join(command.Args[1:], " "), stdout: stdout.String(), stderr: withoutNoise(stderr.String()), code: command.ProcessState.ExitCode()}
}

// prints1 expects success and this output, which does not end with a newline.
func (r result) prints1(output string) {
	r.Helper()
	r.expect(0, output, "")
}

// failsWith expects exit code 1 and an error with the text in it.
func (r result) failsWith(text string) {
	r.Helper()
	if r.code != 1 || !strings.Contains(r.stderr, r.scene.expand.Replace(text)) {
		r.Fatalf("%s\n--- wanted: exit code 1, and in the complaint: %s", r, text)
	}
}

// seesRunning reads a wide watch with its events until this many instances run on a host. Each must
// first have been pending without a host, and then pending on its host.
func (p *process) seesRunning(wanted int) {
	p.Helper()
	const unbound, bound, running = 1, 2, 3
	states := map[string]int{}
	for done := 0; done < wanted; {
		line, more := p.next(p.stdout)
		if !more {
			p.Fatalf("the watch ended:\n%s", p.seen.String())
		}
		cells := strings.Fields(line) // EVENT NAME READY STATUS RESTARTS AGE IP HOST
		if len(cells) < 8 || cells[0] == "EVENT" {
			continue
		}
		name, status, host := cells[1], cells[3], cells[7]
		switch {
		case status == "Pending" && host == "<none>" && states[name] <= unbound:
			states[name] = unbound
		case status != "Running" && host != "<none>" && states[name] >= unbound && states[name] <= bound:
			states[name] = bound // Pending, or ContainerCreating once the agent has observed it
		case status == "Running" && host != "<none>" && states[name] >= bound:
			if states[name] == bound {
				done++
			}
			states[name] = running
		default:
			p.Fatalf("an instance goes from state %d to:\n%s\nafter:\n%s", states[name], line, p.seen.String())
		}
	}
}
